-- Retention: without a row of rr.retention a group keeps everything for ever. Journal and audit chain always stay.
CREATE TABLE rr.retention (
  tenant_id  text PRIMARY KEY CHECK (tenant_id <> ''),
  years      double precision NOT NULL CHECK (years > 0),  -- after the last change
  modalities jsonb NOT NULL DEFAULT '{}',                  -- {"MG": 20}: a study is kept as long as its longest-kept modality
  until_age  integer CHECK (until_age > 0),                -- nothing goes before the patient is so old; an unknown age keeps
  at         timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE rr.legal_hold (               -- of a study, or of all that is a patient's
  tenant_id   text NOT NULL CHECK (tenant_id <> ''),
  hold_id     text NOT NULL,
  study_uid   text,
  patient_id  text,
  reason      text NOT NULL,
  placed_at   timestamptz NOT NULL DEFAULT now(),
  lifted_at   timestamptz,
  lift_reason text,
  PRIMARY KEY (tenant_id, hold_id),
  CHECK ((study_uid IS NULL) <> (patient_id IS NULL))
);
CREATE TABLE rr.erasure (                  -- marked, then destroyed, then erased; a mark is taken back when something changed
  tenant_id    text NOT NULL CHECK (tenant_id <> ''),
  study_uid    text NOT NULL,
  site_id      text NOT NULL,
  images       integer NOT NULL,
  bytes        bigint NOT NULL,
  paths        text[] NOT NULL DEFAULT '{}',
  keys         text[] NOT NULL DEFAULT '{}',   -- directories that hold nothing of another study
  marked_at    timestamptz NOT NULL DEFAULT now(),
  destroyed_at timestamptz,
  erased_at    timestamptz,
  PRIMARY KEY (tenant_id, study_uid, marked_at)
);
CREATE UNIQUE INDEX erasure_under_way ON rr.erasure (tenant_id, study_uid) WHERE erased_at IS NULL;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['retention','legal_hold','erasure'] LOOP
    EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY admin ON rr.%I TO rr_admin USING (true)', t);
  END LOOP;
  -- the keeper: sees what decides, deletes what is erased, within one group
  FOREACH t IN ARRAY ARRAY['retention','legal_hold','erasure','dicom_study','series','instance','kept_apart','study','study_archive',
      'orders','report','report_version','report_conflict','explanation','inference_job','performed_step','notice','patient','journal',
      'inbox','access'] LOOP
    EXECUTE format('CREATE POLICY keep ON rr.%I TO rr_keeper USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
    EXECUTE format('GRANT SELECT ON rr.%I TO rr_keeper', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['dicom_study','series','instance','kept_apart','study','study_archive','orders','report','report_version',
      'report_conflict','explanation','inference_job','performed_step','notice','patient','erasure'] LOOP
    EXECUTE format('GRANT DELETE ON rr.%I TO rr_keeper', t);
  END LOOP;
END $$;
GRANT USAGE ON SCHEMA rr TO rr_keeper;
GRANT INSERT, UPDATE ON rr.erasure TO rr_keeper;
GRANT INSERT ON rr.access TO rr_keeper;
GRANT UPDATE ON rr.dicom_study TO rr_keeper;   -- to lock the row only
CREATE POLICY keep ON rr.tenant FOR SELECT TO rr_keeper USING (true);
GRANT SELECT ON rr.tenant TO rr_keeper;
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.retention TO rr_admin;
GRANT SELECT, INSERT, UPDATE ON rr.legal_hold TO rr_admin;
GRANT SELECT ON rr.erasure TO rr_admin;
CREATE POLICY ingest ON rr.erasure FOR SELECT TO rr_ingest USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
GRANT SELECT ON rr.erasure TO rr_ingest;

-- Images of a study that is just being erased are refused for some minutes: RR002.
DO $$
DECLARE
  store text := pg_get_functiondef('rr.store_images(text, jsonb)'::regprocedure);
  beside CONSTANT text := '    verdict := NULL;';
BEGIN
  IF position(beside IN store) = 0 THEN
    RAISE EXCEPTION 'rr.store_images has another form than this migration knows';
  END IF;
  EXECUTE replace(store, beside, $new$    IF EXISTS (SELECT 1 FROM rr.erasure e
        WHERE e.tenant_id = it.tenant_id AND e.study_uid = place.study_uid AND e.erased_at IS NULL) THEN
      RAISE EXCEPTION 'being erased' USING ERRCODE = 'RR002';
    END IF;
$new$ || beside);
END $$;
