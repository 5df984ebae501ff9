-- How received images become durable: one function, one round trip, one transaction, before any sender hears "success".

ALTER TABLE rr.dicom_study
  ADD COLUMN quiet_at   timestamptz,   -- when the inbox was told that nothing came for a while; null again with the next image
  ADD COLUMN held_until timestamptz;   -- an association that brought images of it is still open
-- Few rows at any time. last_image_at stays out of every index, so that counting images rewrites no index entry.
CREATE INDEX dicom_study_unquiet ON rr.dicom_study (tenant_id) WHERE quiet_at IS NULL;

-- The attributes of a header that describe its study (PS3.3 C.7.1, C.7.2) and its series (C.7.3, C.7.5).
CREATE FUNCTION rr.study_header(header jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(header)
   WHERE key LIKE '0010%' OR key = ANY (ARRAY['00080005', '00080020', '00080030', '00080050', '00080051', '00080080', '00080090',
     '00080096', '00080201', '00081030', '00081032', '00081048', '00081060', '00081080', '00081110', '0020000D', '00200010',
     '00321032', '00321033', '00321060', '00321064', '00324000', '00380010', '00401003', '00401012'])
$$;
CREATE FUNCTION rr.series_header(header jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(header)
   WHERE key = ANY (ARRAY['00080005', '00080021', '00080031', '00080060', '00080070', '00080080', '0008103E', '0008103F', '00081010',
     '00081040', '00081050', '00081070', '00081090', '00081111', '00180015', '00181000', '00181020', '00181030', '00185100',
     '0020000E', '00200011', '00200052', '00200060', '00201040', '00400244', '00400245', '00400253', '00400254', '00400260', '00400275'])
$$;

-- items: images as storage.ingest packs them; answer: [{n, outcome, study_uid, shard}], outcome stored | duplicate | conflict.
-- Rows are touched in one order everywhere (tenant, study, series, image), so that two listeners seldom deadlock.
-- `places` lists where an image may stand: under its own Study Instance UID, else apart because another site owns that UID,
-- else apart because another patient stands there. The first place that nobody else has is taken.
CREATE FUNCTION rr.store_images(tenants text, items jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  it record; place record; owner record; line record;
  other record; pid text; known bytea; verdict text; settled boolean; tries integer;
  answers jsonb := '[]';
  t text[] := '{}'; u text[] := '{}'; s text[] := '{}'; sh integer[] := '{}'; b jsonb[] := '{}';
BEGIN
  PERFORM set_config('rr.tenants', tenants, true), set_config('rr.sites', '*', true);
  FOR it IN
    SELECT * FROM jsonb_to_recordset(items) AS x (n integer, tenant_id text, site_id text, places jsonb, header_study_uid text,
      series_uid text, sop_uid text, sop_class text, transfer_syntax text, path text, size bigint, sha256 text, header jsonb,
      patient jsonb, accession_number text, study_date text, study_time text, modality text, body jsonb)
    ORDER BY x.tenant_id, x.header_study_uid, x.series_uid, x.sop_uid, x.n
  LOOP
    <<places>>
    FOR place IN SELECT * FROM jsonb_to_recordset(it.places) AS y (study_uid text, shard integer, patient_id text, apart boolean) LOOP
      FOR tries IN 1..3 LOOP
        SELECT d.site_id, d.patient_id, p.issuer, p.mrn, p.birth_date, p.sex INTO owner
          FROM rr.dicom_study d LEFT JOIN rr.patient p ON p.tenant_id = d.tenant_id AND p.patient_id = d.patient_id
         WHERE d.tenant_id = it.tenant_id AND d.study_uid = place.study_uid;
        IF FOUND THEN
          EXIT places WHEN owner.site_id = it.site_id AND (it.patient->>'mrn' = '' OR owner.mrn = '' OR (
            owner.mrn = it.patient->>'mrn' AND (owner.issuer = it.patient->>'issuer' OR NOT (it.patient->>'issuer_sent')::boolean)
            AND (owner.sex = '' OR it.patient->>'sex' IN ('', owner.sex))
            AND (owner.birth_date = '' OR it.patient->>'birth_date' IN ('', owner.birth_date))));
          CONTINUE places;
        END IF;
        -- Nobody's yet; an order of another site may have named or been given this UID.
        CONTINUE places WHEN EXISTS (SELECT 1 FROM rr.orders o
          WHERE o.tenant_id = it.tenant_id AND o.study_uid = place.study_uid AND o.site_id <> it.site_id);
        -- The patient: the one that issuer and number stand for, unless what is known of her contradicts.
        pid := place.patient_id;
        IF it.patient->>'mrn' <> '' THEN
          INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name, birth_date, sex)
          VALUES (it.tenant_id, it.patient->>'patient_id', it.patient->>'issuer', it.patient->>'mrn', it.patient->>'name',
                  it.patient->>'birth_date', it.patient->>'sex') ON CONFLICT DO NOTHING;
          SELECT p.patient_id INTO other FROM rr.patient p
           WHERE p.tenant_id = it.tenant_id AND p.patient_id = it.patient->>'patient_id'
             AND (p.sex = '' OR it.patient->>'sex' IN ('', p.sex))
             AND (p.birth_date = '' OR it.patient->>'birth_date' IN ('', p.birth_date));
          IF FOUND THEN pid := other.patient_id; END IF;
        END IF;
        IF pid = place.patient_id THEN
          INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name, birth_date, sex)
          VALUES (it.tenant_id, pid, it.patient->>'issuer', it.patient->>'mrn', it.patient->>'name', it.patient->>'birth_date',
                  it.patient->>'sex') ON CONFLICT DO NOTHING;
        END IF;
        INSERT INTO rr.dicom_study (tenant_id, study_uid, site_id, patient_id, header_study_uid, accession_number, study_date,
            study_time, header, first_image_at, last_image_at)
        VALUES (it.tenant_id, place.study_uid, it.site_id, pid, it.header_study_uid, it.accession_number, it.study_date,
            it.study_time, rr.study_header(it.header), clock_timestamp(), clock_timestamp()) ON CONFLICT DO NOTHING;
      END LOOP;
    END LOOP;

    IF NOT EXISTS (SELECT 1 FROM rr.series e
        WHERE e.tenant_id = it.tenant_id AND e.study_uid = place.study_uid AND e.series_uid = it.series_uid) THEN
      INSERT INTO rr.series (tenant_id, study_uid, series_uid, site_id, modality, header)
      VALUES (it.tenant_id, place.study_uid, it.series_uid, it.site_id, it.modality, rr.series_header(it.header))
      ON CONFLICT DO NOTHING;
    END IF;

    verdict := NULL;
    WHILE verdict IS NULL LOOP
      SELECT i.sha256 INTO known FROM rr.instance i
       WHERE i.tenant_id = it.tenant_id AND i.sop_uid = it.sop_uid AND i.study_uid = place.study_uid LIMIT 1;
      IF NOT FOUND THEN
        INSERT INTO rr.instance (tenant_id, study_uid, series_uid, sop_uid, site_id, sop_class, transfer_syntax, path, size,
            sha256, header, received_at)
        VALUES (it.tenant_id, place.study_uid, it.series_uid, it.sop_uid, it.site_id, it.sop_class, it.transfer_syntax, it.path,
            it.size, decode(it.sha256, 'hex'), it.header, clock_timestamp()) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          verdict := 'stored';
          t := t || it.tenant_id; u := u || place.study_uid; s := s || it.series_uid; sh := sh || place.shard;
          b := b || (it.body || jsonb_build_object('kind', 'images', 'patient_id', owner.patient_id, 'apart', place.apart));
        END IF;
      ELSIF known = decode(it.sha256, 'hex') THEN
        verdict := 'duplicate';
      ELSE
        verdict := 'conflict';
        INSERT INTO rr.kept_apart (tenant_id, study_uid, sop_uid, sha256, site_id, path)
        VALUES (it.tenant_id, place.study_uid, it.sop_uid, decode(it.sha256, 'hex'), it.site_id, it.path) ON CONFLICT DO NOTHING;
        IF FOUND THEN
          INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES (it.tenant_id, place.study_uid, place.shard,
            it.body || jsonb_build_object('kind', 'conflict', 'patient_id', owner.patient_id, 'apart', place.apart,
                                          'sop_uid', it.sop_uid));
        END IF;
      END IF;
    END LOOP;
    answers := answers || jsonb_build_object('n', it.n, 'outcome', verdict, 'study_uid', place.study_uid, 'shard', place.shard);
  END LOOP;

  -- One inbox entry and one count a study, last, as these rows are shared: the first body that is of an image tells of all.
  FOR line IN
    SELECT x.t, x.u, min(x.sh) AS sh, count(*)::integer AS n,
           (array_agg(x.b ORDER BY x.b->>'modality' = '', x.i))[1] AS b
      FROM unnest(t, u, sh, b) WITH ORDINALITY AS x (t, u, sh, b, i) GROUP BY x.t, x.u ORDER BY x.t, x.u
  LOOP
    UPDATE rr.dicom_study SET images = images + line.n, last_image_at = clock_timestamp(), quiet_at = NULL
     WHERE tenant_id = line.t AND study_uid = line.u;
    INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES (line.t, line.u, line.sh, line.b);
  END LOOP;
  FOR line IN
    SELECT x.t, x.u, x.s, count(*)::integer AS n FROM unnest(t, u, s) AS x (t, u, s) GROUP BY x.t, x.u, x.s ORDER BY x.t, x.u, x.s
  LOOP
    UPDATE rr.series SET images = images + line.n
     WHERE tenant_id = line.t AND study_uid = line.u AND series_uid = line.s;
  END LOOP;
  RETURN answers;
END $$;
