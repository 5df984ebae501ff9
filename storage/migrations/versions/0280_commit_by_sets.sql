-- rr.commit_batch as a whole, written anew. A function of another signature: hosts of the release before go on with theirs
-- while an instance is upgraded.

-- One expression, which is part of the statement that calls it.
CREATE OR REPLACE FUNCTION rr.add_counters(known jsonb, delta jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_build_object(
    'open', coalesce((known->>'open')::integer, 0) + coalesce((delta->>'open')::integer, 0),
    'unread', coalesce((known->>'unread')::integer, 0) + coalesce((delta->>'unread')::integer, 0),
    'offered', coalesce((known->>'offered')::integer, 0) + coalesce((delta->>'offered')::integer, 0),
    'assigned', coalesce((known->>'assigned')::integer, 0) + coalesce((delta->>'assigned')::integer, 0),
    'reading', coalesce((known->>'reading')::integer, 0) + coalesce((delta->>'reading')::integer, 0),
    'warned', coalesce((known->>'warned')::integer, 0) + coalesce((delta->>'warned')::integer, 0),
    'breached', coalesce((known->>'breached')::integer, 0) + coalesce((delta->>'breached')::integer, 0),
    'paused', coalesce((known->>'paused')::integer, 0) + coalesce((delta->>'paused')::integer, 0),
    'final_today', coalesce((known->>'final_today')::integer, 0) + coalesce((delta->>'final_today')::integer, 0))
$$;

-- batch: one JSON list a kind, absent when empty; rows carry tenant_id.
-- docs: JSON texts that rows name by their place, from 1: the state of a study, what a feed row carries, an answer.
-- streams, heads: how many feed rows each stream and each tenant gets, with the counters' deltas; in key order.
-- feed_*: the feed's columns, one element a row. nth is its place among its tenant's rows, from 1; back is how many rows of
-- its stream come after it. doc is null where the database has the word: reader_changed, of whom who names, and
-- counters_changed.
-- Returns the new feed position of each tenant whose feed grew.
-- 23505: a stale owner (journal) or a repeated command (answer). RR001: the decider was deposed.
CREATE FUNCTION rr.commit_batch(
  batch jsonb, docs text[], feed_tenant text[], feed_stream text[], feed_nth integer[], feed_back integer[], feed_id uuid[],
  feed_type text[], feed_doc integer[], feed_who text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  names text[] := ARRAY(SELECT jsonb_array_elements_text(batch->'tenants'));
  locked text[];
  deposed text;
  grown jsonb;
BEGIN
  PERFORM set_config('rr.tenants', names::text, true);

  -- The entities' own rows ----------------------------------------------------------------------
  INSERT INTO rr.journal (tenant_id, entity, version, type, body, by, idem, at)
    SELECT tenant_id, entity, version, type, body, by, idem, at
    FROM jsonb_populate_recordset(NULL::rr.journal, batch->'events') ORDER BY 1, 2, 3;

  IF batch ? 'patients' THEN
    INSERT INTO rr.patient (tenant_id, patient_id, issuer, mrn, name, birth_date, sex)
      SELECT tenant_id, patient_id, issuer, mrn, name, birth_date, sex
      FROM jsonb_populate_recordset(NULL::rr.patient, batch->'patients') ORDER BY 1, 2
      ON CONFLICT DO NOTHING;
  END IF;
  IF batch ? 'corrections' THEN
    UPDATE rr.patient p SET edition = p.edition + 1, name = x.name, birth_date = x.birth_date, sex = x.sex
      FROM jsonb_populate_recordset(NULL::rr.patient, batch->'corrections') AS x
      WHERE p.tenant_id = x.tenant_id AND p.patient_id = x.patient_id AND (p.issuer, p.mrn) = (x.issuer, x.mrn);
  END IF;
  IF batch ? 'merges' THEN
    UPDATE rr.patient p SET merged_into = x.survivor
      FROM jsonb_to_recordset(batch->'merges') AS x(tenant_id text, patient_id text, survivor text)
      WHERE p.tenant_id = x.tenant_id AND p.patient_id = x.patient_id;
    WITH RECURSIVE under AS (
      SELECT x.tenant_id, x.patient_id, coalesce((SELECT coalesce(q.survivor, q.patient_id) FROM rr.patient q
               WHERE q.tenant_id = x.tenant_id AND q.patient_id = x.survivor), x.patient_id) AS top
        FROM jsonb_to_recordset(batch->'merges') AS x(tenant_id text, patient_id text, survivor text)
      UNION SELECT p.tenant_id, p.patient_id, u.top FROM rr.patient p
        JOIN under u ON p.tenant_id = u.tenant_id AND p.merged_into = u.patient_id)
    UPDATE rr.patient p SET survivor = nullif(u.top, p.patient_id) FROM under u
      WHERE p.tenant_id = u.tenant_id AND p.patient_id = u.patient_id;
  END IF;
  IF batch ? 'studies' THEN
    INSERT INTO rr.study (tenant_id, study_uid, site_id, rev, step, status, open, priority, reader, patient_id,
        accession_number, flags, referring, doc)
      SELECT tenant_id, study_uid, site_id, rev, step, status, open, priority, reader, patient_id,
        accession_number, flags, referring, docs[doc]::jsonb
      FROM jsonb_to_recordset(batch->'studies') AS x(tenant_id text, study_uid text, site_id text, rev integer, step integer,
        status text, open boolean, priority text, reader text, patient_id text, accession_number text, flags text[],
        referring text, doc integer) ORDER BY 1, 2
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

  -- What goes with them: timers, images told, jobs, answers, reports to deliver -----------------
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
      SELECT tenant_id, study_uid, offer_id, docs[doc]::jsonb
      FROM jsonb_to_recordset(batch->'explanations') AS x(tenant_id text, study_uid text, offer_id text, doc integer)
      ORDER BY 1, 2, 3
      ON CONFLICT (tenant_id, study_uid, offer_id) DO UPDATE SET body = excluded.body;
  END IF;
  IF batch ? 'answers' THEN
    INSERT INTO rr.answer (tenant_id, user_id, idem, digest, answer)
      SELECT tenant_id, user_id, idem, decode(digest, 'hex'), docs[doc]::jsonb
      FROM jsonb_to_recordset(batch->'answers') AS x(tenant_id text, user_id text, idem text, digest text, doc integer)
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
    SELECT x.tenant_id INTO deposed FROM jsonb_to_recordset(batch->'epochs') AS x(tenant_id text, epoch bigint)
      JOIN rr.tenant_head h ON h.tenant_id = x.tenant_id WHERE h.decider <> x.epoch LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'deposed: %', deposed USING ERRCODE = 'RR001';
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
  WITH head AS (
    INSERT INTO rr.stream_head AS h (tenant_id, stream, seq, counters)
      SELECT x.tenant_id, x.stream, x.n, CASE WHEN x.delta IS NOT NULL THEN rr.add_counters('{}', x.delta) END
        FROM jsonb_to_recordset(batch->'streams') AS x(tenant_id text, stream text, n integer, delta jsonb) ORDER BY 1, 2
      ON CONFLICT (tenant_id, stream) DO UPDATE SET seq = h.seq + excluded.seq,
        counters = CASE WHEN excluded.counters IS NULL THEN h.counters ELSE rr.add_counters(h.counters, excluded.counters) END
      RETURNING tenant_id, stream, seq, counters
  )
  INSERT INTO rr.feed (tenant_id, pos, stream, seq, id, type, data)
    SELECT f.tenant_id, t.pos + f.nth, f.stream, h.seq - f.back, f.id, f.type,
        CASE WHEN f.doc IS NOT NULL THEN docs[f.doc]::jsonb
             WHEN f.who IS NOT NULL THEN jsonb_build_object('reader', rr.reader_row(f.tenant_id, f.who))
             ELSE jsonb_build_object('counters', h.counters) END
      FROM unnest(feed_tenant, feed_stream, feed_nth, feed_back, feed_id, feed_type, feed_doc, feed_who)
        AS f(tenant_id, stream, nth, back, id, type, doc, who)
      JOIN head h ON h.tenant_id = f.tenant_id AND h.stream = f.stream
      JOIN rr.tenant_head t ON t.tenant_id = f.tenant_id;

  -- One audit link a tenant and batch, over a digest an event.
  WITH link AS (
    SELECT x.tenant_id, jsonb_agg(jsonb_build_array(x.entity, x.version,
        rr.event_hash(x.entity, x.version, x.type, x.body, x.by, x.at)) ORDER BY x.entity, x.version) AS body
      FROM jsonb_populate_recordset(NULL::rr.journal, batch->'events') AS x GROUP BY x.tenant_id
  ), moved AS (
    UPDATE rr.tenant_head h SET pos = h.pos + x.n,
        audit = CASE WHEN l.body IS NULL THEN h.audit ELSE sha256(h.audit || convert_to(l.body::text, 'UTF8')) END
      FROM jsonb_to_recordset(batch->'heads') AS x(tenant_id text, n integer) LEFT JOIN link l ON l.tenant_id = x.tenant_id
      WHERE h.tenant_id = x.tenant_id
      RETURNING h.tenant_id, h.pos, h.audit, x.n, l.body
  ), linked AS (
    INSERT INTO rr.audit (tenant_id, pos, body, hash)
      SELECT m.tenant_id, coalesce((SELECT max(a.pos) FROM rr.audit a WHERE a.tenant_id = m.tenant_id), 0) + 1, m.body, m.audit
        FROM moved m WHERE m.body IS NOT NULL
  )
  SELECT coalesce(jsonb_object_agg(m.tenant_id, m.pos) FILTER (WHERE m.n > 0), '{}') INTO grown FROM moved m;
  RETURN grown;
END $$;
REVOKE EXECUTE ON FUNCTION rr.commit_batch(jsonb, text[], text[], text[], integer[], integer[], uuid[], text[], integer[], text[])
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rr.commit_batch(jsonb, text[], text[], text[], integer[], integer[], uuid[], text[], integer[], text[])
  TO rr_host;

-- A study's doc leaves out what is as it was at first.
CREATE OR REPLACE FUNCTION rr.keep_read_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO rr.read_time (tenant_id, study_uid, radiologist_id, modality, body_part, procedure, minutes)
  VALUES (NEW.tenant_id, NEW.study_uid, NEW.doc->>'read_by', coalesce(NEW.doc->>'modality', ''),
          coalesce(NEW.doc->>'body_part', ''), coalesce(NEW.doc->>'procedure', ''), (NEW.doc->>'read_min')::double precision)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
