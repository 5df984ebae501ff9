-- A version's body never changes; its mode does. In force is the live version that was made live last, and on the days
-- that the lot gives to it, the version that is tried by day.
ALTER TABLE rr.policy
  ADD COLUMN mode    text NOT NULL DEFAULT 'live' CHECK (mode IN ('draft', 'shadow', 'by_day', 'live')),
  ADD COLUMN live_at timestamptz DEFAULT clock_timestamp(),   -- null: never was
  ADD COLUMN note    text NOT NULL DEFAULT '';
UPDATE rr.policy SET live_at = at;
CREATE UNIQUE INDEX policy_trial ON rr.policy (tenant_id, mode) WHERE mode IN ('shadow', 'by_day');
GRANT UPDATE (mode, live_at) ON rr.policy TO rr_app;

CREATE FUNCTION rr.policy_live(tenant text) RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT p.version FROM rr.policy p WHERE p.tenant_id = tenant AND p.mode = 'live' ORDER BY p.live_at DESC, p.version DESC LIMIT 1
$$;
-- The lot of a day: even, and the same whoever asks.
CREATE FUNCTION rr.policy_day(tenant text, version integer, day date) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT get_byte(sha256(convert_to(concat_ws('/', tenant, version, day), 'UTF8')), 0) % 2 = 1
$$;
CREATE FUNCTION rr.policy_in_force(tenant text) RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT coalesce(
    (SELECT p.version FROM rr.policy p WHERE p.tenant_id = tenant AND p.mode = 'by_day' AND rr.policy_day(tenant, p.version,
       (now() AT TIME ZONE (SELECT t.time_zone FROM rr.tenant t WHERE t.tenant_id = tenant))::date)),
    rr.policy_live(tenant))
$$;

CREATE TABLE rr.shadow_decision (          -- what the policy in the shadow would have done, beside what was done
  tenant_id text NOT NULL REFERENCES rr.tenant CHECK (tenant_id <> ''),
  version   integer NOT NULL,              -- of the policy in the shadow
  study_uid text NOT NULL,
  step      integer NOT NULL,
  live_version integer NOT NULL,
  live      jsonb,                         -- {radiologist_id, why}; null: it waited
  live_at   timestamptz,
  shadow    jsonb,
  shadow_at timestamptz,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, version, study_uid, step)
);
CREATE INDEX shadow_decision_at ON rr.shadow_decision (tenant_id, version, at);
ALTER TABLE rr.shadow_decision ENABLE ROW LEVEL SECURITY;
ALTER TABLE rr.shadow_decision FORCE ROW LEVEL SECURITY;
CREATE POLICY host ON rr.shadow_decision TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY app ON rr.shadow_decision FOR SELECT TO rr_app
  USING (tenant_id = ANY((SELECT rr.tenants())::text[]) AND (SELECT rr.all_sites()));
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.shadow_decision TO rr_host;
GRANT SELECT ON rr.shadow_decision TO rr_app;

-- As before, but for the policy of the day.
CREATE OR REPLACE FUNCTION rr.reader_row(tenant text, reader text) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'radiologist_id', who.user_id,
    'name', coalesce((SELECT p.name FROM rr.person p WHERE p.user_id = who.user_id), ''),
    'presence', CASE WHEN r.state = 'online' AND r.study_uid IS NOT NULL THEN 'reading' ELSE coalesce(r.state, 'off') END,
    'load', coalesce(r.load, 0),
    'capacity', coalesce(m.capacity, (SELECT (p.body->>'capacity')::integer FROM rr.policy p
       WHERE p.tenant_id = tenant AND p.version = rr.policy_in_force(tenant)), 5),
    'study_uid', r.study_uid,
    'shift_ends_at', (SELECT to_char(max(s.ends_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') FROM rr.shift s
       WHERE s.tenant_id = tenant AND s.user_id = who.user_id AND s.kind = 'duty' AND s.starts_at <= now() AND s.ends_at > now()
         AND NOT EXISTS (SELECT 1 FROM rr.absence a WHERE a.tenant_id = tenant AND a.user_id = who.user_id
           AND a.starts_at <= now() AND a.ends_at > now())))
  FROM (SELECT reader AS user_id) AS who
  LEFT JOIN rr.reader r ON r.tenant_id = tenant AND r.user_id = who.user_id
  LEFT JOIN rr.membership m ON m.tenant_id = tenant AND m.user_id = who.user_id
$$;
