-- What decisions were made of, and how long reads took: both written where it happens, read by the tenant's decider.
CREATE TABLE rr.decision (                 -- the inputs of one call of the policy: it can be made again from them
  tenant_id   text NOT NULL CHECK (tenant_id <> ''),
  decision_id text NOT NULL,
  packed      bytea NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, decision_id)
);
CREATE INDEX decision_at ON rr.decision (tenant_id, at);
CREATE TABLE rr.read_time (                -- one row a study: who read it and how long, from opening to first signature
  tenant_id      text NOT NULL CHECK (tenant_id <> ''),
  study_uid      text NOT NULL,
  seq            bigserial NOT NULL,
  radiologist_id text NOT NULL,
  modality       text NOT NULL,
  body_part      text NOT NULL,
  procedure      text NOT NULL,
  minutes        double precision NOT NULL,
  at             timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, study_uid)
);
CREATE INDEX read_time_new ON rr.read_time (tenant_id, seq);
CREATE INDEX read_time_at ON rr.read_time (tenant_id, at);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['decision', 'read_time'] LOOP
    EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY host ON rr.%I TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
    EXECUTE format('CREATE POLICY app ON rr.%I TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[])
       AND (SELECT rr.all_sites()))', t);
    EXECUTE format('GRANT SELECT ON rr.%I TO rr_app', t);
  END LOOP;
END $$;
GRANT SELECT, INSERT, DELETE ON rr.decision TO rr_host;
GRANT SELECT, INSERT, DELETE ON rr.read_time TO rr_host;
GRANT USAGE ON SEQUENCE rr.read_time_seq_seq TO rr_host;

-- A reading time is kept in the very transaction of the signature.
CREATE FUNCTION rr.keep_read_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO rr.read_time (tenant_id, study_uid, radiologist_id, modality, body_part, procedure, minutes)
  VALUES (NEW.tenant_id, NEW.study_uid, NEW.doc->>'read_by', NEW.doc->>'modality', NEW.doc->>'body_part',
          NEW.doc->>'procedure', (NEW.doc->>'read_min')::double precision)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_read_time AFTER INSERT OR UPDATE OF status ON rr.study FOR EACH ROW
  WHEN (NEW.status IN ('prelim', 'final') AND NEW.doc->>'read_min' IS NOT NULL AND NEW.doc->>'read_by' IS NOT NULL)
  EXECUTE FUNCTION rr.keep_read_time();
