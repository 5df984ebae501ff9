"""Reads what the database says of a run, as the administrator, into a history."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg

from actors.domain.study import load
from tests.chaos.checker.history import Armed, Cap, Entry, Fed, History, Link, Seen

if TYPE_CHECKING:
    from tests.chaos.checker.history import Place

_JOURNAL = """
SELECT tenant_id, entity, version, type, body::text AS body, at, by, idem,
       rr.event_hash(entity, version, type, body, by, at) AS digest
  FROM rr.journal ORDER BY tenant_id, entity, version
"""
_FEED = "SELECT tenant_id, pos, stream, seq, id::text AS id, type, data::text AS data, at FROM rr.feed ORDER BY tenant_id, pos"
_AUDIT = "SELECT tenant_id, pos, body::text AS body, hash, at FROM rr.audit ORDER BY tenant_id, pos"
_HEADS = "SELECT tenant_id, pos FROM rr.tenant_head"
_STREAMS = "SELECT tenant_id, stream, seq, counters::text AS counters FROM rr.stream_head"
_STUDIES = "SELECT tenant_id, study_uid, rev, step, status, open, reader, doc::text AS doc FROM rr.study"
_READERS = "SELECT tenant_id, user_id, load FROM rr.reader"
_TIMERS = "SELECT tenant_id, entity, name, version, due_at FROM rr.timer"
_ANSWERS = "SELECT tenant_id, user_id, idem, answer::text AS answer FROM rr.answer"
_POLICIES = "SELECT tenant_id, (body->>'capacity')::integer AS cap, at FROM rr.policy WHERE body ? 'capacity'"
_MEMBERS = "SELECT tenant_id, user_id, capacity AS cap FROM rr.membership WHERE capacity IS NOT NULL"
_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)


async def read(dsn: str) -> History:
    """Return the history of a database: one instant of it, with nothing of what people were told."""
    conn = await asyncpg.connect(dsn, timeout=30)
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            return await _history(conn)
    finally:
        await conn.close()


async def _history(conn: asyncpg.Connection[Any]) -> History:
    history = History(ended_at=await conn.fetchval("SELECT now()"))
    commits: dict[tuple[str, str, int], tuple[int, datetime]] = {}
    for r in await conn.fetch(_AUDIT):
        history.links.append(Link(r["tenant_id"], r["pos"], r["body"], r["hash"]))
        for entity, version, _ in json.loads(r["body"]):
            commits[r["tenant_id"], entity, version] = (r["pos"], r["at"])
    for r in await conn.fetch(_JOURNAL):
        commit, at = commits.get((r["tenant_id"], r["entity"], r["version"]), (0, r["at"]))
        body = json.loads(r["body"])
        history.entries.append(
            Entry(
                r["tenant_id"], r["entity"], r["version"], r["type"], body, r["at"], r["by"], r["idem"], commit, at,
                r["digest"],
            )
        )  # fmt: skip
    history.feed = [Fed(**{**r, "data": json.loads(r["data"])}) for r in await conn.fetch(_FEED)]
    history.positions = {r["tenant_id"]: r["pos"] for r in await conn.fetch(_HEADS)}
    for r in await conn.fetch(_STREAMS):
        place: Place = (r["tenant_id"], r["stream"])
        history.heads[place] = r["seq"]
        if r["counters"]:
            history.counters[place] = json.loads(r["counters"])
    for r in await conn.fetch(_STUDIES):
        seen = Seen(load(json.loads(r["doc"])), r["rev"], r["step"], r["status"], r["open"], r["reader"])
        history.rows[r["tenant_id"], r["study_uid"]] = seen
    history.loads = {(r["tenant_id"], r["user_id"]): r["load"] for r in await conn.fetch(_READERS)}
    history.timers = [Armed(*r) for r in await conn.fetch(_TIMERS)]
    history.answers = {tuple(r)[:3]: json.loads(r["answer"]) for r in await conn.fetch(_ANSWERS)}
    history.caps = [Cap(r["tenant_id"], None, r["at"], r["cap"]) for r in await conn.fetch(_POLICIES)]
    history.caps += [Cap(r["tenant_id"], None, _BEFORE, 5) for r in await conn.fetch(_HEADS)]
    history.caps += [Cap(r["tenant_id"], r["user_id"], _BEFORE, r["cap"]) for r in await conn.fetch(_MEMBERS)]
    return history
