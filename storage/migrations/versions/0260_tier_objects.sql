-- Tiering: without a row of rr.tiering a group's files stay where they came. Where a file lies, its path says.
CREATE TABLE rr.tiering (
  tenant_id text PRIMARY KEY CHECK (tenant_id <> ''),
  days      double precision NOT NULL CHECK (days > 0),  -- after the last change and the last opening
  at        timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE rr.tier_move (                -- a study whose files are being copied, or were and leave what they were copied from
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  study_uid text NOT NULL,
  move_id   text NOT NULL,                 -- part of the names of its copies: no name is ever used twice
  to_cold   boolean NOT NULL,
  alive_at  timestamptz NOT NULL DEFAULT now(),
  moved_at  timestamptz,                   -- since when rows name the copies
  old_paths text[] NOT NULL DEFAULT '{}',  -- what they named before; removed after a while, as readers may have it in hand
  PRIMARY KEY (tenant_id, study_uid)
);
ALTER TABLE rr.dicom_study ADD COLUMN cold_at timestamptz;  -- when its files were moved to the cold tier; null: they are hot
CREATE INDEX dicom_study_cold ON rr.dicom_study (tenant_id, study_uid) WHERE cold_at IS NOT NULL;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['tiering','tier_move'] LOOP
    EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY admin ON rr.%I TO rr_admin USING (true)', t);
    EXECUTE format('CREATE POLICY keep ON rr.%I TO rr_keeper USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
  END LOOP;
END $$;
CREATE POLICY ingest ON rr.tier_move FOR SELECT TO rr_ingest USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY keep ON rr.damage FOR SELECT TO rr_keeper USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY admin ON rr.dicom_study FOR SELECT TO rr_admin USING (true);
GRANT SELECT (tenant_id, cold_at) ON rr.dicom_study TO rr_admin;   -- to count only
GRANT SELECT ON rr.tier_move TO rr_ingest, rr_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.tiering TO rr_admin;
GRANT SELECT ON rr.tiering, rr.damage TO rr_keeper;
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.tier_move TO rr_keeper;
GRANT UPDATE (path) ON rr.instance, rr.kept_apart TO rr_keeper;
