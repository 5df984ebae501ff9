-- How received images become durable: one function, one round trip, one transaction, before any sender hears "success".
-- This is rr.store_images anew and whole; earlier migrations made it bit by bit.

-- Images of a series agree in most of their header. One keeps it whole (alike is null); the others name that one and keep
-- what differs, beside rows and instance number, which every header keeps as they are asked for by themselves. What such
-- an image says of an attribute holds; where it says nothing, the other's holds: whole = that one's header || its own.
ALTER TABLE rr.instance ADD COLUMN alike text;

-- Whether an image's demographics may be those of this person: the same number of the same issuer, and nothing contradicts.
CREATE FUNCTION rr.same_person(mrn text, issuer text, birth_date text, sex text, given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT given->>'mrn' = '' OR mrn = '' OR (mrn = given->>'mrn' AND issuer = given->>'issuer'
     AND (sex = '' OR given->>'sex' IN ('', sex)) AND (birth_date = '' OR given->>'birth_date' IN ('', birth_date)))
$$;
GRANT EXECUTE ON FUNCTION rr.same_person TO rr_ingest;

-- items: images as storage.ingest packs them; answer: [{n, outcome, study_uid, shard}], outcome stored | duplicate | conflict.
-- RR002: a study is just being erased. RR003: the image that one of them is alike is not there: send headers whole.
-- Rows are touched in one order everywhere (tenant, study, series, image), so that two listeners seldom deadlock.
-- Everything is found by its key: plans are made once, and tables of a new instance look small to the planner.
CREATE OR REPLACE FUNCTION rr.store_images(tenants text, items jsonb) RETURNS jsonb LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  it record; place record; owner record; other record; pid text; known bytea; verdict text; tries integer;
  answers jsonb := '[]'; made jsonb;
  done integer[];                             -- numbers of images that were stored at once
  t text[]; u text[]; s text[]; sh integer[]; b jsonb[];  -- of each that was stored: tenant, study, series, shard, inbox entry
BEGIN
  PERFORM set_config('rr.tenants', tenants, true), set_config('rr.sites', '*', true);

  -- At once: new images of a series that is known, in a study that is its site's and its patient's. OFFSET 0 has each looked
  -- up by its key, where the planner might compare all with all.
  WITH fit AS MATERIALIZED (
    SELECT x.*, d.patient_id
      FROM (SELECT * FROM jsonb_to_recordset(items) AS x (n integer, again boolean, tenant_id text, site_id text,
              header_study_uid text, shard integer, series_uid text, sop_uid text, sop_class text, transfer_syntax text, path text,
              size bigint, sha256 bytea, header jsonb, alike text, alike_sha256 bytea, patient jsonb, body jsonb)
             ORDER BY x.tenant_id, x.header_study_uid, x.series_uid, x.sop_uid) x
     CROSS JOIN LATERAL (SELECT d.site_id, d.patient_id FROM rr.dicom_study d
       WHERE d.tenant_id = x.tenant_id AND d.study_uid = x.header_study_uid OFFSET 0) d
     CROSS JOIN LATERAL (SELECT p.mrn, p.issuer, p.birth_date, p.sex FROM rr.patient p
       WHERE p.tenant_id = x.tenant_id AND p.patient_id = d.patient_id OFFSET 0) p
      LEFT JOIN LATERAL (SELECT e.sha256 FROM rr.instance e
       WHERE e.tenant_id = x.tenant_id AND e.study_uid = x.header_study_uid AND e.series_uid = x.series_uid AND e.sop_uid = x.alike
         AND e.alike IS NULL OFFSET 0) a ON true
     WHERE NOT x.again AND d.site_id = x.site_id AND rr.same_person(p.mrn, p.issuer, p.birth_date, p.sex, x.patient)
       AND CASE WHEN x.alike IS NOT NULL THEN a.sha256 = x.alike_sha256 ELSE (SELECT true FROM rr.series e
         WHERE e.tenant_id = x.tenant_id AND e.study_uid = x.header_study_uid AND e.series_uid = x.series_uid) END
       AND (SELECT bool_or(e.study_uid = x.header_study_uid) FROM rr.instance e
             WHERE e.tenant_id = x.tenant_id AND e.sop_uid = x.sop_uid) IS NOT TRUE
       AND (SELECT count(*) FROM rr.erasure e
             WHERE e.tenant_id = x.tenant_id AND e.study_uid = x.header_study_uid AND e.erased_at IS NULL) = 0
  ), stored AS (
    INSERT INTO rr.instance (tenant_id, study_uid, series_uid, sop_uid, site_id, sop_class, transfer_syntax, path, size, sha256,
        header, alike, received_at)
    SELECT tenant_id, header_study_uid, series_uid, sop_uid, site_id, sop_class, transfer_syntax, path, size, sha256, header, alike,
           clock_timestamp()
      FROM fit
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, sop_uid
  )
  SELECT array_agg(f.n), array_agg(f.tenant_id), array_agg(f.header_study_uid), array_agg(f.series_uid), array_agg(f.shard),
         array_agg(f.body || jsonb_build_object('kind', 'images', 'patient_id', f.patient_id, 'apart', false)),
         jsonb_agg(jsonb_build_object('n', f.n, 'outcome', 'stored', 'study_uid', f.header_study_uid, 'shard', f.shard))
    INTO done, t, u, s, sh, b, answers
    FROM stored JOIN fit f ON f.tenant_id = stored.tenant_id AND f.sop_uid = stored.sop_uid;
  answers := coalesce(answers, '[]');

  -- The rest, one by one. `places` lists where an image may stand: under its own Study Instance UID, else apart because another
  -- site owns that UID, else apart because another patient stands there. The first place that nobody else has is taken.
  IF coalesce(cardinality(done), 0) < jsonb_array_length(items) THEN
    FOR it IN
      SELECT * FROM jsonb_to_recordset(items) AS x (n integer, tenant_id text, site_id text, places jsonb, header_study_uid text,
        series_uid text, sop_uid text, sop_class text, transfer_syntax text, path text, size bigint, sha256 bytea, header jsonb,
        alike text, alike_sha256 bytea, patient jsonb, accession_number text, study_date text, study_time text, modality text,
        body jsonb)
       WHERE done IS NULL OR x.n <> ALL (done)
       ORDER BY x.tenant_id, x.header_study_uid, x.series_uid, x.sop_uid, x.n
    LOOP
      <<places>>
      FOR place IN SELECT * FROM jsonb_to_recordset(it.places) AS y (study_uid text, shard integer, patient_id text, apart boolean) LOOP
        FOR tries IN 1..3 LOOP
          SELECT d.site_id, d.patient_id, p.issuer, p.mrn, p.birth_date, p.sex INTO owner
            FROM rr.dicom_study d LEFT JOIN rr.patient p ON p.tenant_id = d.tenant_id AND p.patient_id = d.patient_id
           WHERE d.tenant_id = it.tenant_id AND d.study_uid = place.study_uid;
          IF FOUND THEN
            EXIT places WHEN owner.site_id = it.site_id AND (
              rr.same_person(owner.mrn, owner.issuer, owner.birth_date, owner.sex, it.patient)
              OR rr.belongs(it.tenant_id, place.study_uid, it.patient, owner.patient_id));
            CONTINUE places;
          END IF;
          -- Nobody's yet; an order of another site may have named or been given this UID.
          CONTINUE places WHEN EXISTS (SELECT 1 FROM rr.orders o
            WHERE o.tenant_id = it.tenant_id AND o.study_uid = place.study_uid AND o.site_id <> it.site_id);
          IF it.alike IS NOT NULL THEN
            RAISE EXCEPTION 'a header that is not whole cannot begin a study' USING ERRCODE = 'RR003';
          END IF;
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

      IF it.alike IS NOT NULL AND NOT EXISTS (SELECT FROM rr.instance e
          WHERE e.tenant_id = it.tenant_id AND e.study_uid = place.study_uid AND e.series_uid = it.series_uid
            AND e.sop_uid = it.alike AND e.sha256 = it.alike_sha256 AND e.alike IS NULL) THEN
        RAISE EXCEPTION 'the image that this one is alike is not there' USING ERRCODE = 'RR003';
      END IF;
      IF NOT EXISTS (SELECT 1 FROM rr.series e
          WHERE e.tenant_id = it.tenant_id AND e.study_uid = place.study_uid AND e.series_uid = it.series_uid) THEN
        INSERT INTO rr.series (tenant_id, study_uid, series_uid, site_id, modality, header)
        VALUES (it.tenant_id, place.study_uid, it.series_uid, it.site_id, it.modality, rr.series_header(it.header))
        ON CONFLICT DO NOTHING;
      END IF;
      IF EXISTS (SELECT 1 FROM rr.erasure e
          WHERE e.tenant_id = it.tenant_id AND e.study_uid = place.study_uid AND e.erased_at IS NULL) THEN
        RAISE EXCEPTION 'being erased' USING ERRCODE = 'RR002';
      END IF;

      verdict := NULL;
      made := jsonb_build_object('patient_id', owner.patient_id, 'apart', place.apart);
      WHILE verdict IS NULL LOOP
        SELECT i.sha256 INTO known FROM rr.instance i
         WHERE i.tenant_id = it.tenant_id AND i.sop_uid = it.sop_uid AND i.study_uid = place.study_uid LIMIT 1;
        IF NOT FOUND THEN
          INSERT INTO rr.instance (tenant_id, study_uid, series_uid, sop_uid, site_id, sop_class, transfer_syntax, path, size,
              sha256, header, alike, received_at)
          VALUES (it.tenant_id, place.study_uid, it.series_uid, it.sop_uid, it.site_id, it.sop_class, it.transfer_syntax, it.path,
              it.size, it.sha256, it.header, it.alike, clock_timestamp()) ON CONFLICT DO NOTHING;
          IF FOUND THEN
            verdict := 'stored';
            t := t || it.tenant_id; u := u || place.study_uid; s := s || it.series_uid; sh := sh || place.shard;
            b := b || (it.body || made || '{"kind": "images"}');
          END IF;
        ELSIF known = it.sha256 THEN
          verdict := 'duplicate';
        ELSE
          verdict := 'conflict';
          INSERT INTO rr.kept_apart (tenant_id, study_uid, sop_uid, sha256, site_id, path)
          VALUES (it.tenant_id, place.study_uid, it.sop_uid, it.sha256, it.site_id, it.path) ON CONFLICT DO NOTHING;
          IF FOUND THEN
            INSERT INTO rr.inbox (tenant_id, study_uid, shard, body) VALUES (it.tenant_id, place.study_uid, place.shard,
              it.body || made || jsonb_build_object('kind', 'conflict', 'sop_uid', it.sop_uid));
          END IF;
        END IF;
      END LOOP;
      answers := answers || jsonb_build_object('n', it.n, 'outcome', verdict, 'study_uid', place.study_uid, 'shard', place.shard);
    END LOOP;
  END IF;

  -- One count and one inbox entry a study, last, as these rows are shared: the first body that is of an image tells of all.
  IF t IS NULL THEN
    RETURN answers;
  END IF;
  WITH counted AS (
    UPDATE rr.dicom_study d SET phantom = (d.images = 0 OR d.phantom) AND y.b ? 'phantom', images = d.images + y.n,
           last_image_at = clock_timestamp(), quiet_at = NULL
      FROM (SELECT x.t, x.u, min(x.sh) AS sh, count(*)::integer AS n,
                   (array_agg(x.b ORDER BY x.b ? 'phantom', x.b->>'modality' = '', x.i))[1] AS b
              FROM unnest(t, u, sh, b) WITH ORDINALITY AS x (t, u, sh, b, i) GROUP BY x.t, x.u ORDER BY x.t, x.u) y
     WHERE d.tenant_id = y.t AND d.study_uid = y.u
    RETURNING d.tenant_id, d.study_uid, d.phantom, y.sh, y.b
  ), of_series AS (
    UPDATE rr.series e SET images = e.images + y.n
      FROM (SELECT x.t, x.u, x.s, count(*)::integer AS n FROM unnest(t, u, s) AS x (t, u, s)
             GROUP BY x.t, x.u, x.s ORDER BY x.t, x.u, x.s) y
     WHERE e.tenant_id = y.t AND e.study_uid = y.u AND e.series_uid = y.s
  )
  INSERT INTO rr.inbox (tenant_id, study_uid, shard, body)
  SELECT c.tenant_id, c.study_uid, c.sh, c.b - 'phantom' FROM counted c WHERE NOT c.phantom;
  RETURN answers;
END $$;
