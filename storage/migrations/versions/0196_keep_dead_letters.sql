-- Messages that an entity fails on: no demographics, what is needed to try images and timers again.
CREATE TABLE rr.dead_letter (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  letter_id text NOT NULL DEFAULT gen_random_uuid()::text,
  entity    text NOT NULL,
  source    text NOT NULL CHECK (source IN ('command', 'inbox', 'timer')),
  command   text NOT NULL,
  cause     text NOT NULL,                    -- class of the exception and where it was raised, never its text
  tries     integer NOT NULL DEFAULT 1,
  user_id   text,
  idem      text,
  body      jsonb,                            -- rows of rr.inbox, or the one of rr.timer
  at        timestamptz NOT NULL DEFAULT now(),
  last_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, letter_id)
);
CREATE UNIQUE INDEX dead_letter_once ON rr.dead_letter (tenant_id, entity, command, cause) WHERE source = 'command';
ALTER TABLE rr.dead_letter ENABLE ROW LEVEL SECURITY;
ALTER TABLE rr.dead_letter FORCE ROW LEVEL SECURITY;
CREATE POLICY host ON rr.dead_letter TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY admin ON rr.dead_letter TO rr_admin USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.dead_letter TO rr_host;
GRANT SELECT, DELETE ON rr.dead_letter TO rr_admin;
-- what is put back by `admin dead-letters retry`
CREATE POLICY again ON rr.inbox FOR INSERT TO rr_admin WITH CHECK (true);
CREATE POLICY again ON rr.timer FOR INSERT TO rr_admin WITH CHECK (true);
GRANT INSERT ON rr.inbox, rr.timer TO rr_admin;
