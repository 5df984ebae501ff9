"""``readingroom admin shards`` and ``dead-letters``: where entities live, and what they failed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from readingroom.cli.instance import AsJson, Data, Hand, TenantName, act, say
from storage import letters, placement
from storage import shards as storage

if TYPE_CHECKING:
    from actors.domain.placement import Placement
    from storage.placement import Registered

shards = typer.Typer(
    help="Which host holds which logical shard. Without a command: show them.", invoke_without_command=True
)
dead = typer.Typer(help="Messages that an entity failed on. Without a command: show them.", invoke_without_command=True)

OneTenant = Annotated[str | None, typer.Option(help="The reading group, by id or name.")]


def _print(shown: object) -> None:
    typer.echo(msgspec.json.encode(shown).decode())


# -- shards -----------------------------------------------------------------------------------------
@shards.callback(epilog="Example: readingroom admin shards --json")
def show(context: typer.Context, *, data: Data = None, as_json: AsJson = False) -> None:
    """Show which host holds which logical shard, and move them."""
    if context.invoked_subcommand is not None:
        return

    async def work(hand: Hand) -> tuple[list[Registered], Placement]:
        return await placement.hosts(hand.conn), await placement.read(hand.conn)

    hosts, seen = act(data, work)
    slots = sorted(seen.slots.items())
    if as_json:
        _print({
            "hosts": [h._asdict() | {"shards": sum(held.host == h.host for _, held in slots)} for h in hosts],
            "shards": [
                {"tenant_id": tenant_id, "shard": shard, "host": held.host, "generation": held.generation,
                 "wanted": held.wanted, "pinned": held.pinned}
                for (tenant_id, shard), held in slots
            ],
        })  # fmt: skip
        return
    table = Table("Host", "For", "Node", "Pid", "State", "Shards")
    for h in hosts:
        state = "lost" if not h.alive else "leaving" if h.leaving else "serving"
        table.add_row(h.host, h.tenant_id or "all", h.node, str(h.pid), state, _numbers(h.host, slots))
    Console().print(table)
    for (tenant_id, shard), held in slots:
        if held.wanted:
            typer.echo(f"shard {tenant_id}{'/' if tenant_id else ''}{shard} moves from {held.host} to {held.wanted}")


def _numbers(host: str, slots: list[Any]) -> str:
    """Return the shards of a host as ranges, a star at those that are kept there by hand."""
    said: list[str] = []
    run: list[int] = []
    whose = ""
    for (tenant_id, shard), held in [*slots, (("\0", -2), None)]:
        mine = held is not None and held.host == host
        if run and (not mine or tenant_id != whose or shard != run[-1] + 1):
            text = f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}"
            said.append(f"{whose}{'/' if whose else ''}{text}")
            run = []
        if mine:
            whose = tenant_id
            run.append(shard)
    return " ".join(said)


@shards.command("move", epilog="Example: readingroom admin shards move 3 17 --to 1")
def move(
    numbers: list[int],
    *,
    to: Annotated[str, typer.Option(help="The host that is to hold them.")],
    tenant: OneTenant = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Hand shards over to a host and keep them there; print the host."""

    async def work(hand: Hand) -> str:
        await storage.move(hand.conn, to, numbers, await hand.tenant(tenant) if tenant is not None else "")
        return to

    say(act(data, work), as_json=as_json)


@shards.command("even", epilog="Example: readingroom admin shards even")
def even(*, data: Data = None, as_json: AsJson = False) -> None:
    """Spread shards that were moved by hand evenly again."""

    async def work(hand: Hand) -> str:
        await storage.loosen(hand.conn)
        return "even"

    say(act(data, work), as_json=as_json)


@shards.command("drain", epilog="Example: readingroom admin shards drain 1")
def drain(host: str, *, data: Data = None, as_json: AsJson = False) -> None:
    """Let a host hand over all it holds, so that its machine can be switched off; print the host."""
    say(act(data, lambda hand: _leave(hand, host, leaving=True)), as_json=as_json)


@shards.command("resume", epilog="Example: readingroom admin shards resume 1")
def resume(host: str, *, data: Data = None, as_json: AsJson = False) -> None:
    """Let a drained host take its share again; print the host."""
    say(act(data, lambda hand: _leave(hand, host, leaving=False)), as_json=as_json)


async def _leave(hand: Hand, host: str, *, leaving: bool) -> str:
    await storage.empty(hand.conn, host, leaving=leaving)
    return host


@shards.command("dedicate", epilog="Example: readingroom admin shards dedicate --tenant north-star --hosts 2")
def dedicate(
    *,
    tenant: TenantName,
    hosts: Annotated[int, typer.Option(min=0, max=64, help="How many; 0 ends it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give a group shard hosts of its own; print its ID."""

    async def work(hand: Hand) -> str:
        tenant_id = await hand.tenant(tenant)
        await storage.dedicate(hand.conn, tenant_id, hosts)
        return tenant_id

    say(act(data, work), as_json=as_json)


# -- dead letters -----------------------------------------------------------------------------------
@dead.callback(epilog="Example: readingroom admin dead-letters --tenant north-star --json")
def show_dead(context: typer.Context, *, tenant: OneTenant = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show what entities failed on: commands (their senders were told), images and timers that were set aside."""
    if context.invoked_subcommand is not None:
        return

    async def work(hand: Hand) -> list[letters.Letter]:
        return await letters.letters(hand.conn, await hand.tenant(tenant) if tenant is not None else None)

    found = act(data, work)
    if as_json:
        _print({"items": [letter._asdict() for letter in found]})
        return
    table = Table("Letter", "Tenant", "Entity", "Message", "Cause", "Tries", "Last")
    for one in found:
        said = one.command if one.source != "inbox" else f"{one.messages} of the inbox"
        last = f"{one.last_at:%Y-%m-%d %H:%M:%SZ}"
        table.add_row(one.letter_id, one.tenant_id, one.entity, said, one.cause, str(one.tries), last)
    Console().print(table)


@dead.command("retry", epilog="Example: readingroom admin dead-letters retry 1c0d3e9a-6f0e-4a57-9d63-0a7c1f6b2f11")
def retry(letter: str, *, data: Data = None, as_json: AsJson = False) -> None:
    """Put images or a timer back where they came from: images act at once, timers within five minutes; print its ID."""

    async def work(hand: Hand) -> str:
        await letters.again(hand.conn, letter)
        return letter

    say(act(data, work), as_json=as_json)


@dead.command("dismiss", epilog="Example: readingroom admin dead-letters dismiss 1c0d3e9a-6f0e-4a57-9d63-0a7c1f6b2f11")
def dismiss(letter: str, *, data: Data = None, as_json: AsJson = False) -> None:
    """Throw a letter away; stored images stay. Print its ID."""

    async def work(hand: Hand) -> str:
        await letters.dismiss(hand.conn, letter)
        return letter

    say(act(data, work), as_json=as_json)
