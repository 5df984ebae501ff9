-- A study all of whose images are of a quality control subject is not told to the inbox, so it is on no worklist.
ALTER TABLE rr.dicom_study ADD COLUMN phantom boolean NOT NULL DEFAULT false;

DO $$
DECLARE
  whole text := pg_get_functiondef('rr.store_images(text, jsonb)'::regprocedure);
  pieces CONSTANT text[][] := ARRAY[
    ['ORDER BY x.b->>''modality'' = '''', x.i', 'ORDER BY x.b ? ''phantom'', x.b->>''modality'' = '''', x.i'],
    ['SET images = images + line.n, last_image_at', 'SET phantom = (images = 0 OR phantom) AND line.b ? ''phantom'', images = images + line.n, last_image_at'],
    ['VALUES (line.t, line.u, line.sh, line.b);', E'SELECT line.t, line.u, line.sh, line.b - ''phantom''\n     WHERE NOT EXISTS (SELECT 1 FROM rr.dicom_study d WHERE d.tenant_id = line.t AND d.study_uid = line.u AND d.phantom);']];
  n integer;
BEGIN
  FOR n IN 1..array_length(pieces, 1) LOOP
    IF position(pieces[n][1] IN whole) = 0 THEN
      RAISE EXCEPTION 'rr.store_images has another form than this migration knows';
    END IF;
    whole := replace(whole, pieces[n][1], pieces[n][2]);
  END LOOP;
  EXECUTE whole;
END $$;
