"""Which studies' files are to lie on which tier, and the moves between them (roles rr_keeper and, for policies, rr_admin)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.domain.errors import BadPayload
from storage import access, closed
from storage.keeping import LOCK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from storage.pool import Connection

# What may be moved at all: closed, not being erased, every file of it as it was written as far as is known.
_STILL = f"""
{closed.CLOSED}
   AND NOT EXISTS (SELECT 1 FROM rr.erasure e
                    WHERE e.tenant_id = d.tenant_id AND e.study_uid = d.study_uid AND e.erased_at IS NULL)
   AND NOT EXISTS (SELECT 1 FROM rr.damage x
                    WHERE x.tenant_id = d.tenant_id AND x.study_uid = d.study_uid AND x.healed_at IS NULL)
"""  # noqa: S608 - constants only
# To the cold tier: not changed nor opened for so many days ($4, else the group's policy), and not all there yet.
COOL = f"""
SELECT d.study_uid, d.images
  FROM rr.dicom_study d
  LEFT JOIN rr.tiering t ON t.tenant_id = d.tenant_id
{closed.STATE}
 WHERE d.tenant_id = $1 AND ($3::text IS NULL OR d.study_uid = $3)
   AND (d.cold_at IS NULL OR greatest(d.last_image_at, j.at) > d.cold_at)
   AND greatest(d.last_image_at, j.at) + make_interval(secs => coalesce($4::double precision, t.days) * 86400) <= $2::timestamptz
   AND NOT EXISTS (SELECT 1 FROM rr.access a WHERE a.tenant_id = d.tenant_id AND a.subject = d.study_uid
                      AND a.act = 'study_opened'
                      AND a.at + make_interval(secs => coalesce($4::double precision, t.days) * 86400) > $2)
{_STILL}
 ORDER BY d.study_uid
"""  # noqa: S608 - constants only
# Back: somebody works on it again, or opened it since it went.
WARM = """
WITH wanted AS (
  SELECT s.study_uid, 'infinity'::timestamptz AS at FROM rr.study s WHERE s.tenant_id = $1 AND s.open
  UNION ALL
  SELECT a.subject, a.at FROM rr.access a
   WHERE a.tenant_id = $1 AND a.act = 'study_opened' AND a.at > $2::timestamptz - interval '1 day')
SELECT DISTINCT d.study_uid, d.images
  FROM wanted w JOIN rr.dicom_study d ON d.tenant_id = $1 AND d.study_uid = w.study_uid
 WHERE d.cold_at < w.at
   AND NOT EXISTS (SELECT 1 FROM rr.erasure e WHERE e.tenant_id = $1 AND e.study_uid = d.study_uid AND e.erased_at IS NULL)
 ORDER BY d.study_uid
"""
GOING = "SELECT 1 FROM rr.erasure WHERE tenant_id = $1 AND study_uid = $2 AND erased_at IS NULL"
# One move of a study at a time; whose mover fell silent is taken up by the next, under its name.
BEGIN = """
INSERT INTO rr.tier_move AS m (tenant_id, study_uid, move_id, to_cold) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, study_uid) DO UPDATE SET alive_at = now()
 WHERE m.moved_at IS NULL AND m.to_cold = excluded.to_cold AND m.alive_at < now() - make_interval(secs => $5)
RETURNING move_id
"""
ALIVE = """
UPDATE rr.tier_move SET alive_at = now() WHERE tenant_id = $1 AND study_uid = $2 AND move_id = $3 AND moved_at IS NULL
RETURNING 1
"""
DROP = "DELETE FROM rr.tier_move WHERE tenant_id = $1 AND study_uid = $2 AND move_id = $3 AND moved_at IS NULL"
FORGOTTEN = "DELETE FROM rr.tier_move WHERE tenant_id = $1 AND moved_at IS NULL AND alive_at < now() - interval '1 day'"
FILES = """
SELECT path, size, sha256 FROM rr.instance WHERE tenant_id = $1 AND study_uid = $2
UNION ALL
SELECT path, 0, sha256 FROM rr.kept_apart WHERE tenant_id = $1 AND study_uid = $2
 ORDER BY path
"""
NAME = (
    """UPDATE rr.instance i SET path = m.new FROM unnest($3::text[], $4::text[]) AS m (old, new)
        WHERE i.tenant_id = $1 AND i.study_uid = $2 AND i.path = m.old""",
    """UPDATE rr.kept_apart i SET path = m.new FROM unnest($3::text[], $4::text[]) AS m (old, new)
        WHERE i.tenant_id = $1 AND i.study_uid = $2 AND i.path = m.old""",
)
MOVED = """
UPDATE rr.tier_move SET moved_at = now(), old_paths = $4
 WHERE tenant_id = $1 AND study_uid = $2 AND move_id = $3 AND moved_at IS NULL
RETURNING 1
"""
LIES = "UPDATE rr.dicom_study SET cold_at = $3 WHERE tenant_id = $1 AND study_uid = $2"
LEFT = """
SELECT study_uid, move_id, old_paths FROM rr.tier_move
 WHERE tenant_id = $1 AND moved_at <= now() - make_interval(secs => $2) ORDER BY moved_at
