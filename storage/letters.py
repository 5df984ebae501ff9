"""Dead letters: messages that an entity fails on, set aside so that a person sees them and nothing waits for them.

They hold no demographics: what failed, where, and what is needed to try images and timers again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from actors.domain.errors import NotFound, WrongStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from storage.pool import Connection
    from storage.timers import Timer

NOTE = """
INSERT INTO rr.dead_letter AS d (tenant_id, entity, source, command, cause, user_id, idem)
VALUES ($1, $2, 'command', $3, $4, $5, $6)
ON CONFLICT (tenant_id, entity, command, cause) WHERE source = 'command'
  DO UPDATE SET tries = d.tries + 1, last_at = now(), user_id = excluded.user_id, idem = excluded.idem
"""
PARK = """
WITH gone AS (
  DELETE FROM rr.inbox WHERE tenant_id = $1 AND inbox_id = ANY($4::bigint[]) RETURNING inbox_id, study_uid, shard, body)
INSERT INTO rr.dead_letter (tenant_id, entity, source, command, cause, tries, body)
SELECT $1, $2, 'inbox', 'ImagesArrived', $3, $5, jsonb_agg(to_jsonb(gone) ORDER BY inbox_id) FROM gone HAVING count(*) > 0
"""
STOP = """
WITH gone AS (
  DELETE FROM rr.timer WHERE tenant_id = $1 AND entity = $2 AND name = $3 AND version = $4 AND due_at = $5
  RETURNING entity, name, shard, version, due_at)
INSERT INTO rr.dead_letter (tenant_id, entity, source, command, cause, tries, body)
SELECT $1, $2, 'timer', $3, $6, $7, to_jsonb(gone) FROM gone
"""
EXPIRE = (
    "DELETE FROM rr.dead_letter WHERE tenant_id = $1 AND last_at < now() - interval '30 days' AND source = 'command'"
)
LIST = """
SELECT letter_id, tenant_id, entity, source, command, cause, tries, user_id, idem, at, last_at,
       CASE WHEN source = 'inbox' THEN jsonb_array_length(body) ELSE 1 END AS messages
  FROM rr.dead_letter WHERE $1::text IS NULL OR tenant_id = $1 ORDER BY last_at DESC, letter_id LIMIT 1000
"""
TAKE = "DELETE FROM rr.dead_letter WHERE letter_id = $1 RETURNING tenant_id, source, body"
IMAGES_AGAIN = """
INSERT INTO rr.inbox (tenant_id, study_uid, shard, body)
SELECT $1, x.study_uid, x.shard, x.body FROM jsonb_to_recordset($2::jsonb) AS x(study_uid text, shard integer, body jsonb)
"""
TIMER_AGAIN = """
INSERT INTO rr.timer (tenant_id, entity, name, shard, version, due_at)
SELECT $1, x.entity, x.name, x.shard, x.version, x.due_at
  FROM jsonb_to_record($2::jsonb) AS x(entity text, name text, shard integer, version integer, due_at timestamptz)
ON CONFLICT DO NOTHING
"""


class Letter(NamedTuple):
    """A dead letter as people see it."""

    letter_id: str
    tenant_id: str
    entity: str
    source: str  # command | inbox | timer
    command: str
    cause: str  # class of the exception, and where it was raised
    tries: int
    user_id: str | None
    idem: str | None
    at: datetime
    last_at: datetime
    messages: int


async def note(
    conn: Connection, place: tuple[str, str], command: str, cause: str, by: tuple[str | None, str | None]
) -> None:
    """Note a command that was refused as failed; the same failure again counts up. ``place``: tenant and entity."""
    await conn.execute(NOTE, *place, command, cause, *by)


async def park(conn: Connection, place: tuple[str, str], inbox_ids: Iterable[int], cause: str, tries: int) -> None:
    """Take entries out of the inbox, all that they say kept in a dead letter."""
    await conn.execute(PARK, *place, cause, list(inbox_ids), tries)


async def stop(conn: Connection, timer: Timer, cause: str, tries: int) -> None:
    """Take a timer out of those that fire, kept in a dead letter."""
    await conn.execute(STOP, *structs.astuple(timer), cause, tries)


async def expire(conn: Connection, tenant_id: str) -> None:
    """Delete notes of old failures; images and timers stay until a person has decided."""
    await conn.execute(EXPIRE, tenant_id)


async def letters(conn: Connection, tenant_id: str | None = None) -> list[Letter]:
    """Return dead letters, the latest first (role rr_admin)."""
    return [Letter(*row) for row in await conn.fetch(LIST, tenant_id)]


async def again(conn: Connection, letter_id: str) -> str:
    """Put images or a timer back where they came from; return the tenant (role rr_admin).

    Raises:
        NotFound: there is no such letter.
        WrongStatus: it notes a command, whose sender was told.
    """
    row = await conn.fetchrow(TAKE, letter_id)
    if row is None:
        raise NotFound(f"There is no dead letter {letter_id!r}.")
    if row["source"] == "command":
        raise WrongStatus("Its sender was told that it failed and may send it again; dismiss it here.")
    await conn.execute(IMAGES_AGAIN if row["source"] == "inbox" else TIMER_AGAIN, row["tenant_id"], row["body"])
    return str(row["tenant_id"])


async def dismiss(conn: Connection, letter_id: str) -> str:
    """Throw a letter away; return its tenant (role rr_admin). Images stay stored, their study is not told of these.

    Raises:
        NotFound: there is no such letter.
    """
    row = await conn.fetchrow(TAKE, letter_id)
    if row is None:
        raise NotFound(f"There is no dead letter {letter_id!r}.")
    return str(row["tenant_id"])
