"""``readingroom admin replay`` and ``audit verify``: what the journals say of any instant, and that nobody edited them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from actors.domain.events import current
from actors.domain.instant import instant
from actors.domain.replay import replay as rebuilt
from actors.domain.row import row
from readingroom.cli.instance import AsJson, Data, Hand, act, instant_given, refuse
from storage import audit, hydrate, journal, past

if TYPE_CHECKING:
    from actors.domain.unit import Recorded
    from storage.pool import Connection

audits = typer.Typer(help="The chain of hashes over everything that happened.", no_args_is_help=True)
_BROKEN = 1  # exit code

At = Annotated[
    datetime | None,
    typer.Option(
        "--at", parser=instant_given, metavar="INSTANT", help="ISO 8601, UTC unless it says.", show_default="now"
    ),
]
Group = Annotated[str | None, typer.Option("--tenant", help="The reading group, by id or name; needed if several fit.")]


@audits.command("verify", epilog="Example: readingroom admin audit verify --tenant north-star --json")
def audit_verify(*, tenant: Group = None, data: Data = None, as_json: AsJson = False) -> None:
    """Check every event against its hash and every hash against the one before; exit 1 when something was changed."""

    async def work(hand: Hand) -> list[audit.Chain]:
        found = []
        for tenant_id in [await hand.tenant(tenant)] if tenant else await hand.tenants():
            async with hand.inside(tenant_id) as conn:
                found.append(await audit.verify(conn, tenant_id))
        return found

    chains = act(data, work)
    if as_json:
        shown = [
            {"tenant_id": c.tenant_id, "intact": c.intact, "links": c.links, "events": c.events, "broken_at": c.broken_at,
             "head": c.head, "wrong": [{"entity": e, "version": v, "what": w} for e, v, w in c.wrong]}
            for c in chains
        ]  # fmt: skip
        _print({"intact": all(c.intact for c in chains), "tenants": shown})
    for chain in [] if as_json else chains:
        typer.echo(f"{chain.tenant_id}: {_verdict(chain)}")
        for entity, version, what in chain.wrong:
            typer.echo(f"  {entity} version {version}: {what}")
    if not all(c.intact for c in chains):
        raise typer.Exit(_BROKEN)


def _verdict(chain: audit.Chain) -> str:
    whole = f"{chain.events} events in {chain.links} links"
    if chain.intact:
        return f"intact, {whole}"
    faults = [f"link {chain.broken_at} does not follow from the one before"] if chain.broken_at is not None else []
    faults += [] if chain.head else ["the newest link is not the one that was committed last"]
    faults += [f"{len(chain.wrong)} events are not as they were written"] if chain.wrong else []
    return f"NOT INTACT, {whole}: {'; '.join(faults)}"


def replay(
    study_uid: Annotated[str | None, typer.Argument(help="One study; without it the whole board.")] = None,
    *,
    at: At = None,
    tenant: Group = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show a study, or a group's board, as it stood at an instant: rebuilt from the journal, with today's demographics."""
    when = at or datetime.now(UTC)

    async def work(hand: Hand) -> dict[str, Any]:
        tenants = [await hand.tenant(tenant)] if tenant else await hand.tenants()
        if study_uid is None:
            if len(tenants) != 1:
                refuse("Name the group whose board to show: --tenant.")
            async with hand.inside(tenants[0]) as conn:
                return await past.board(conn, tenants[0], when)
        found = []
        for tenant_id in tenants:
            async with hand.inside(tenant_id) as conn:
                if await past.known(conn, tenant_id, study_uid):
                    found.append(await _study(conn, tenant_id, study_uid, when))
        if not found:
            refuse(f"Nobody knows a study {study_uid}.")
        if len(found) > 1:
            refuse(f"Several groups know {study_uid}: name one, --tenant {found[0]['tenant_id']}.")
        return found[0]

    shown = act(data, work)
    if as_json:
        _print(shown)
    elif study_uid is None:
        _show_board(shown)
    else:
        _show_study(shown)


async def _study(conn: Connection, tenant_id: str, study_uid: str, at: datetime) -> dict[str, Any]:
    events = [e for e in await journal.read(conn, tenant_id, f"study/{study_uid}") if e.at <= at]
    study = rebuilt(study_uid, events)
    patient = await hydrate.patient(conn, tenant_id, study.patient_id)
    site = (await hydrate.sites(conn, tenant_id)).get(study.site_id)
    shown = row(study, patient, site.name if site else study.site_id) if study.rev else None
    items = [_item(e) for e in events]
    return {"study_uid": study_uid, "tenant_id": tenant_id, "at": instant(at), "row": shown, "events": items}


def _item(recorded: Recorded) -> dict[str, Any]:
    data = current(recorded.type, recorded.body) | ({"idem": recorded.idem} if recorded.idem else {})
    at = instant(recorded.at)
    return {"version": recorded.version, "type": recorded.type, "at": at, "by": recorded.by, "data": data}


def _print(shown: dict[str, Any]) -> None:
    typer.echo(msgspec.json.encode(shown).decode())


def _show_study(shown: dict[str, Any]) -> None:
    table = Table("Version", "At", "Event", "By", title=f"{shown['study_uid']} by {shown['at']}")
    for item in shown["events"]:
        table.add_row(str(item["version"]), item["at"], item["type"], item["by"] or "")
    console = Console()
    console.print(table)
    known = shown["row"]
    if known is None:
        console.print("There was no such study yet.")
        return
    who = known["reading_by"] or known["assigned_to"] or (known["offer"] or {}).get("radiologist_id") or "nobody"
    clock = f"{known['sla']['state']}, due {known['sla']['due_at']}" if known["sla"] else "not started"
    console.print(f"{known['priority']} {known['status']}, with {who}; clock {clock}; {known['images']} images")


def _show_board(shown: dict[str, Any]) -> None:
    table = Table("Study", "Priority", "Status", "Clock", "Due", "With", title=f"{shown['tenant_id']} at {shown['at']}")
    for line in shown["rows"]:
        clock = line["sla"] or {"state": "", "due_at": ""}
        who = line["assigned_to"] or (line["offer"] or {}).get("radiologist_id") or ""
        table.add_row(line["study_uid"], line["priority"], line["status"], clock["state"], clock["due_at"], who)
    console = Console()
    console.print(table)
    console.print(", ".join(f"{n} {name}" for name, n in shown["counters"].items()))
    for reader in shown["readers"]:
        reading = f", reading {reader['study_uid']}" if reader["study_uid"] else ""
        console.print(f"{reader['radiologist_id']}: {reader['presence']}, has {reader['load']}{reading}")
