"""Forks the live state of a group and has it lived on in a process of its own, so that no request waits for it."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from actors.domain.assignment.case import kind_of
from actors.domain.assignment.minutes import LEAST_MIN, MOST_MIN, Minutes, Sum
from actors.domain.errors import BadPayload, NotFound
from actors.domain.policy import policy
from actors.domain.words import Priority
from gateway import forecast
from storage import decisions
from storage import live as stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulation.fork import Live
    from simulation.whatif import Change
    from storage.pool import Connection

_WITHIN_S = 60.0
_NICE = 10
HOURS = 8.0  # ahead, when nobody says


async def fork(conn: Connection, tenant_id: str) -> Live:
    """Return a group as it stands now."""
    from simulation.fork import Arrival, Live, Place  # noqa: PLC0415 - brings scipy; who never asks need not wait

    studies = await stored.open_studies(conn, tenant_id)
    members, sites, zone, body = await stored.group(conn, tenant_id)
    past, days = await stored.past(conn, tenant_id)
    came = (Arrival(**row | {"priority": Priority(row["priority"])}) for row in past)
    places = {site_id: Place(s.name, s.jurisdiction, s.privileged) for site_id, s in sites.items()}
    rules = policy(body)
    known = Minutes(rules.assignment)
    for seen in await decisions.seen(conn, tenant_id, -1, LEAST_MIN, MOST_MIN):
        what = kind_of(seen.modality, seen.body_part, seen.procedure)
        known.add(seen.radiologist_id, what, Sum(seen.n, seen.log, seen.square))
    return Live(datetime.now(UTC), tuple(studies), tuple(members), zone, rules, places, tuple(came), days, known)


def moment(text: str | None, field: str) -> datetime | None:
    """Return an instant that was asked for.

    Raises:
        BadPayload: it is none, or has no offset.
    """
    if text is None:
        return None
    with suppress(ValueError):
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    raise BadPayload(f"{field}: expected an instant with Z or an offset, as 2026-01-31T06:00:00Z.", {"field": field})


def _site(live: Live, named: str) -> str:
    """Return the id of a site that is named by id or name.

    Raises:
        NotFound: there is none.
    """
    if named in live.sites:
        return named
    for site_id, place in live.sites.items():
        if place.name == named:
            return site_id
    raise NotFound("There is no such site.", {"field": "site"})


def changes(live: Live, asked: Sequence[Any]) -> list[Change]:
    """Return the changes of a question, with sites and readers that are there.

    Raises:
        NotFound: a site or a reader is not.
        BadPayload: an instant is none.
    """
    from simulation import whatif  # noqa: PLC0415 - as above

    found: list[Change] = []
    for one in asked:
        match one:
            case forecast.CloseShift():
                if one.radiologist_id not in {m.user_id for m in live.members}:
                    raise NotFound("There is no such reader in this group.", {"field": "radiologist_id"})
                found.append(whatif.CloseShift(one.radiologist_id, moment(one.at, "at")))
            case forecast.AddReader():
                until = moment(one.until, "until")
                if until is not None:
                    found.append(whatif.AddReader(until, moment(one.at, "at"), one.specialty))
            case forecast.SendStudies():
                site = _site(live, one.site)
                at = moment(one.at, "at")
                found.append(
                    whatif.SendStudies(site, one.count, one.modality, one.priority, one.body_part, one.over_s, at)
                )
            case _:
                site_id = None if one.site is None else _site(live, one.site)
                found.append(whatif.ScaleArrivals(one.factor, site_id, moment(one.until, "until")))
    return found


async def apart(live: Live, asked: Sequence[Change], until: datetime, seed: int) -> dict[str, Any]:
    """Return the forecast, made by a process that gives way to everything else.

    Raises:
        BadPayload: the question makes no sense.
        TimeoutError: it took too long.
    """
    from simulation.whatif import answer  # noqa: PLC0415 - as above

    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=os.nice, initargs=(_NICE,))
    try:
        async with asyncio.timeout(_WITHIN_S):
            work = partial(answer, live, asked, until, seed)
            return await asyncio.get_running_loop().run_in_executor(pool, work)
    finally:
        for process in list(pool._processes.values()):  # noqa: SLF001 - one that is no longer waited for
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
