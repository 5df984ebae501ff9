-- DIMSE services beside C-STORE.

-- A caller of a whole group sees every site of it; its own images are those of its row's site. Who shows a certificate that a
-- row names is that row's caller, and only who shows it.
ALTER TABLE rr.ae
  ADD COLUMN wide        boolean NOT NULL DEFAULT false,
  ADD COLUMN tls         boolean NOT NULL DEFAULT false,   -- we send under TLS
  ADD COLUMN certificate text;                             -- PEM

CREATE TABLE rr.performed_step (           -- modality performed procedure steps (PS3.4 F.7)
  tenant_id        text NOT NULL CHECK (tenant_id <> ''),
  site_id          text NOT NULL,
  step_uid         text NOT NULL,
  study_uid        text NOT NULL,          -- as in the images' headers
  accession_number text NOT NULL DEFAULT '',
  status           text NOT NULL CHECK (status IN ('IN PROGRESS','COMPLETED','DISCONTINUED')),
  images           integer NOT NULL DEFAULT 0,     -- that it says it made
  header           jsonb NOT NULL,
  changed_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, site_id, step_uid)
);
CREATE INDEX performed_step_study ON rr.performed_step (tenant_id, study_uid);
CREATE TABLE rr.notice (                   -- instance availability notifications (PS3.4 R)
  tenant_id  text NOT NULL CHECK (tenant_id <> ''),
  site_id    text NOT NULL,
  notice_uid text NOT NULL,
  study_uid  text NOT NULL,
  images     integer NOT NULL,             -- that exist, wherever
  at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, site_id, notice_uid)
);
CREATE INDEX notice_study ON rr.notice (tenant_id, study_uid);
CREATE TABLE rr.commitment (               -- storage commitments that somebody waits for (PS3.4 J)
  tenant_id       text NOT NULL CHECK (tenant_id <> ''),
  ae_id           text NOT NULL,
  transaction_uid text NOT NULL,
  site_id         text NOT NULL,
  wanted          jsonb NOT NULL,          -- [[class, instance], ...]
  attempts        integer NOT NULL DEFAULT 0,
  due_at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, ae_id, transaction_uid)
);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['performed_step','notice','commitment'] LOOP
    EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY ingest ON rr.%I TO rr_ingest USING (tenant_id = ANY((SELECT rr.tenants())::text[])
      AND ((SELECT rr.all_sites()) OR site_id = ANY((SELECT rr.sites())::text[])))', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['performed_step','notice'] LOOP
    EXECUTE format('CREATE POLICY host ON rr.%I TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
    EXECUTE format('CREATE POLICY app ON rr.%I FOR SELECT TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[])
      AND ((SELECT rr.all_sites()) OR site_id = ANY((SELECT rr.sites())::text[])))', t);
    EXECUTE format('GRANT SELECT ON rr.%I TO rr_host, rr_app', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON rr.%I TO rr_ingest', t);
  END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.commitment TO rr_ingest;

-- How many images a study will have, as steps and notices say; null when none does. A step under way says nothing yet.
CREATE FUNCTION rr.announced(tenant text, site text, uid text) RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    (SELECT CASE WHEN bool_and(p.status <> 'IN PROGRESS') THEN nullif(sum(p.images), 0)::integer END
       FROM rr.performed_step p WHERE p.tenant_id = tenant AND p.site_id = site AND p.study_uid = uid),
    (SELECT max(n.images) FROM rr.notice n WHERE n.tenant_id = tenant AND n.site_id = site AND n.study_uid = uid))
$$;
GRANT EXECUTE ON FUNCTION rr.announced TO rr_host;
