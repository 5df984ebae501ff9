"""Shifts one by one: added, changed, swapped, removed (roles rr_app and rr_admin). Each change is audited.

Writers of a group take turns (:func:`storage.readers.turn`), so what they check still holds when they commit.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from uuid_utils import uuid7

from actors.domain.errors import BadPayload, NotFound, StaleVersion
from actors.domain.instant import instant
from actors.domain.roster import Kind, Shift, Span, clash
from storage import access, readers
from storage.staff import breaks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage.pool import Connection

_ROW = (
    "SELECT shift_id, user_id, starts_at, ends_at, kind, breaks, roster_id, version FROM rr.shift WHERE tenant_id = $1"
)
PAGE = (
    _ROW
    + """
   AND ends_at > $2 AND starts_at < $3 AND ($4::text IS NULL OR user_id = $4)
   AND (starts_at, shift_id) > ($5, $6)
 ORDER BY starts_at, shift_id LIMIT $7
"""
)
ONE = _ROW + " AND shift_id = $2"
OF = _ROW + " AND user_id = ANY($2::text[]) AND ends_at > $3 AND starts_at < $4 AND shift_id <> ALL($5::text[])"
ADD = """
INSERT INTO rr.shift (tenant_id, shift_id, user_id, starts_at, ends_at, kind, breaks, roster_id)
SELECT $1, x.shift_id, x.user_id, x.starts_at, x.ends_at, x.kind, x.breaks, $3
  FROM jsonb_to_recordset($2::jsonb) AS x(shift_id text, user_id text, starts_at timestamptz, ends_at timestamptz,
    kind text, breaks jsonb)
"""
SET = """
UPDATE rr.shift SET user_id = $3, starts_at = $4, ends_at = $5, kind = $6, breaks = $7::jsonb, roster_id = NULL,
       version = version + 1
 WHERE tenant_id = $1 AND shift_id = $2
"""
DELETE = "DELETE FROM rr.shift WHERE tenant_id = $1 AND shift_id = $2"
PARK = "UPDATE rr.shift SET user_id = '' WHERE tenant_id = $1 AND shift_id = $2"


def shown(row: Any) -> dict[str, Any]:
    """Return a shift as REST shows it."""
    return {
        "shift_id": row["shift_id"],
        "radiologist_id": row["user_id"],
        "starts_at": instant(row["starts_at"]),
        "ends_at": instant(row["ends_at"]),
        "kind": row["kind"],
        "breaks": [_span(one) for one in breaks(row["breaks"])],
        "roster_id": row["roster_id"],
        "version": row["version"],
    }


def _span(span: Span) -> dict[str, str]:
    return {"starts_at": instant(span.starts_at), "ends_at": instant(span.ends_at)}


def _shift(row: Any) -> Shift:
    return Shift(row["starts_at"], row["ends_at"], Kind(row["kind"]), breaks(row["breaks"]))


async def page(  # noqa: PLR0913 - what is wanted
    conn: Connection, tenant_id: str, *, starts_at: datetime, ends_at: datetime, who: str | None, after: str | None,
    limit: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return at most ``limit`` shifts that touch a stretch of time, by their start."""
    begin, _, shift_id = (after or "").partition("/")
    try:
        since = datetime.fromisoformat(begin) if after else datetime(1, 1, 1, tzinfo=UTC)
    except ValueError:
        raise BadPayload("after: expected the next of the page before.", {"field": "after"}) from None
    rows = await conn.fetch(PAGE, tenant_id, starts_at, ends_at, who, since, shift_id, limit)
    return [shown(r) for r in rows]


async def _row(conn: Connection, tenant_id: str, shift_id: str) -> Any:
    row = await conn.fetchrow(ONE, tenant_id, shift_id)
    if row is None:
        raise NotFound
    return row


async def one(conn: Connection, tenant_id: str, shift_id: str) -> dict[str, Any]:
    """Return a shift.

    Raises:
        NotFound: there is none.
    """
    return shown(await _row(conn, tenant_id, shift_id))


def _seen(row: Any, version: int | None) -> None:
    if version is not None and version != row["version"]:
        raise StaleVersion("Somebody has changed this shift since you saw it.", {"row": shown(row)})


async def standing(
    conn: Connection, tenant_id: str, beside: list[tuple[str, Shift]], but: Iterable[str] = ()
) -> dict[str, list[Shift]]:
    """Return the shifts of these readers that stand at the times of some new ones, ``but`` those of these ids."""
    if not beside:
        return {}
    begin, end = min(s.starts_at for _, s in beside), max(s.ends_at for _, s in beside)
    found: dict[str, list[Shift]] = {}
    for row in await conn.fetch(OF, tenant_id, sorted({who for who, _ in beside}), begin, end, list(but)):
        found.setdefault(row["user_id"], []).append(_shift(row))
    return found


