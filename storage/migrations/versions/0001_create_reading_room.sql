-- The reading room, first schema. Every table is led by tenant_id and guarded by row-level security:
-- rr.tenants (text[] literal) names the tenants of the transaction, rr.sites is '*' or a text[] literal.
CREATE SCHEMA rr;

CREATE FUNCTION rr.tenants() RETURNS text[] LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('rr.tenants', true), '')::text[] $$;
CREATE FUNCTION rr.all_sites() RETURNS boolean LANGUAGE sql STABLE
  AS $$ SELECT coalesce(current_setting('rr.sites', true), '') = '*' $$;
CREATE FUNCTION rr.sites() RETURNS text[] LANGUAGE sql STABLE
  AS $$ SELECT CASE WHEN coalesce(current_setting('rr.sites', true), '') IN ('', '*') THEN '{}'::text[]
                    ELSE current_setting('rr.sites', true)::text[] END $$;

-- People and places ---------------------------------------------------------------------------
CREATE TABLE rr.tenant (
  tenant_id  text PRIMARY KEY CHECK (tenant_id <> ''),
  name       text NOT NULL UNIQUE,
  time_zone  text NOT NULL DEFAULT 'UTC',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE rr.site (
  tenant_id    text NOT NULL REFERENCES rr.tenant CHECK (tenant_id <> ''),
  site_id      text NOT NULL,
  name         text NOT NULL,
  jurisdiction text,                       -- a licence the reader needs, e.g. US-CA; null demands none
  issuer       text NOT NULL,              -- issuer of patient ids that arrive without one
  PRIMARY KEY (tenant_id, site_id),
  UNIQUE (tenant_id, name)
);
CREATE TABLE rr.person (                   -- global: one login, several memberships
  user_id       text PRIMARY KEY,
  email         text NOT NULL UNIQUE CHECK (email = lower(email)),
  name          text NOT NULL,
  password_hash text NOT NULL,
  totp_secret   text,
  operator      boolean NOT NULL DEFAULT false,
  active        boolean NOT NULL DEFAULT true,
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE rr.membership (
  tenant_id       text NOT NULL REFERENCES rr.tenant CHECK (tenant_id <> ''),
  user_id         text NOT NULL REFERENCES rr.person,
  role            text NOT NULL CHECK (role IN ('admin','manager','radiologist','resident','technologist','viewer','referring_physician')),
  sites           text[] NOT NULL DEFAULT '{}',   -- site-bound roles: the sites seen
  licences        text[] NOT NULL DEFAULT '{}',   -- jurisdictions
  subspecialties  text[] NOT NULL DEFAULT '{}',   -- e.g. neuro, chest; empty reads everything
  modalities      text[] NOT NULL DEFAULT '{}',   -- empty reads everything
  capacity        integer,                        -- null: the policy's
  active          boolean NOT NULL DEFAULT true,
  PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX membership_user ON rr.membership (user_id);
CREATE TABLE rr.shift (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  user_id   text NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at   timestamptz NOT NULL CHECK (ends_at > starts_at),
  PRIMARY KEY (tenant_id, user_id, starts_at)
);
CREATE TABLE rr.ae (                       -- who calls us, and where we send
  tenant_id  text NOT NULL CHECK (tenant_id <> ''),
  site_id    text NOT NULL,
  ae_id      text NOT NULL,
  aet        text NOT NULL,
  called_aet text,                         -- null: any
  source     cidr,                         -- null: any
  host       text NOT NULL,
  port       integer NOT NULL,
  PRIMARY KEY (tenant_id, ae_id),
  FOREIGN KEY (tenant_id, site_id) REFERENCES rr.site
);
CREATE TABLE rr.token (                    -- every credential is opaque; only its SHA-256 is kept
  token_hash  bytea PRIMARY KEY,
  kind        text NOT NULL CHECK (kind IN ('access','refresh','api','wall','ticket')),
  family      text NOT NULL,               -- one login: revoked together
  user_id     text,                        -- null for a wall
  tenant_id   text,                        -- null for an operator
  expires_at  timestamptz NOT NULL,
  used_at     timestamptz,
  revoked_at  timestamptz,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX token_family ON rr.token (family);
CREATE INDEX token_user ON rr.token (user_id);
CREATE TABLE rr.policy (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  version   integer NOT NULL,
  body      jsonb NOT NULL,
  by        text,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, version)
);
CREATE TABLE rr.webhook (
  tenant_id  text NOT NULL CHECK (tenant_id <> ''),
  webhook_id text NOT NULL,
  site_id    text,                         -- null: every site
  url        text NOT NULL,
  secret     text NOT NULL,
  PRIMARY KEY (tenant_id, webhook_id)
);

-- Images: written by ingest, before the sender hears "success" ---------------------------------
CREATE TABLE rr.patient (                  -- the only place of demographics; the same person iff issuer and mrn are
  tenant_id  text NOT NULL CHECK (tenant_id <> ''),
  patient_id text NOT NULL,
  issuer     text NOT NULL,
  mrn        text NOT NULL,
  name       text NOT NULL,
  birth_date text NOT NULL DEFAULT '',     -- ISO date or ''
  sex        text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, patient_id)
);
CREATE INDEX patient_mrn ON rr.patient (tenant_id, issuer, mrn);
CREATE TABLE rr.dicom_study (
  tenant_id        text NOT NULL CHECK (tenant_id <> ''),
  study_uid        text NOT NULL,          -- ours; differs from the header's only for a kept-apart conflict
  site_id          text NOT NULL,
  patient_id       text NOT NULL,
  header_study_uid text NOT NULL,          -- (0020,000D) as received
  accession_number text NOT NULL DEFAULT '',
  study_date       text NOT NULL DEFAULT '',
  study_time       text NOT NULL DEFAULT '',
  header           jsonb NOT NULL,         -- DICOM JSON of the study-level attributes
  images           integer NOT NULL DEFAULT 0,
  first_image_at   timestamptz NOT NULL DEFAULT now(),
  last_image_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, study_uid)
);
CREATE INDEX dicom_study_site ON rr.dicom_study (tenant_id, site_id, study_date);
CREATE INDEX dicom_study_accession ON rr.dicom_study (tenant_id, accession_number);
CREATE INDEX dicom_study_patient ON rr.dicom_study (tenant_id, patient_id);
CREATE TABLE rr.series (
  tenant_id  text NOT NULL CHECK (tenant_id <> ''),
  study_uid  text NOT NULL,
  series_uid text NOT NULL,
  site_id    text NOT NULL,
  modality   text NOT NULL DEFAULT '',
  header     jsonb NOT NULL,
  images     integer NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, study_uid, series_uid)
);
CREATE TABLE rr.instance (
  tenant_id       text NOT NULL CHECK (tenant_id <> ''),
  study_uid       text NOT NULL,
  series_uid      text NOT NULL,
  sop_uid         text NOT NULL,
  site_id         text NOT NULL,
  sop_class       text NOT NULL,
  transfer_syntax text NOT NULL,
  path            text NOT NULL,           -- below the object store
  size            bigint NOT NULL,
  sha256          bytea NOT NULL,
  header          jsonb NOT NULL,          -- DICOM JSON without bulk data
  received_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, study_uid, series_uid, sop_uid)
);
CREATE INDEX instance_sop ON rr.instance (tenant_id, sop_uid);
CREATE TABLE rr.kept_apart (               -- different content under a known SOP Instance UID: kept, flagged, never shown as the image
  tenant_id   text NOT NULL CHECK (tenant_id <> ''),
  study_uid   text NOT NULL,
  sop_uid     text NOT NULL,
  sha256      bytea NOT NULL,
  site_id     text NOT NULL,
  path        text NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, sop_uid, sha256)
);
CREATE TABLE rr.inbox (                    -- what the study's actor has not yet been told
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  inbox_id  bigint GENERATED ALWAYS AS IDENTITY,
  study_uid text NOT NULL,
  shard     integer NOT NULL,
  body      jsonb NOT NULL,                -- {kind: images, site_id, patient_id, header: {...}}
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, inbox_id)
);
CREATE INDEX inbox_shard ON rr.inbox (shard, inbox_id);

