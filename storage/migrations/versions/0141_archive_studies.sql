-- A study that was closed long ago keeps its narrow row in rr.study, by which lists, reports and images find it;
-- its whole state stands in rr.study_archive. The next event of the study brings it back.
ALTER TABLE rr.study ADD COLUMN archived_at timestamptz;   -- set: doc is a stub of shape 0
CREATE INDEX study_closed ON rr.study (tenant_id, study_uid) WHERE NOT open AND archived_at IS NULL;
CREATE TABLE rr.study_archive (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  study_uid text NOT NULL,
  site_id   text NOT NULL,
  doc       jsonb NOT NULL,
  PRIMARY KEY (tenant_id, study_uid)
);
ALTER TABLE rr.study_archive ENABLE ROW LEVEL SECURITY;
ALTER TABLE rr.study_archive FORCE ROW LEVEL SECURITY;
CREATE POLICY host ON rr.study_archive TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY app ON rr.study_archive TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[])
  AND ((SELECT rr.all_sites()) OR site_id = ANY((SELECT rr.sites())::text[])));
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.study_archive TO rr_host;
GRANT SELECT ON rr.study_archive TO rr_app;

CREATE FUNCTION rr.bring_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM rr.study_archive a WHERE a.tenant_id = OLD.tenant_id AND a.study_uid = OLD.study_uid;
  NEW.archived_at := NULL;
  RETURN NEW;
END $$;
CREATE TRIGGER bring_back BEFORE UPDATE ON rr.study FOR EACH ROW
  WHEN (OLD.archived_at IS NOT NULL AND NEW.rev <> OLD.rev) EXECUTE FUNCTION rr.bring_back();
