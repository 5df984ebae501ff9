-- Late demographics. Rows of images keep whose they were received as; rr.study says whose a study is now.
ALTER TABLE rr.patient
  ADD COLUMN merged_into text,                      -- whose number took the place of hers
  ADD COLUMN survivor    text,                      -- who stands at the end of such merges
  ADD COLUMN edition     integer NOT NULL DEFAULT 0; -- how often her demographics were corrected
CREATE INDEX patient_merged ON rr.patient (tenant_id, merged_into) WHERE merged_into IS NOT NULL;

-- Ingest asks whose a study is now when late images name another patient than its first ones.
CREATE POLICY ingest_owner ON rr.study FOR SELECT TO rr_ingest USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
GRANT SELECT (tenant_id, study_uid, patient_id) ON rr.study TO rr_ingest;

CREATE FUNCTION rr.belongs(tenant text, uid text, given jsonb, owner text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT 1 FROM rr.patient g JOIN rr.patient w ON w.tenant_id = tenant AND w.patient_id = coalesce(g.survivor, g.patient_id)
     WHERE g.tenant_id = tenant AND g.patient_id = given->>'patient_id'
       AND w.patient_id = coalesce((SELECT s.patient_id FROM rr.study s WHERE s.tenant_id = tenant AND s.study_uid = uid),
         (SELECT coalesce(o.survivor, o.patient_id) FROM rr.patient o WHERE o.tenant_id = tenant AND o.patient_id = owner))
       AND (w.sex = '' OR given->>'sex' IN ('', w.sex))
       AND (w.birth_date = '' OR given->>'birth_date' IN ('', w.birth_date)))
$$;

-- The patient module's identifying attributes as DICOM JSON (PS3.18 F.2, PS3.3 C.7.1.1).
CREATE FUNCTION rr.patient_header(p rr.patient) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object(
    '00100010', jsonb_build_object('vr', 'PN', 'Value', CASE WHEN p.name <> '' THEN jsonb_build_array(jsonb_build_object(
        'Alphabetic', nullif(split_part(p.name, '=', 1), ''), 'Ideographic', nullif(split_part(p.name, '=', 2), ''),
        'Phonetic', nullif(split_part(p.name, '=', 3), ''))) END),
    '00100020', jsonb_build_object('vr', 'LO', 'Value', CASE WHEN p.mrn <> '' THEN jsonb_build_array(p.mrn) END),
    '00100021', jsonb_build_object('vr', 'LO', 'Value', CASE WHEN p.issuer <> '' THEN jsonb_build_array(p.issuer) END),
    '00100030', jsonb_build_object('vr', 'DA', 'Value', CASE WHEN p.birth_date <> '' THEN
        jsonb_build_array(replace(p.birth_date, '-', '')) END),
    '00100040', jsonb_build_object('vr', 'CS', 'Value', CASE WHEN p.sex <> '' THEN jsonb_build_array(p.sex) END)))
$$;

-- Two more things a batch of commands may say, and one more place where late images may stand; the rest stays as it is.
DO $$
DECLARE
  batch text := pg_get_functiondef('rr.commit_batch(jsonb)'::regprocedure);
  store text := pg_get_functiondef('rr.store_images(text, jsonb)'::regprocedure);
  beside CONSTANT text := '  IF batch ? ''studies'' THEN';
  corrected CONSTANT text := 'UPDATE rr.patient p SET name = x.name';
  same CONSTANT text := 'AND (owner.birth_date = '''' OR it.patient->>''birth_date'' IN ('''', owner.birth_date))));';
BEGIN
  IF position(beside IN batch) = 0 OR position(corrected IN batch) = 0 OR position(same IN store) = 0 THEN
    RAISE EXCEPTION 'rr.commit_batch or rr.store_images has another form than this migration knows';
  END IF;
  batch := replace(batch, corrected, 'UPDATE rr.patient p SET edition = p.edition + 1, name = x.name');
  EXECUTE replace(batch, beside, $new$  IF batch ? 'merges' THEN
    UPDATE rr.patient p SET merged_into = x.survivor
      FROM jsonb_to_recordset(batch->'merges') AS x(tenant_id text, patient_id text, survivor text)
      WHERE p.tenant_id = x.tenant_id AND p.patient_id = x.patient_id;
    WITH RECURSIVE under AS (
      SELECT x.tenant_id, x.patient_id, coalesce((SELECT coalesce(q.survivor, q.patient_id) FROM rr.patient q
               WHERE q.tenant_id = x.tenant_id AND q.patient_id = x.survivor), x.patient_id) AS top
        FROM jsonb_to_recordset(batch->'merges') AS x(tenant_id text, patient_id text, survivor text)
      UNION SELECT p.tenant_id, p.patient_id, u.top FROM rr.patient p
        JOIN under u ON p.tenant_id = u.tenant_id AND p.merged_into = u.patient_id)
    UPDATE rr.patient p SET survivor = nullif(u.top, p.patient_id) FROM under u
      WHERE p.tenant_id = u.tenant_id AND p.patient_id = u.patient_id;
  END IF;
$new$ || beside);
  EXECUTE replace(store, same, replace(same, '))));',
    ')) OR rr.belongs(it.tenant_id, place.study_uid, it.patient, owner.patient_id)));'));
END $$;
GRANT EXECUTE ON FUNCTION rr.belongs TO rr_ingest;
GRANT EXECUTE ON FUNCTION rr.patient_header TO rr_app;