-- The core: journal, feed, timers, answers, outbox, audit --------------------------------------
CREATE TABLE rr.tenant_head (
  tenant_id text PRIMARY KEY CHECK (tenant_id <> ''),
  pos       bigint NOT NULL DEFAULT 0,
  decider   bigint NOT NULL DEFAULT 0,
  audit     bytea NOT NULL DEFAULT '\x',
  epoch     text NOT NULL DEFAULT gen_random_uuid()::text   -- changes only when the feed was restored
) WITH (fillfactor = 50);
CREATE TABLE rr.stream_head (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  stream    text NOT NULL,
  seq       bigint NOT NULL DEFAULT 0,
  counters  jsonb,                         -- tenant:, site: and wall: streams only
  PRIMARY KEY (tenant_id, stream)
) WITH (fillfactor = 50);
CREATE TABLE rr.journal (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  entity    text NOT NULL,                 -- study/UID, radiologist/ID, tenant/ID
  version   integer NOT NULL,              -- gap-free: the primary key is the fence
  type      text NOT NULL,
  body      jsonb NOT NULL,
  by        text,                          -- user id or null
  idem      text,
  at        timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, entity, version)
);
CREATE TABLE rr.feed (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  pos       bigint NOT NULL,
  stream    text NOT NULL,
  seq       bigint NOT NULL,
  id        uuid NOT NULL,
  type      text NOT NULL,
  data      jsonb NOT NULL,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, pos)
);
CREATE UNIQUE INDEX feed_stream ON rr.feed (tenant_id, stream, seq);
CREATE INDEX feed_at ON rr.feed (at);
CREATE TABLE rr.timer (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  entity    text NOT NULL,
  name      text NOT NULL,                 -- offer | sla_warn | sla_breach | midnight | ...
  shard     integer NOT NULL,
  version   integer NOT NULL,              -- the step an offer timer belongs to
  due_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, entity, name)
);
CREATE INDEX timer_due ON rr.timer (shard, due_at);
CREATE TABLE rr.answer (                   -- durable idempotency, kept 24 h
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  user_id   text NOT NULL,
  idem      text NOT NULL,
  digest    bytea NOT NULL,                -- SHA-256 of the command: another payload is bad_payload
  answer    jsonb NOT NULL,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, user_id, idem)
);
CREATE TABLE rr.audit (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  pos       bigint NOT NULL,               -- gap-free within the tenant's chain
  body      jsonb NOT NULL,                -- SHA-256 (hex) of each event of the batch, in order
  hash      bytea NOT NULL,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, pos)
);
CREATE TABLE rr.access (                   -- audited acts that are not events: logins, study openings, admin changes
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  access_id bigint GENERATED ALWAYS AS IDENTITY,
  user_id   text,
  act       text NOT NULL,
  subject   text NOT NULL DEFAULT '',
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, access_id)
);
CREATE TABLE rr.outbox (                   -- reports under way to whoever asked for them
  tenant_id    text NOT NULL CHECK (tenant_id <> ''),
  outbox_id    text NOT NULL,              -- UUIDv7: sent as the body's id
  study_uid    text NOT NULL,
  site_id      text NOT NULL,
  type         text NOT NULL,              -- report_prelim | report_final | report_addendum
  report_id    text NOT NULL,
  version      integer NOT NULL,
  seq          bigint GENERATED ALWAYS AS IDENTITY,
  at           timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, outbox_id)
);
CREATE TABLE rr.delivery (                 -- one row a message and receiver
  tenant_id    text NOT NULL CHECK (tenant_id <> ''),
  outbox_id    text NOT NULL,
  webhook_id   text NOT NULL,
  study_uid    text NOT NULL,
  seq          bigint NOT NULL,
  attempts     integer NOT NULL DEFAULT 0,
  next_at      timestamptz NOT NULL DEFAULT now(),
  delivered_at timestamptz,
  last_error   text,
  PRIMARY KEY (tenant_id, outbox_id, webhook_id)
);
CREATE INDEX delivery_due ON rr.delivery (next_at) WHERE delivered_at IS NULL;

