CREATE TABLE rr.scrub (                    -- how far the slow check of every file has come, round after round
  tenant_id  text PRIMARY KEY CHECK (tenant_id <> ''),
  study_uid  text NOT NULL DEFAULT '',
  series_uid text NOT NULL DEFAULT '',
  sop_uid    text NOT NULL DEFAULT '',
  round_at   timestamptz                   -- when every file had been checked last
);
CREATE TABLE rr.damage (                   -- files that were found not to be what was written
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  path      text NOT NULL,
  site_id   text NOT NULL,
  study_uid text NOT NULL,
  sop_uid   text NOT NULL,
  cause     text NOT NULL CHECK (cause IN ('changed', 'missing')),
  found_by  text NOT NULL CHECK (found_by IN ('scrub', 'read')),
  found_at  timestamptz NOT NULL DEFAULT now(),
  healed_at timestamptz,                   -- when it was found to be right again, as after a restore
  PRIMARY KEY (tenant_id, path)
);
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['scrub','damage'] LOOP
    EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY admin ON rr.%I FOR SELECT TO rr_admin USING (true)', t);
    EXECUTE format('CREATE POLICY ingest ON rr.%I TO rr_ingest USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
    EXECUTE format('GRANT SELECT ON rr.%I TO rr_admin', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON rr.%I TO rr_ingest', t);
  END LOOP;
END $$;
