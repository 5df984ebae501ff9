"""What ``readingroom sim what-if`` asks of a running instance, and says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from actors.domain.errors import BadPayload, ReadingRoomError
from actors.domain.words import Priority, spelled
from gateway import forecast, forecasting
from readingroom.cli.instance import refuse, settings_of
from simulation.whatif import answer
from storage import admin
from storage.faults import NOT_READY
from storage.pool import Database

if TYPE_CHECKING:
    from pathlib import Path

    from readingroom.settings import Settings
    from simulation.fork import Live

_SEND = "expected SITE:COUNT:MODALITY[:PRIORITY], as harbor:40:CT"


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags as they were given."""

    close_shift: list[str]
    add_reader: list[str]
    send: list[str]
    scale: list[str]


def ask(data: Path | None, tenant: str, asked: Asked, hours: float, seed: int) -> dict[str, Any]:
    """Return the forecast; what is wrong ends the program with a sentence and exit code 2."""
    settings = settings_of(data)
    try:
        live, changes = asyncio.run(_fork(settings, tenant, asked))
        return answer(live, forecasting.changes(live, changes), live.now + timedelta(hours=hours), seed)
    except ReadingRoomError as refusal:
        refuse(str(refusal))
    except NOT_READY as away:
        refuse(
            f"The instance in {settings.data} does not run ({type(away).__name__}). "
            f"Start it: readingroom up --data {settings.data}"
        )


async def _fork(settings: Settings, named: str, asked: Asked) -> tuple[Live, list[Any]]:
    administrator = await Database(settings.dsn("rr_admin"), max_size=1).open()
    view = await Database(settings.dsn("rr_app"), max_size=1).open()
    try:
        async with administrator.scope() as conn:
            tenant_id = await admin.tenant(conn, named)
            closing = [await admin.person(conn, who) if "@" in who else who for who in asked.close_shift]
        async with view.scope([tenant_id]) as conn:
            live = await forecasting.fork(conn, tenant_id)
    finally:
        await administrator.close()
        await view.close()
    where = ZoneInfo(live.zone)
    changes: list[Any] = [forecast.CloseShift(radiologist_id=who) for who in closing]
    changes += [_add(text, live.now, where) for text in asked.add_reader]
    changes += [_send(text) for text in asked.send]
    changes += [_scale(text) for text in asked.scale]
    return live, changes


def _add(text: str, now: datetime, where: ZoneInfo) -> forecast.AddReader:
    specialty, _, until = text.rpartition("@")
    try:
        at = time.fromisoformat(until)
    except ValueError:
        raise BadPayload(f"--add-reader: expected UNTIL or SPECIALTY@UNTIL, as neuro@06:00, not {text!r}.") from None
    local = now.astimezone(where)
    end = datetime.combine(local.date(), at, where)
    if end <= local:
        end += timedelta(days=1)
    return forecast.AddReader(until=end.astimezone(UTC).isoformat(), specialty=specialty or None)


def _send(text: str) -> forecast.SendStudies:
    site, count, modality, priority = [*text.split(":"), "", "", ""][:4]
    if not (site and count.isascii() and count.isdigit() and int(count) > 0 and modality):
        raise BadPayload(f"--send: {_SEND}, not {text!r}.")
    word = spelled(priority) or Priority.URGENT.value
    if word not in {p.value for p in Priority}:
        raise BadPayload(f"--send: the priority is STAT, URGENT or ROUTINE, not {priority!r}.")
    return forecast.SendStudies(site=site, count=int(count), modality=modality, priority=Priority(word))


def _scale(text: str) -> forecast.ScaleArrivals:
    site, _, factor = text.rpartition(":")
    try:
        number = float(factor)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 10:  # noqa: PLR2004 - as over REST
        raise BadPayload(f"--scale: expected FACTOR or SITE:FACTOR from 0 to 10, as harbor:1.3, not {text!r}.")
    return forecast.ScaleArrivals(factor=number, site=site or None)


def told(said: dict[str, Any]) -> str:
    """Return the answer in a few lines."""
    more = said["difference"]
    lines = [
        f"{more['mean']:+.1f} breaches by {said['until']} (80 % of nights {more['low']:+.0f} to {more['high']:+.0f})",
        f"as planned {said['planned']['mean']:.1f}, changed {said['changed']['mean']:.1f}",
        f"mean turnaround {said['tat_min']['planned']['mean']:.0f} and {said['tat_min']['changed']['mean']:.0f} min",
    ]
    lines += [f"  {p['priority']}: {p['mean']:+.1f}" for p in said["priorities"]]
    lines += [f"  {s['site']['name']}: {s['mean']:+.1f}" for s in said["sites"] if s["mean"]]
    lines += [f"  {r['name']}: {r['minutes']['mean']:+.0f} min" for r in said["readers"][:5] if r["minutes"]["mean"]]
    lines.append(f"{said['nights']} nights lived twice in {said['took_s']:.1f} s, seed {said['seed']}.")
    return "\n".join([*lines, *said["assumes"]])
