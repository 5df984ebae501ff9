-- Images never overwrite demographics; an order that is placed again does, for the same issuer and number.
-- One more list of a batch, `corrections`, written beside `patients`; the rest of the function stays as it is.
DO $$
DECLARE
  whole text := pg_get_functiondef('rr.commit_batch(jsonb)'::regprocedure);
  beside CONSTANT text := '  IF batch ? ''studies'' THEN';
BEGIN
  IF position(beside IN whole) = 0 THEN
    RAISE EXCEPTION 'rr.commit_batch has another form than this migration knows';
  END IF;
  EXECUTE replace(whole, beside, $new$  IF batch ? 'corrections' THEN
    UPDATE rr.patient p SET name = x.name, birth_date = x.birth_date, sex = x.sex
      FROM jsonb_populate_recordset(NULL::rr.patient, batch->'corrections') AS x
      WHERE p.tenant_id = x.tenant_id AND p.patient_id = x.patient_id AND (p.issuer, p.mrn) = (x.issuer, x.mrn);
  END IF;
$new$ || beside);
END $$;
