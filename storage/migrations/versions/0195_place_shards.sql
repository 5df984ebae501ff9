-- Which host holds which shard. No tenant's data: only the names of those that have hosts of their own.
CREATE TABLE rr.shard_host (
  host       text PRIMARY KEY,
  tenant_id  text NOT NULL DEFAULT '',        -- serves this tenant only
  node       text NOT NULL DEFAULT '',
  pid        integer NOT NULL,
  epoch      bigint NOT NULL DEFAULT 1,       -- raised by each process that begins under the name: older ones retire
  leaving    boolean NOT NULL DEFAULT false,  -- hands over what it holds and takes nothing: a person wants it so
  surplus    boolean NOT NULL DEFAULT false,  -- the same, because there are to be fewer hosts
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE TABLE rr.placement (
  tenant_id  text NOT NULL DEFAULT '',        -- '': everybody's without a placement of their own
  shard      integer NOT NULL,
  host       text NOT NULL,
  generation bigint NOT NULL DEFAULT 0,       -- raised by each change of hands
  wanted     text,                            -- the host it is to be handed over to
  pinned     boolean NOT NULL DEFAULT false,
  moved_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, shard)
);
CREATE TABLE rr.dedication (                  -- tenants with hosts of their own
  tenant_id text PRIMARY KEY REFERENCES rr.tenant CHECK (tenant_id <> ''),
  hosts     integer NOT NULL CHECK (hosts > 0)
);
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['shard_host', 'placement', 'dedication'] LOOP
    EXECUTE format('ALTER TABLE rr.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE rr.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY place ON rr.%I TO rr_timer, rr_admin USING (true)', t);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON rr.%I TO rr_admin', t);
  END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON rr.shard_host, rr.placement TO rr_timer;
GRANT SELECT ON rr.dedication TO rr_timer;
CREATE POLICY route ON rr.placement FOR SELECT TO rr_app, rr_infer USING (true);
GRANT SELECT ON rr.placement TO rr_app, rr_infer;