-- Read models: written in the command's own transaction ----------------------------------------
CREATE TABLE rr.study (
  tenant_id        text NOT NULL CHECK (tenant_id <> ''),
  study_uid        text NOT NULL,
  site_id          text NOT NULL,
  rev              integer NOT NULL,       -- journal version
  step             integer NOT NULL,       -- journal version of the last change of status, assignment, order, priority, report
  status           text NOT NULL,
  open             boolean NOT NULL,
  priority         text NOT NULL,
  reader           text,                   -- who was offered it or has it
  patient_id       text NOT NULL,
  accession_number text NOT NULL,
  flags            text[] NOT NULL,
  referring        text,                   -- user id of the physician the order names
  doc              jsonb NOT NULL,         -- the whole state (no demographics)
  PRIMARY KEY (tenant_id, study_uid)
);
CREATE INDEX study_open ON rr.study (tenant_id, site_id) WHERE open;
CREATE INDEX study_patient ON rr.study (tenant_id, patient_id);
CREATE INDEX study_accession ON rr.study (tenant_id, site_id, accession_number);
CREATE INDEX study_reader ON rr.study (tenant_id, reader) WHERE open;
CREATE TABLE rr.orders (
  tenant_id        text NOT NULL CHECK (tenant_id <> ''),
  site_id          text NOT NULL,
  accession_number text NOT NULL,
  study_uid        text NOT NULL,          -- minted with the order, or of the images it joined
  patient_id       text NOT NULL,
  body             jsonb NOT NULL,
  cancelled        boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, site_id, accession_number)
);
CREATE INDEX orders_study ON rr.orders (tenant_id, study_uid);
CREATE TABLE rr.report (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  report_id text NOT NULL,
  study_uid text NOT NULL,
  site_id   text NOT NULL,
  status    text NOT NULL,
  version   integer NOT NULL,
  sections  jsonb NOT NULL,
  signed_by text,
  signed_at timestamptz,
  addenda   jsonb NOT NULL DEFAULT '[]',   -- [{text, by, at}]
  PRIMARY KEY (tenant_id, report_id)
);
CREATE INDEX report_study ON rr.report (tenant_id, study_uid);
CREATE TABLE rr.report_version (           -- every saved draft and every signed text, never edited
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  report_id text NOT NULL,
  version   integer NOT NULL,
  site_id   text NOT NULL,
  status    text NOT NULL,
  sections  jsonb NOT NULL,
  by        text,
  at        timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, report_id, version)
);
CREATE TABLE rr.report_conflict (
  tenant_id   text NOT NULL CHECK (tenant_id <> ''),
  report_id   text NOT NULL,
  conflict_id text NOT NULL,
  site_id     text NOT NULL,
  sections    jsonb NOT NULL,
  by          text NOT NULL,
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, report_id, conflict_id)
);
CREATE TABLE rr.reader (                   -- live state of a radiologist; presence shown is derived
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  user_id   text NOT NULL,
  state     text NOT NULL DEFAULT 'off',   -- online | busy | away | off
  load      integer NOT NULL DEFAULT 0,    -- studies offered, assigned or being read
  study_uid text,                          -- being read: online shows as reading
  rev       integer NOT NULL DEFAULT 0,    -- journal version of radiologist/ID
  PRIMARY KEY (tenant_id, user_id)
);
CREATE TABLE rr.explanation (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  study_uid text NOT NULL,
  offer_id  text NOT NULL,
  body      jsonb NOT NULL,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, study_uid, offer_id)
);
CREATE TABLE rr.inference_job (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  job_id    text NOT NULL,
  study_uid text NOT NULL,
  images    integer NOT NULL,              -- how many were there when it was queued
  priority  integer NOT NULL,              -- 0 STAT, 1 URGENT, 2 ROUTINE
  status    text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued','running','done','parked')),
  attempts  integer NOT NULL DEFAULT 0,
  lease_until timestamptz,
  not_before timestamptz NOT NULL DEFAULT now(),
  error     text,
  result    jsonb,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, job_id)
);
CREATE INDEX inference_job_due ON rr.inference_job (priority, at) WHERE status IN ('queued','running');
CREATE UNIQUE INDEX inference_job_study ON rr.inference_job (tenant_id, study_uid, images);

