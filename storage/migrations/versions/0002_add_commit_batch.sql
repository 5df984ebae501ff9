-- How a batch of commands becomes durable: one function, one round trip, one transaction. A client that freezes cannot
-- hold a lock, and each statement sees what the lock before it waited for (in one CTE the snapshot predates the lock).

-- The reader as everyone sees her; snapshots and `reader_changed` show the same object.
CREATE FUNCTION rr.reader_row(tenant text, reader text) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'radiologist_id', who.user_id,
    'name', coalesce((SELECT p.name FROM rr.person p WHERE p.user_id = who.user_id), ''),
    'presence', CASE WHEN r.state = 'online' AND r.study_uid IS NOT NULL THEN 'reading' ELSE coalesce(r.state, 'off') END,
    'load', coalesce(r.load, 0),
    'capacity', coalesce(m.capacity,
      (SELECT (p.body->>'capacity')::integer FROM rr.policy p WHERE p.tenant_id = tenant ORDER BY p.version DESC LIMIT 1), 5),
    'study_uid', r.study_uid,
    'shift_ends_at', (SELECT to_char(max(s.ends_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') FROM rr.shift s
       WHERE s.tenant_id = tenant AND s.user_id = who.user_id AND s.starts_at <= now() AND s.ends_at > now()))
  FROM (SELECT reader AS user_id) AS who
  LEFT JOIN rr.reader r ON r.tenant_id = tenant AND r.user_id = who.user_id
  LEFT JOIN rr.membership m ON m.tenant_id = tenant AND m.user_id = who.user_id
$$;

CREATE FUNCTION rr.add_counters(known jsonb, delta jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_object_agg(k, coalesce((known->>k)::integer, 0) + coalesce((delta->>k)::integer, 0))
  FROM unnest(ARRAY['open', 'unread', 'offered', 'assigned', 'reading', 'warned', 'breached', 'paused', 'final_today']) AS k
$$;

-- What the audit chain holds of an event: a digest, so that a body can be erased without breaking the chain.
CREATE FUNCTION rr.event_hash(entity text, version integer, type text, body jsonb, by text, at timestamptz) RETURNS text
  LANGUAGE sql STABLE AS $$
  SELECT encode(sha256(convert_to(concat_ws(E'\n', entity, version, type, coalesce(by, ''),
    to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), body), 'UTF8')), 'hex')
$$;

-- batch: one JSON list a kind, absent when empty; rows carry tenant_id. Returns the new feed position of each tenant.
-- 23505: a stale owner (journal) or a repeated command (answer). RR001: the decider was deposed.
CREATE FUNCTION rr.commit_batch(batch jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  names text[] := ARRAY(SELECT jsonb_array_elements_text(batch->'tenants') ORDER BY 1);
  whose text;
  locked text[];
  tops jsonb;
  links jsonb;
BEGIN
  PERFORM set_config('rr.tenants', names::text, true);

  INSERT INTO rr.journal (tenant_id, entity, version, type, body, by, idem, at)
    SELECT tenant_id, entity, version, type, body, by, idem, at
    FROM jsonb_populate_recordset(NULL::rr.journal, batch->'events') ORDER BY 1, 2, 3;

  IF batch ? 'patients' THEN
    INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name, birth_date, sex)
      SELECT tenant_id, patient_id, issuer, mrn, name, birth_date, sex
      FROM jsonb_populate_recordset(NULL::rr.patient, batch->'patients') ORDER BY 1, 2
      ON CONFLICT DO NOTHING;
  END IF;
  IF batch ? 'studies' THEN
    INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, reader, patient_id,
        accession_number, flags, referring, doc)
      SELECT tenant_id, study_uid, site_id, rev, step, status, open, priority, reader, patient_id,
        accession_number, flags, referring, doc
      FROM jsonb_populate_recordset(NULL::rr.study, batch->'studies') ORDER BY 1, 2
      ON CONFLICT (tenant_id, study_uid) DO UPDATE SET site_id = excluded.site_id, rev = excluded.rev,
        step = excluded.step, status = excluded.status, open = excluded.open, priority = excluded.priority,
        reader = excluded.reader, patient_id = excluded.patient_id, accession_number = excluded.accession_number,
        flags = excluded.flags, referring = excluded.referring, doc = excluded.doc;
  END IF;
  IF batch ? 'orders' THEN
    INSERT INTO rr.orders (tenant_id, site_id, accession_number, study_uid, patient_id, body, cancelled)
      SELECT tenant_id, site_id, accession_number, study_uid, patient_id, body, cancelled
      FROM jsonb_populate_recordset(NULL::rr.orders, batch->'orders') ORDER BY 1, 2, 3
      ON CONFLICT (tenant_id, site_id, accession_number) DO UPDATE SET study_uid = excluded.study_uid,
        patient_id = excluded.patient_id, body = excluded.body, cancelled = excluded.cancelled;
  END IF;
  IF batch ? 'reports' THEN
    INSERT INTO rr.report AS r (tenant_id, report_id, study_uid, site_id, status, version, sections, signed_by, signed_at, addenda)
      SELECT x.tenant_id, x.report_id, x.study_uid, x.site_id, x.status, x.version,
        coalesce(x.sections, (SELECT o.sections FROM rr.report o WHERE o.tenant_id = x.tenant_id AND o.report_id = x.report_id), '{}'),
        CASE WHEN x.signed THEN x.by END, CASE WHEN x.signed THEN x.at END,
        CASE WHEN x.addendum IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('text', x.addendum, 'by', x.by,
          'at', to_char(x.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))) END
      FROM jsonb_to_recordset(batch->'reports') AS x(tenant_id text, report_id text, study_uid text, site_id text,
        status text, version integer, sections jsonb, by text, at timestamptz, signed boolean, addendum text) ORDER BY 1, 2
      ON CONFLICT (tenant_id, report_id) DO UPDATE SET status = excluded.status, version = excluded.version,
        sections = excluded.sections, signed_by = coalesce(excluded.signed_by, r.signed_by),
        signed_at = coalesce(excluded.signed_at, r.signed_at), addenda = r.addenda || excluded.addenda;
    INSERT INTO rr.report_version (tenant_id, report_id, version, site_id, status, sections, by, at)
      SELECT x.tenant_id, x.report_id, x.version, x.site_id, x.status, r.sections, x.by, x.at
      FROM jsonb_to_recordset(batch->'reports') AS x(tenant_id text, report_id text, version integer, site_id text,
        status text, by text, at timestamptz)
      JOIN rr.report r ON r.tenant_id = x.tenant_id AND r.report_id = x.report_id ORDER BY 1, 2, 3;
  END IF;

  IF batch ? 'disarm' THEN
    DELETE FROM rr.timer t USING jsonb_to_recordset(batch->'disarm') AS x(tenant_id text, entity text, name text)
      WHERE t.tenant_id = x.tenant_id AND t.entity = x.entity AND t.name = x.name;
  END IF;
  IF batch ? 'arm' THEN
    INSERT INTO rr.timer (tenant_id, entity, name, shard, version, due_at)
      SELECT tenant_id, entity, name, shard, version, due_at
      FROM jsonb_populate_recordset(NULL::rr.timer, batch->'arm') ORDER BY 1, 2, 3
      ON CONFLICT (tenant_id, entity, name) DO UPDATE SET shard = excluded.shard, version = excluded.version, due_at = excluded.due_at;
  END IF;
  IF batch ? 'inbox' THEN
    DELETE FROM rr.inbox i USING jsonb_to_recordset(batch->'inbox') AS x(tenant_id text, inbox_id bigint)
      WHERE i.tenant_id = x.tenant_id AND i.inbox_id = x.inbox_id;
  END IF;
  IF batch ? 'jobs' THEN
    INSERT INTO rr.inference_job (tenant_id, job_id, study_uid, images, priority)
      SELECT tenant_id, job_id, study_uid, images, priority
      FROM jsonb_populate_recordset(NULL::rr.inference_job, batch->'jobs') ORDER BY 1, 3, 4
      ON CONFLICT DO NOTHING;
  END IF;
  IF batch ? 'explanations' THEN
    INSERT INTO rr.explanation (tenant_id, study_uid, offer_id, body)
      SELECT tenant_id, study_uid, offer_id, body
      FROM jsonb_populate_recordset(NULL::rr.explanation, batch->'explanations') ORDER BY 1, 2, 3
      ON CONFLICT (tenant_id, study_uid, offer_id) DO UPDATE SET body = excluded.body;
  END IF;
  IF batch ? 'answers' THEN
    INSERT INTO rr.answer (tenant_id, user_id, idem, digest, answer)
      SELECT tenant_id, user_id, idem, decode(digest, 'hex'), answer
      FROM jsonb_to_recordset(batch->'answers') AS x(tenant_id text, user_id text, idem text, digest text, answer jsonb)
      ORDER BY 1, 2, 3;
  END IF;
  IF batch ? 'outbox' THEN
    INSERT INTO rr.outbox (tenant_id, outbox_id, study_uid, site_id, type, report_id, version)
      SELECT tenant_id, outbox_id, study_uid, site_id, type, report_id, version
      FROM jsonb_populate_recordset(NULL::rr.outbox, batch->'outbox');
  END IF;

  -- The only rows that entities share, last and in tenant order: from here to the commit a tenant is serialised.
  locked := ARRAY(SELECT tenant_id FROM rr.tenant_head WHERE tenant_id = ANY(names) ORDER BY tenant_id FOR UPDATE);
  IF cardinality(locked) < cardinality(names) THEN
    INSERT INTO rr.tenant_head (tenant_id) SELECT unnest(names) ORDER BY 1 ON CONFLICT DO NOTHING;
    PERFORM 1 FROM rr.tenant_head WHERE tenant_id = ANY(names) ORDER BY tenant_id FOR UPDATE;
  END IF;
  IF batch ? 'epochs' THEN
    SELECT x.tenant_id INTO whose FROM jsonb_to_recordset(batch->'epochs') AS x(tenant_id text, epoch bigint)
      JOIN rr.tenant_head h ON h.tenant_id = x.tenant_id WHERE h.decider <> x.epoch LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'deposed: %', whose USING ERRCODE = 'RR001';
    END IF;
  END IF;
  IF batch ? 'readers' THEN
    INSERT INTO rr.reader (tenant_id, user_id)
      SELECT tenant_id, user_id FROM jsonb_to_recordset(batch->'readers') AS x(tenant_id text, user_id text) ORDER BY 1, 2
      ON CONFLICT DO NOTHING;
    UPDATE rr.reader r SET state = coalesce(x.state, r.state), rev = coalesce(x.rev, r.rev), load = r.load + x.load,
        study_uid = CASE WHEN x.reading IS NOT NULL THEN x.reading
                         WHEN x.cleared OR r.study_uid = ANY(x.stopped) THEN NULL ELSE r.study_uid END
      FROM jsonb_to_recordset(batch->'readers') AS x(tenant_id text, user_id text, state text, load integer, reading text,
        rev integer, cleared boolean, stopped text[])
      WHERE r.tenant_id = x.tenant_id AND r.user_id = x.user_id;
  END IF;
  WITH item AS (
    SELECT f.tenant_id, s.stream, f.id, f.type, f.data, f.nth * 1000 + s.nth AS nth
      FROM ROWS FROM (jsonb_to_recordset(batch->'feed') AS (tenant_id text, id uuid, type text, streams text[], data jsonb))
        WITH ORDINALITY AS f(tenant_id, id, type, streams, data, nth),
        unnest(f.streams) WITH ORDINALITY AS s(stream, nth)
    UNION ALL
    SELECT x.tenant_id, 'tenant:' || x.tenant_id, x.id, 'reader_changed',
        jsonb_build_object('reader', rr.reader_row(x.tenant_id, x.user_id)), 1000000000
      FROM jsonb_to_recordset(batch->'readers') AS x(tenant_id text, user_id text, id uuid)
    UNION ALL
    SELECT x.tenant_id, x.stream, x.id, 'counters_changed', NULL, 2000000000
      FROM jsonb_to_recordset(batch->'counters') AS x(tenant_id text, stream text, id uuid)
  ), head AS (
    INSERT INTO rr.stream_head AS h (tenant_id, stream, seq, counters)
      SELECT i.tenant_id, i.stream, count(*), CASE WHEN c.delta IS NOT NULL THEN rr.add_counters('{}', c.delta) END
        FROM item i LEFT JOIN jsonb_to_recordset(batch->'counters') AS c(tenant_id text, stream text, delta jsonb)
          ON c.tenant_id = i.tenant_id AND c.stream = i.stream
        GROUP BY i.tenant_id, i.stream, c.delta ORDER BY 1, 2
      ON CONFLICT (tenant_id, stream) DO UPDATE SET seq = h.seq + excluded.seq,
        counters = CASE WHEN excluded.counters IS NULL THEN h.counters ELSE rr.add_counters(h.counters, excluded.counters) END
      RETURNING tenant_id, stream, seq, counters
  ), fed AS (
    INSERT INTO rr.feed (tenant_id, pos, stream, seq, id, type, data)
      SELECT i.tenant_id, t.pos + row_number() OVER (PARTITION BY i.tenant_id ORDER BY i.nth, i.stream, i.id), i.stream,
          h.seq - count(*) OVER (PARTITION BY i.tenant_id, i.stream)
                + row_number() OVER (PARTITION BY i.tenant_id, i.stream ORDER BY i.nth, i.id),
          i.id, i.type, coalesce(i.data, jsonb_build_object('counters', h.counters))
        FROM item i JOIN head h ON h.tenant_id = i.tenant_id AND h.stream = i.stream
          JOIN rr.tenant_head t ON t.tenant_id = i.tenant_id
      RETURNING tenant_id, pos
  )
  SELECT coalesce(jsonb_object_agg(f.tenant_id, f.top), '{}') INTO tops
    FROM (SELECT tenant_id, max(pos) AS top FROM fed GROUP BY 1) AS f;

  FOREACH whose IN ARRAY names LOOP   -- one audit link a tenant and batch
    SELECT jsonb_agg(jsonb_build_array(x.entity, x.version, rr.event_hash(x.entity, x.version, x.type, x.body, x.by, x.at))
        ORDER BY x.entity, x.version) INTO links
      FROM jsonb_populate_recordset(NULL::rr.journal, batch->'events') AS x WHERE x.tenant_id = whose;
    UPDATE rr.tenant_head SET pos = coalesce((tops->>whose)::bigint, pos),
        audit = CASE WHEN links IS NULL THEN audit ELSE sha256(audit || convert_to(links::text, 'UTF8')) END
      WHERE tenant_id = whose;
    IF links IS NOT NULL THEN
      INSERT INTO rr.audit (tenant_id, pos, body, hash)
        SELECT whose, coalesce((SELECT max(a.pos) FROM rr.audit a WHERE a.tenant_id = whose), 0) + 1, links, h.audit
        FROM rr.tenant_head h WHERE h.tenant_id = whose;
    END IF;
  END LOOP;
  RETURN tops;
END $$;
GRANT EXECUTE ON FUNCTION rr.reader_row(text, text) TO rr_host, rr_app;
REVOKE EXECUTE ON FUNCTION rr.commit_batch(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rr.commit_batch(jsonb) TO rr_host;
