-- What a reader may read is one document with a version; her hours are shifts, made by rosters or one by one.
ALTER TABLE rr.membership
  ADD COLUMN profile         jsonb NOT NULL DEFAULT '{}',   -- actors/domain/profile.py, without capacity
  ADD COLUMN profile_version integer NOT NULL DEFAULT 0;
UPDATE rr.membership SET profile_version = 1, profile = jsonb_build_object(
  'licences', (SELECT coalesce(jsonb_agg(jsonb_build_object('jurisdiction', l)), '[]') FROM unnest(licences) AS l),
  'subspecialties', (SELECT coalesce(jsonb_object_agg(s, 2), '{}') FROM unnest(subspecialties) AS s),
  'modalities', (SELECT coalesce(jsonb_object_agg(m, 2), '{}') FROM unnest(modalities) AS m))
 WHERE role IN ('radiologist', 'resident');
ALTER TABLE rr.membership DROP COLUMN licences, DROP COLUMN subspecialties, DROP COLUMN modalities;
ALTER TABLE rr.site ADD COLUMN privileged boolean NOT NULL DEFAULT false;   -- demands a privilege of whoever reads for it

CREATE TABLE rr.roster (                   -- a pattern of hours; its shifts stand in rr.shift
  tenant_id text NOT NULL REFERENCES rr.tenant CHECK (tenant_id <> ''),
  roster_id text NOT NULL,
  user_id   text NOT NULL REFERENCES rr.person,
  body      jsonb NOT NULL,                -- actors/domain/roster.py, Pattern
  version   integer NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant_id, roster_id)
);
ALTER TABLE rr.shift
  ADD COLUMN shift_id  text NOT NULL DEFAULT gen_random_uuid()::text,
  ADD COLUMN kind      text NOT NULL DEFAULT 'duty' CHECK (kind IN ('duty', 'on_call')),
  ADD COLUMN breaks    jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN roster_id text,               -- null: made by hand, or changed since
  ADD COLUMN version   integer NOT NULL DEFAULT 1,
  DROP CONSTRAINT shift_pkey,
  ADD PRIMARY KEY (tenant_id, shift_id),
  ADD CONSTRAINT shift_once UNIQUE (tenant_id, user_id, kind, starts_at);
CREATE INDEX shift_when ON rr.shift (tenant_id, starts_at, shift_id);
CREATE INDEX shift_roster ON rr.shift (tenant_id, roster_id) WHERE roster_id IS NOT NULL;
CREATE TABLE rr.absence (                  -- vacation and the like: no shift counts within it
  tenant_id  text NOT NULL REFERENCES rr.tenant CHECK (tenant_id <> ''),
  absence_id text NOT NULL,
  user_id    text NOT NULL REFERENCES rr.person,
  starts_at  timestamptz NOT NULL,
  ends_at    timestamptz NOT NULL CHECK (ends_at > starts_at),
  reason     text NOT NULL DEFAULT '',
  version    integer NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant_id, absence_id)
);
CREATE INDEX absence_who ON rr.absence (tenant_id, user_id, ends_at);

-- Deciders read this number each second, and the rest only when it has grown.
CREATE TABLE rr.roster_head (
  tenant_id text PRIMARY KEY CHECK (tenant_id <> ''),
  rev       bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
ALTER TABLE rr.reader ADD COLUMN shown text NOT NULL DEFAULT '';   -- the name, capacity and shift last told on the feed

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['roster', 'absence', 'roster_head'] LOOP
    EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY host ON rr.%I TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]))', t);
    EXECUTE format('GRANT SELECT ON rr.%I TO rr_host', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['roster', 'absence'] LOOP
    EXECUTE format('CREATE POLICY app ON rr.%I TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[])
       AND (SELECT rr.all_sites()))', t);
    EXECUTE format('CREATE POLICY admin ON rr.%I TO rr_admin USING (true)', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON rr.%I TO rr_app, rr_admin', t);
  END LOOP;
END $$;
GRANT INSERT, UPDATE, DELETE ON rr.shift TO rr_app;
GRANT UPDATE (profile, profile_version, capacity) ON rr.membership TO rr_app;
GRANT INSERT ON rr.answer TO rr_app;       -- writes that no entity owns keep their answer too

CREATE POLICY touch ON rr.roster_head TO CURRENT_USER USING (true);
CREATE FUNCTION rr.touch_roster() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO rr.roster_head AS h (tenant_id, rev) VALUES (CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET rev = h.rev + 1;
  RETURN NULL;
END $$;
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON rr.membership FOR EACH ROW EXECUTE FUNCTION rr.touch_roster();
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON rr.shift FOR EACH ROW EXECUTE FUNCTION rr.touch_roster();
CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON rr.absence FOR EACH ROW EXECUTE FUNCTION rr.touch_roster();

-- The end of her shift as everyone sees it: on duty now, and not away.
CREATE OR REPLACE FUNCTION rr.reader_row(tenant text, reader text) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'radiologist_id', who.user_id,
    'name', coalesce((SELECT p.name FROM rr.person p WHERE p.user_id = who.user_id), ''),
    'presence', CASE WHEN r.state = 'online' AND r.study_uid IS NOT NULL THEN 'reading' ELSE coalesce(r.state, 'off') END,
    'load', coalesce(r.load, 0),
    'capacity', coalesce(m.capacity,
      (SELECT (p.body->>'capacity')::integer FROM rr.policy p WHERE p.tenant_id = tenant ORDER BY p.version DESC LIMIT 1), 5),
    'study_uid', r.study_uid,
    'shift_ends_at', (SELECT to_char(max(s.ends_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') FROM rr.shift s
       WHERE s.tenant_id = tenant AND s.user_id = who.user_id AND s.kind = 'duty' AND s.starts_at <= now() AND s.ends_at > now()
         AND NOT EXISTS (SELECT 1 FROM rr.absence a WHERE a.tenant_id = tenant AND a.user_id = who.user_id
           AND a.starts_at <= now() AND a.ends_at > now())))
  FROM (SELECT reader AS user_id) AS who
  LEFT JOIN rr.reader r ON r.tenant_id = tenant AND r.user_id = who.user_id
  LEFT JOIN rr.membership m ON m.tenant_id = tenant AND m.user_id = who.user_id
$$;
