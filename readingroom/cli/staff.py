"""``readingroom admin reader`` and ``shift``: what radiologists may read, and when they work."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - typer reads the annotations
from pathlib import Path  # noqa: TC003
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from readingroom.cli.instance import AsJson, Data, Hand, TenantName, act, instant_given, refuse, say
from storage import admin, sheets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

readers = typer.Typer(help="What a radiologist may read.", no_args_is_help=True)
shifts = typer.Typer(help="The roster.", no_args_is_help=True)

Sheet = Annotated[typer.FileText, typer.Argument(encoding="utf-8", help="CSV with a heading; - is standard input.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]


@readers.command(
    "set",
    epilog="Example: readingroom admin reader set --tenant north-star --email ada@example.org --subspecialty neuro",
)
def reader_set(  # noqa: PLR0913 - one parameter a flag
    *,
    tenant: TenantName,
    email: Annotated[str, typer.Option("--email", "--user", help="Which radiologist.")],
    licence: Annotated[list[str] | None, typer.Option(help="A jurisdiction, as US-CA; repeat.")] = None,
    subspecialty: Annotated[list[str] | None, typer.Option(help="As neuro or chest; repeat.")] = None,
    modality: Annotated[list[str] | None, typer.Option(help="As CT or MR; repeat.")] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="How many at a time.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say what a radiologist may read and how much at a time; print her ID."""

    async def work(hand: Hand) -> str:
        tenant_id, user_id = await hand.tenant(tenant), await admin.person(hand.conn, email)
        what = admin.Reader(licence or None, subspecialty or None, modality or None, capacity)
        await admin.set_reader(hand.conn, tenant_id, user_id, what)
        hand.changed.append(f"user:{user_id}")
        return user_id

    say(act(data, work), as_json=as_json)


@shifts.command(
    "add",
    epilog="Example: readingroom admin shift add --tenant north-star --email ada@example.org --from 2026-03-01T08:00Z "
    "--to 2026-03-01T18:00Z",
)
def shift_add(  # noqa: PLR0913 - one parameter a flag
    *,
    tenant: TenantName,
    email: Annotated[str, typer.Option("--email", "--user", help="Which radiologist.")],
    starts_at: Annotated[datetime, typer.Option("--from", parser=instant_given, metavar="INSTANT", help="ISO 8601.")],
    ends_at: Annotated[datetime, typer.Option("--to", parser=instant_given, metavar="INSTANT", help="ISO 8601.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Put a radiologist on the roster; print her ID."""

    async def work(hand: Hand) -> str:
        tenant_id, user_id = await hand.tenant(tenant), await admin.person(hand.conn, email)
        await admin.add_shift(hand.conn, tenant_id, user_id, starts_at, ends_at)
        hand.changed.append(f"user:{user_id}")
        return user_id

    say(act(data, work), as_json=as_json)


def _take(  # noqa: PLR0913 - what its two commands were given
    data: Path | None, tenant: str, file: typer.FileText, take: Callable[..., Awaitable[dict[str, Any]]], *,
    dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    text = file.read()

    async def work(hand: Hand) -> dict[str, Any]:
        tenant_id = await hand.tenant(tenant)
        tried = await take(hand.conn, tenant_id, text, None, dry_run=True)
        if dry_run or tried["errors"]:
            return tried
        return await take(hand.conn, tenant_id, text, None, dry_run=False)

    taken = act(data, work)
    if as_json:
        typer.echo(msgspec.json.encode(taken).decode())
    wrong = [f"line {e['line']}, {e['column'] or 'row'}: {e['what']} {e['cure']}" for e in taken["errors"]]
    if wrong:
        refuse("\n".join(wrong))
    if not as_json:
        typer.echo(f"{taken['changed']} of {taken['rows']} rows {'would change' if dry_run else 'changed'} something.")


@readers.command("import", epilog="Example: readingroom admin reader import --tenant north-star readers.csv --dry-run")
def reader_import(
    file: Sheet, *, tenant: TenantName, dry_run: DryRun = False, data: Data = None, as_json: AsJson = False
) -> None:
    """Set profiles from a sheet: email, licences, privileges, subspecialties, modalities, capacity, conflicts; all or none."""
    _take(data, tenant, file, sheets.take_readers, dry_run=dry_run, as_json=as_json)


@shifts.command("import", epilog="Example: readingroom admin shift import --tenant north-star shifts.csv --dry-run")
def shift_import(
    file: Sheet, *, tenant: TenantName, dry_run: DryRun = False, data: Data = None, as_json: AsJson = False
) -> None:
    """Put the shifts of a sheet on the roster: email, starts, ends, kind, breaks, time_zone; all or none."""
    _take(data, tenant, file, sheets.take_shifts, dry_run=dry_run, as_json=as_json)