"""
DONE = "DELETE FROM rr.tier_move WHERE tenant_id = $1 AND study_uid = $2 AND move_id = $3 AND moved_at IS NOT NULL"

_SET = """
INSERT INTO rr.tiering (tenant_id, days) VALUES ($1, $2) ON CONFLICT (tenant_id) DO UPDATE SET days = excluded.days, at = now()
"""
_NEVER = "DELETE FROM rr.tiering WHERE tenant_id = $1"
_SHOWN = """
SELECT (SELECT days FROM rr.tiering WHERE tenant_id = $1) AS days,
       count(*) FILTER (WHERE d.cold_at IS NULL) AS hot, count(d.cold_at) AS cold,
       (SELECT count(*) FROM rr.tier_move WHERE tenant_id = $1 AND moved_at IS NULL) AS moving
  FROM rr.dicom_study d WHERE d.tenant_id = $1
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A study whose files are to move."""

    study_uid: str
    images: int


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a study's files, to the cold tier or back; ``days`` that it must have been left alone, else the policy's."""

    tenant_id: str
    study_uid: str
    move_id: str
    cold: bool
    days: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What names its row."""
        return self.tenant_id, self.study_uid, self.move_id


@dataclass(frozen=True, slots=True)
class File:
    """A stored file and what it must be; ``size`` 0 where it is not known."""

    path: str
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """What a move left behind."""

    study_uid: str
    move_id: str
    old_paths: list[str]


async def cool(
    conn: Connection, tenant_id: str, now: datetime, study_uid: str | None = None, days: float | None = None
) -> list[Due]:
    """Return the studies that are to go to the cold tier, or that one if it is; ``days`` in place of the policy's."""
    return [Due(*row) for row in await conn.fetch(COOL, tenant_id, now, study_uid, days)]


async def warm(conn: Connection, tenant_id: str, now: datetime) -> list[Due]:
    """Return the studies on the cold tier that somebody works on again, or opened since."""
    return [Due(*row) for row in await conn.fetch(WARM, tenant_id, now)]


async def begin(  # noqa: PLR0913 - a row
    conn: Connection, tenant_id: str, study_uid: str, move_id: str, *, cold: bool, lease_s: float
) -> str:
    """Begin a move, or take up one whose mover fell silent; return its id, empty when another is under way."""
    return await conn.fetchval(BEGIN, tenant_id, study_uid, move_id, cold, lease_s) or ""


async def alive(conn: Connection, move: Move) -> bool:
    """Say that a move goes on; return whether it may."""
    return await conn.fetchval(ALIVE, *move.key) is not None


async def drop(conn: Connection, move: Move) -> None:
    """End a move that comes to nothing; its copies are strays."""
    await conn.execute(DROP, *move.key)


async def files(conn: Connection, move: Move) -> list[File]:
    """Return every file of a move's study, also those kept apart."""
    return [File(*row) for row in await conn.fetch(FILES, move.tenant_id, move.study_uid)]


async def flip(conn: Connection, move: Move, copies: Mapping[str, str], at: datetime) -> bool:
    """Let the rows name the copies, if the study may still move; else nothing changes.

    Args:
        conn: whose transaction this is the whole of.
        move: which.
        copies: new names by old.
        at: since when the files that are copied are known.
    """
    study = move.tenant_id, move.study_uid
    await conn.fetchval(LOCK, *study)
    if move.cold:
        may = bool(await cool(conn, move.tenant_id, at, move.study_uid, move.days))
    else:
        may = await conn.fetchval(GOING, *study) is None
    if not may or await conn.fetchval(MOVED, *move.key, list(copies)) is None:
        return False
    for statement in NAME:
        await conn.execute(statement, *study, list(copies), list(copies.values()))
    await conn.execute(LIES, *study, at if move.cold else None)
    return True


async def left(conn: Connection, tenant_id: str, grace_s: float) -> list[Left]:
    """Return what moves left behind that long ago."""
    return [Left(*row) for row in await conn.fetch(LEFT, tenant_id, grace_s)]


async def done(conn: Connection, tenant_id: str, one: Left) -> None:
    """End a move whose old files are gone."""
    await conn.execute(DONE, tenant_id, one.study_uid, one.move_id)


async def forget(conn: Connection, tenant_id: str) -> None:
    """End moves that nobody has gone on with for a day."""
    await conn.execute(FORGOTTEN, tenant_id)


async def keep(conn: Connection, tenant_id: str, days: float | None, *, by: str | None = None) -> None:
    """Set after how many days without change or opening a closed study's files go to the cold tier; None: never.

    Raises:
        BadPayload: a number that is not positive.
    """
    if days is None:
        await conn.execute(_NEVER, tenant_id)
    elif days > 0:
        await conn.execute(_SET, tenant_id, days)
    else:
        raise BadPayload("days: a positive number.", {"field": "days"})
    await access.record(conn, tenant_id, by, "tiering_changed", tenant_id)


async def shown(conn: Connection, tenant_id: str) -> dict[str, Any]:
    """Return a group's ``days`` (None: never), how many studies are ``hot`` and ``cold``, how many are ``moving``."""
    return dict(await conn.fetchrow(_SHOWN, tenant_id) or {})
