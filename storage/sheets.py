"""Takes spreadsheets of readers and shifts: whole or not at all, or only to see what would happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.domain import sheets
from actors.domain.errors import BadPayload
from actors.domain.instant import instant
from actors.domain.profile import Profile, profile
from actors.domain.roster import Shift, clash, zone
from actors.domain.sheets import Wrong
from storage import access, readers, shifts
from storage.hydrate import time_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage.pool import Connection

_ALL = "SELECT p.email FROM rr.membership m JOIN rr.person p USING (user_id) WHERE m.tenant_id = $1 AND m.active"
_SHOWN_MOST = 200  # errors told at once


class SheetRefused(BadPayload):
    """Rows are wrong and nothing was taken; ``errors`` lists them."""


def _outcome(good: Iterable[int], changed: int, wrong: Sequence[Wrong], *, dry_run: bool) -> dict[str, Any]:
    rows = len({*good, *(w.line for w in wrong if w.line > 1)})
    ordered = sorted(wrong, key=lambda w: (w.line, w.column))[:_SHOWN_MOST]
    errors = [{"line": w.line, "column": w.column, "what": w.what, "cure": w.cure} for w in ordered]
    if wrong and not dry_run:
        first = ordered[0]
        message = (
            f"Nothing was taken, {len(wrong)} wrong in {rows} rows; the first is in line {first.line}: {first.what}"
        )
        raise SheetRefused(message, {"field": first.column, "errors": errors})
    return {"rows": rows, "changed": 0 if wrong else changed, "applied": not dry_run, "errors": errors}


async def _everyone(conn: Connection, tenant_id: str) -> dict[str, dict[str, Any]]:
    emails = [r["email"] for r in await conn.fetch(_ALL, tenant_id)]
    return await readers.by_email(conn, tenant_id, emails)


async def take_readers(conn: Connection, tenant_id: str, text: str, by: str | None, *, dry_run: bool) -> dict[str, Any]:
    """Take a sheet of readers; return ``{rows, changed, applied, errors}``.

    Raises:
        SheetRefused: a row is wrong; nothing was taken.
    """
    await readers.turn(conn, tenant_id)
    everyone = await _everyone(conn, tenant_id)
    documents = {email: {name: who[name] for name in Profile().body()} for email, who in everyone.items()}
    made, wrong = sheets.readers(text, documents)
    known = await readers.sites(conn, tenant_id)
    news = []
    for line, email, body in made:
        try:
            said = readers.placed(profile(body), known)
        except BadPayload as exc:
            wrong.append(Wrong(line, "privileges", str(exc), "Name a site of this group, or add it first."))
            continue
        if said.body() != documents[email]:
            news.append((everyone[email]["radiologist_id"], said))
    outcome = _outcome((line for line, *_ in made), len(news), wrong, dry_run=dry_run)
    if not dry_run:
        for user_id, said in news:
            await readers.put(conn, tenant_id, user_id, said, None, by)
    return outcome


async def take_shifts(conn: Connection, tenant_id: str, text: str, by: str | None, *, dry_run: bool) -> dict[str, Any]:
    """Take a sheet of shifts; one that stands already is left alone. Return ``{rows, changed, applied, errors}``.

    Raises:
        SheetRefused: a row is wrong; nothing was taken.
    """
    await readers.turn(conn, tenant_id)
    everyone = await _everyone(conn, tenant_id)
    where = zone(await time_zone(conn, tenant_id))
    made, wrong = sheets.shifts(text, {e: who["radiologist_id"] for e, who in everyone.items()}, where)
    standing = await shifts.standing(conn, tenant_id, [(who, s) for _, who, s in made])
    news = []
    for line, who, shift in made:
        hers: list[Shift] = standing.setdefault(who, [])
        if shift in hers:
            continue
        if pair := clash([*hers, shift]):
            other = pair[0] if pair[1] == shift else pair[1]
            what = f"It overlaps her shift from {instant(other.starts_at)} to {instant(other.ends_at)}."
            wrong.append(Wrong(line, "starts", what, "Move one of them, or remove the other first."))
            continue
        hers.append(shift)
        news.append((who, shift))
    outcome = _outcome((line for line, *_ in made), len(news), wrong, dry_run=dry_run)
    if not dry_run and news:
        for shift_id in await shifts.insert(conn, tenant_id, news):
            after = await shifts.one(conn, tenant_id, shift_id)
            await access.changed(conn, tenant_id, by, "shift_added", shift_id, None, after)
    return outcome
