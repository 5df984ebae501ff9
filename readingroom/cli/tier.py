"""``readingroom admin tier``: after how long files of closed studies go to the cold store, and moving one by hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from gateway.ingest.mover import Mover, NotMoved
from readingroom.cli import instance
from readingroom.cli.instance import AsJson, ByWhom, Data, Hand, TenantName, act, refuse, say
from storage import tiering
from storage.objects import object_store
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import TypeVar

    T = TypeVar("T")

tier = typer.Typer(help="Where files of closed studies lie. Without a command: show it.", invoke_without_command=True)

_NO_COLD = (
    "There is no cold store: READINGROOM_OBJECTS_COLD_URL=file:///mnt/cold (or s3://…, gs://…, az://…) names one."
)


def _moving(data: Path | None, work: Callable[[Mover], Awaitable[T]]) -> T:
    """Do some work with a mover of this process's own."""

    async def run() -> T:
        settings = instance.settings_of(data)
        db = await Database(settings.dsn("rr_keeper"), max_size=1).open()
        try:
            return await work(Mover(db, object_store(settings), bytes_s=float("inf")))
        finally:
            await db.close()

    return asyncio.run(run())


@tier.callback(epilog="Example: readingroom admin tier --dry-run")
def show(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the studies that would go cold now.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show after how long each group's closed studies go cold, and how many lie where; nothing is moved by this."""
    if context.invoked_subcommand is not None:
        return

    async def work(hand: Hand) -> dict[str, dict[str, Any]]:
        return {tenant_id: await tiering.shown(hand.conn, tenant_id) for tenant_id in await hand.tenants()}

    shown = act(data, work)
    if dry_run:
        for tenant_id, due in _moving(data, Mover.due).items():
            shown.setdefault(tenant_id, {})["due"] = [msgspec.to_builtins(one) for one in due]
    if as_json:
        typer.echo(msgspec.json.encode(shown).decode())
        return
    for tenant_id, one in shown.items():
        after = "never" if one["days"] is None else f"after {one['days']:g} days"
        typer.echo(f"{tenant_id}: cold {after}; {one['hot']} hot, {one['cold']} cold, {one['moving']} on the way")
        for study in one.get("due", []):
            typer.echo(f"  {study['study_uid']}  {study['images']} images")


@tier.command("set", epilog="Example: readingroom admin tier set --tenant north-star --days 180")
def keep(
    *,
    tenant: TenantName,
    days: Annotated[float | None, typer.Option(help="Days without change or opening; without it: never.")] = None,
    by: ByWhom = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Set after how long a group's closed studies go cold."""
    if days is not None and instance.settings_of(data).objects_cold_url is None:
        refuse(_NO_COLD)

    async def work(hand: Hand) -> str:
        tenant_id = await hand.tenant(tenant)
        await tiering.keep(hand.conn, tenant_id, days, by=await hand.person(by))
        return tenant_id

    say(act(data, work), as_json=as_json)


@tier.command("move", epilog="Example: readingroom admin tier move 1.2.840.1 --tenant north-star --to cold")
def move(
    study_uid: str,
    *,
    tenant: TenantName,
    to: Annotated[str, typer.Option(help="cold or hot.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Move a closed study's files now, whatever the policy says; print how many."""
    if to not in {"cold", "hot"}:
        refuse(f"--to {to}: cold or hot.")
    if instance.settings_of(data).objects_cold_url is None:
        refuse(_NO_COLD)

    async def whose(hand: Hand) -> str:
        return await hand.tenant(tenant)

    tenant_id = act(data, whose)
    try:
        moved = _moving(data, lambda mover: mover.move(tenant_id, study_uid, cold=to == "cold", days=0))
    except NotMoved as exc:
        refuse(f"Not moved: {exc}.")
    say(str(moved), as_json=as_json, names=("files", ""))