-- Row-level security ----------------------------------------------------------------------------
-- rr_host: the tenants of the transaction. rr_app: those, and the sites of the session.
-- The narrow roles see across tenants only what their one job needs. Nobody has BYPASSRLS.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['tenant','site','membership','shift','ae','policy','webhook','patient','dicom_study','series','instance',
      'kept_apart','inbox','tenant_head','stream_head','journal','feed','timer','answer','audit','access','outbox','delivery','study','orders',
      'report','report_version','report_conflict','reader','explanation','inference_job'] LOOP
    EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY host ON rr.%I TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON rr.%I TO rr_host', t);
  END LOOP;
  -- tables with a site column: the session's sites
  FOREACH t IN ARRAY ARRAY['site','dicom_study','series','instance','kept_apart','study','orders','report','report_version','report_conflict'] LOOP
    EXECUTE format('CREATE POLICY app ON rr.%I TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[])
       AND ((SELECT rr.all_sites()) OR site_id = ANY((SELECT rr.sites())::text[])))', t);
    EXECUTE format('GRANT SELECT ON rr.%I TO rr_app', t);
  END LOOP;
  -- tenant-wide tables
  FOREACH t IN ARRAY ARRAY['tenant','membership','shift','policy','tenant_head','stream_head','reader','answer','webhook','access'] LOOP
    EXECUTE format('CREATE POLICY app ON rr.%I TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
    EXECUTE format('GRANT SELECT ON rr.%I TO rr_app', t);
  END LOOP;
  -- tenant-wide roles only
  FOREACH t IN ARRAY ARRAY['journal','explanation','delivery','outbox','audit','ae'] LOOP
    EXECUTE format('CREATE POLICY app ON rr.%I TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[]) AND (SELECT rr.all_sites()))', t);
    EXECUTE format('GRANT SELECT ON rr.%I TO rr_app', t);
  END LOOP;
END $$;
CREATE POLICY app ON rr.feed TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[]) AND ((SELECT rr.all_sites())
  OR stream LIKE 'user:%' OR stream = ANY (ARRAY(SELECT 'site:' || s FROM unnest((SELECT rr.sites())) AS s))));
