-- One partition a day (UTC), made ahead and dropped whole a week later by rr.keep_feed, which hosts call each hour.
-- What finds no day of its own stands in feed_rest, so that a commit is never refused for want of a partition.
ALTER TABLE rr.feed RENAME TO feed_before;
ALTER TABLE rr.feed_before RENAME CONSTRAINT feed_pkey TO feed_before_pkey;
DROP INDEX rr.feed_stream;
CREATE TABLE rr.feed (
  tenant_id text NOT NULL CHECK (tenant_id <> ''),
  pos       bigint NOT NULL,
  stream    text NOT NULL,
  seq       bigint NOT NULL,
  id        uuid NOT NULL,
  type      text NOT NULL,
  data      jsonb NOT NULL,
  at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, pos, at)       -- the tenant's lock makes (tenant_id, pos) unique, and (tenant_id, stream, seq)
) PARTITION BY RANGE (at);
CREATE UNIQUE INDEX feed_stream ON rr.feed (tenant_id, stream, seq, at);
CREATE TABLE rr.feed_rest PARTITION OF rr.feed DEFAULT;

ALTER TABLE rr.feed ENABLE ROW LEVEL SECURITY;
ALTER TABLE rr.feed FORCE ROW LEVEL SECURITY;
CREATE POLICY host ON rr.feed TO rr_host USING (tenant_id = ANY((SELECT rr.tenants())::text[]));
CREATE POLICY app ON rr.feed TO rr_app USING (tenant_id = ANY((SELECT rr.tenants())::text[]) AND ((SELECT rr.all_sites())
  OR stream LIKE 'user:%' OR stream = ANY (ARRAY(SELECT 'site:' || s FROM unnest((SELECT rr.sites())) AS s))));
GRANT SELECT, INSERT ON rr.feed TO rr_host;
GRANT SELECT ON rr.feed TO rr_app;
-- A partition is reached through rr.feed only: nobody has a grant on it, and no policy lets anybody in.
ALTER TABLE rr.feed_rest ENABLE ROW LEVEL SECURITY;
ALTER TABLE rr.feed_rest FORCE ROW LEVEL SECURITY;
CREATE POLICY keep ON rr.feed_rest TO CURRENT_USER USING (true);

-- Returns the names of the days made and dropped; nothing when another host is at it.
CREATE FUNCTION rr.keep_feed(since date DEFAULT NULL) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
  kept CONSTANT interval := '7 days';
  changed text[] := '{}';
  day date;
  name text;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('rr.keep_feed')) THEN
    RETURN changed;
  END IF;
  FOR day IN SELECT d::date FROM generate_series(coalesce(since, current_date), current_date + 3, interval '1 day') AS d LOOP
    name := 'feed_' || to_char(day, 'YYYYMMDD');
    CONTINUE WHEN to_regclass('rr.' || name) IS NOT NULL;
    BEGIN
      EXECUTE format('CREATE TABLE rr.%I (LIKE rr.feed INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
      EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', name);
      EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', name);
      EXECUTE format('ALTER TABLE rr.feed ATTACH PARTITION rr.%I FOR VALUES FROM (%L) TO (%L)',
        name, day::timestamptz, (day + 1)::timestamptz);
      changed := changed || name;
    EXCEPTION WHEN check_violation THEN   -- a day that began in feed_rest stays there
      NULL;
    END;
  END LOOP;
  DELETE FROM rr.feed_rest WHERE at < now() - kept;
  FOR name IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'rr.feed'::regclass AND c.relname ~ '^feed_\d{8}$' ORDER BY 1 LOOP
    IF (to_date(right(name, 8), 'YYYYMMDD') + 1)::timestamptz <= now() - kept THEN
      EXECUTE format('DROP TABLE rr.%I', name);
      changed := changed || name;
    END IF;
  END LOOP;
  RETURN changed;
END $$;
REVOKE EXECUTE ON FUNCTION rr.keep_feed(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rr.keep_feed(date) TO rr_host;

SELECT rr.keep_feed(current_date - 7);
ALTER TABLE rr.feed_before NO FORCE ROW LEVEL SECURITY;
ALTER TABLE rr.feed NO FORCE ROW LEVEL SECURITY;
INSERT INTO rr.feed SELECT tenant_id, pos, stream, seq, id, type, data, at FROM rr.feed_before
  WHERE at >= now() - interval '7 days';
ALTER TABLE rr.feed FORCE ROW LEVEL SECURITY;
DROP TABLE rr.feed_before;