async def free(conn: Connection, tenant_id: str, new: list[tuple[str, Shift]], but: Iterable[str] = ()) -> None:
    """Refuse shifts that would have somebody work twice at once.

    Raises:
        BadPayload: naming the two.
    """
    wanted = await standing(conn, tenant_id, new, but)
    for who, shift in new:
        wanted.setdefault(who, []).append(shift)
    for shifts in wanted.values():
        if pair := clash(shifts):
            message = (
                f"starts_at: a shift from {instant(pair[1].starts_at)} overlaps hers until {instant(pair[0].ends_at)}; "
                "move or remove one of them."
            )
            raise BadPayload(message, {"field": "starts_at"})


async def insert(
    conn: Connection, tenant_id: str, new: list[tuple[str, Shift]], roster_id: str | None = None
) -> list[str]:
    """Insert shifts as they are; return their ids."""
    ids = [str(uuid7()) for _ in new]
    rows = [
        {"shift_id": shift_id, "user_id": who, "starts_at": s.starts_at, "ends_at": s.ends_at, "kind": s.kind.value,
         "breaks": [_span(b) for b in s.breaks]}
        for shift_id, (who, s) in zip(ids, new, strict=True)
    ]  # fmt: skip
    await conn.execute(ADD, tenant_id, msgspec.json.encode(rows).decode(), roster_id)
    return ids


async def add(conn: Connection, tenant_id: str, new: list[tuple[str, Shift]], by: str | None) -> list[dict[str, Any]]:
    """Put shifts on the roster; return them.

    Raises:
        NotFound: somebody does not read for this group.
        BadPayload: somebody would work twice at once.
    """
    await readers.turn(conn, tenant_id)
    for who in {who for who, _ in new}:
        await readers.one(conn, tenant_id, who)
    await free(conn, tenant_id, new)
    ids = await insert(conn, tenant_id, new)
    added = [await one(conn, tenant_id, shift_id) for shift_id in ids]
    for shift in added:
        await access.changed(conn, tenant_id, by, "shift_added", shift["shift_id"], None, shift)
    return added


async def change(  # noqa: PLR0913, PLR0917 - who, which, what, upon which version
    conn: Connection, tenant_id: str, shift_id: str, to: tuple[str, Shift], version: int, by: str | None
) -> dict[str, Any]:
    """Change one shift, its reader too; it no longer follows its roster. Return it.

    Raises:
        NotFound, StaleVersion, BadPayload: as they say.
    """
    await readers.turn(conn, tenant_id)
    _seen(await _row(conn, tenant_id, shift_id), version)
    before = await one(conn, tenant_id, shift_id)
    await readers.one(conn, tenant_id, to[0])
    await free(conn, tenant_id, [to], [shift_id])
    await _set(conn, tenant_id, shift_id, *to)
    after = await one(conn, tenant_id, shift_id)
    await access.changed(conn, tenant_id, by, "shift_changed", shift_id, before, after)
    return after


async def _set(conn: Connection, tenant_id: str, shift_id: str, who: str, shift: Shift) -> None:
    held = msgspec.json.encode([_span(b) for b in shift.breaks]).decode()
    await conn.execute(SET, tenant_id, shift_id, who, shift.starts_at, shift.ends_at, shift.kind.value, held)


async def remove(conn: Connection, tenant_id: str, shift_id: str, version: int | None, by: str | None) -> None:
    """Take a shift off the roster.

    Raises:
        NotFound, StaleVersion: as they say.
    """
    await readers.turn(conn, tenant_id)
    _seen(await _row(conn, tenant_id, shift_id), version)
    before = await one(conn, tenant_id, shift_id)
    await conn.execute(DELETE, tenant_id, shift_id)
    await access.changed(conn, tenant_id, by, "shift_removed", shift_id, before, None)


async def swap(  # noqa: PLR0913, PLR0917 - who, which two, upon which version
    conn: Connection, tenant_id: str, shift_id: str, other_id: str, version: int, by: str | None
) -> list[dict[str, Any]]:
    """Let two readers exchange two shifts, both or neither; return the shifts.

    Raises:
        NotFound, StaleVersion, BadPayload: as they say.
    """
    await readers.turn(conn, tenant_id)
    mine = await _row(conn, tenant_id, shift_id)
    _seen(mine, version)
    theirs = await conn.fetchrow(ONE, tenant_id, other_id)
    if theirs is None or theirs["user_id"] == mine["user_id"]:
        raise BadPayload("with_shift_id: expected a shift of another reader.", {"field": "with_shift_id"})
    new = [(theirs["user_id"], _shift(mine)), (mine["user_id"], _shift(theirs))]
    await free(conn, tenant_id, new, [shift_id, other_id])
    were = [await one(conn, tenant_id, which) for which in (shift_id, other_id)]
    await conn.execute(PARK, tenant_id, other_id)  # both may begin at one instant, and a reader has one such shift
    await _set(conn, tenant_id, shift_id, *new[0])
    await _set(conn, tenant_id, other_id, *new[1])
    are = [await one(conn, tenant_id, which) for which in (shift_id, other_id)]
    for before, after in zip(were, are, strict=True):
        await access.changed(conn, tenant_id, by, "shift_swapped", after["shift_id"], before, after)
    return are