GRANT SELECT ON rr.feed TO rr_app;
CREATE POLICY app ON rr.patient TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[]) AND ((SELECT rr.all_sites())
  OR EXISTS (SELECT 1 FROM rr.study s WHERE s.tenant_id = patient.tenant_id AND s.patient_id = patient.patient_id)
  OR EXISTS (SELECT 1 FROM rr.dicom_study d WHERE d.tenant_id = patient.tenant_id AND d.patient_id = patient.patient_id)));
GRANT SELECT ON rr.patient TO rr_app;
GRANT INSERT ON rr.policy, rr.access, rr.report_conflict TO rr_app;
GRANT SELECT, INSERT ON rr.person TO rr_host;  -- names only are read; see the column grant below
REVOKE INSERT ON rr.person FROM rr_host;
REVOKE SELECT ON rr.person FROM rr_host;
GRANT SELECT (user_id, email, name, active) ON rr.person TO rr_host, rr_app, rr_delivery;

-- ingest: writes images and their inbox entry, looks up orders by nothing; finds the caller across tenants
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['patient','dicom_study','series','instance','kept_apart','inbox'] LOOP
    EXECUTE format('CREATE POLICY ingest ON rr.%I TO rr_ingest USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON rr.%I TO rr_ingest', t);
  END LOOP;
END $$;
CREATE POLICY ingest ON rr.orders FOR SELECT TO rr_ingest USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY ingest ON rr.ae FOR SELECT TO rr_ingest USING (true);
CREATE POLICY ingest ON rr.site FOR SELECT TO rr_ingest USING (true);
GRANT SELECT ON rr.orders, rr.ae, rr.site TO rr_ingest;

-- login: people and their credentials
CREATE POLICY login ON rr.tenant FOR SELECT TO rr_login USING (true);
CREATE POLICY login ON rr.site FOR SELECT TO rr_login USING (true);
CREATE POLICY login ON rr.membership FOR SELECT TO rr_login USING (true);
CREATE POLICY login ON rr.access FOR INSERT TO rr_login WITH CHECK (true);
GRANT SELECT ON rr.tenant, rr.site, rr.membership, rr.person TO rr_login;
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.token TO rr_login;
GRANT INSERT ON rr.access TO rr_login;

-- timers and inbox: which entities to wake, across tenants; nothing else
CREATE POLICY wake ON rr.timer FOR SELECT TO rr_timer USING (true);
CREATE POLICY wake ON rr.inbox FOR SELECT TO rr_timer USING (true);
CREATE POLICY wake ON rr.tenant FOR SELECT TO rr_timer USING (true);
GRANT SELECT ON rr.timer, rr.inbox, rr.tenant TO rr_timer;

-- delivery: finds due messages across tenants, reads reports within one
CREATE POLICY deliver ON rr.outbox FOR SELECT TO rr_delivery USING (true);
CREATE POLICY deliver ON rr.delivery TO rr_delivery USING (true);
CREATE POLICY deliver ON rr.webhook FOR SELECT TO rr_delivery USING (true);
CREATE POLICY deliver ON rr.report FOR SELECT TO rr_delivery USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY deliver ON rr.report_version FOR SELECT TO rr_delivery USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
GRANT SELECT ON rr.outbox, rr.webhook, rr.report, rr.report_version TO rr_delivery;
GRANT SELECT, INSERT, UPDATE ON rr.delivery TO rr_delivery;

-- inference: claims jobs across tenants, reads images within one
CREATE POLICY infer ON rr.inference_job TO rr_infer USING (true);
CREATE POLICY infer ON rr.instance FOR SELECT TO rr_infer USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY infer ON rr.series FOR SELECT TO rr_infer USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
GRANT SELECT, UPDATE ON rr.inference_job TO rr_infer;
GRANT SELECT ON rr.instance, rr.series TO rr_infer;

-- administration: people, sites, AE titles, policies, webhooks of every tenant; no patient data
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['tenant','site','membership','shift','ae','policy','webhook','access','tenant_head'] LOOP
    EXECUTE format('CREATE POLICY admin ON rr.%I TO rr_admin USING (true)', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON rr.%I TO rr_admin', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['study','inference_job'] LOOP   -- counts for `admin status`
    EXECUTE format('CREATE POLICY admin ON rr.%I FOR SELECT TO rr_admin USING (true)', t);
  END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE ON rr.person TO rr_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.token TO rr_admin;
GRANT SELECT (tenant_id, open, status) ON rr.study TO rr_admin;
GRANT SELECT (tenant_id, status) ON rr.inference_job TO rr_admin;

GRANT USAGE ON SCHEMA rr TO rr_host, rr_app, rr_ingest, rr_login, rr_timer, rr_delivery, rr_infer, rr_admin;
