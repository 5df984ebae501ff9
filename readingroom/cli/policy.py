"""``readingroom admin policy``: set, draft, try, compare and bring back what a group has decided."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Any

import msgspec
import typer

from actors.domain.errors import BadPayload
from actors.domain.policy import policy
from actors.domain.trial import Mode, differences
from readingroom.cli.instance import AsJson, Data, Hand, TenantName, act, refuse, say
from storage import policies

app = typer.Typer(
    help="How long offers stay open, when clocks warn and breach, how much one may hold, who reads what.",
    no_args_is_help=True,
)

File = Annotated[typer.FileText, typer.Argument(help="JSON as GET /api/policy answers it; - is standard input.")]
Number = Annotated[int, typer.Argument(min=1, help="A version, as `policy list` prints it.")]


def _read(file: typer.FileText) -> dict[str, Any]:
    try:
        said = json.load(file)
        if not isinstance(said, dict):
            refuse(f"{file.name}: expected a JSON object.")
        return policy(said).body()
    except ValueError as error:
        refuse(f"{file.name} is not JSON: {error}")
    except BadPayload as error:
        refuse(f"{file.name}: {error}")


def _line(row: dict[str, Any]) -> str:
    since = f" since {row['live_at']}" if row["mode"] == Mode.LIVE else ""
    return f"{row['version']} {row['mode']}{since}{', in force today' if row['today'] else ''}"


@app.command("set", epilog="Example: readingroom admin policy set --tenant north-star policy.json")
def policy_set(file: File, *, tenant: TenantName, data: Data = None, as_json: AsJson = False) -> None:
    """Set a group's policy for later studies and offers; print the group's ID."""
    body = _read(file)

    async def work(hand: Hand) -> str:
        tenant_id = await hand.tenant(tenant)
        if body != await policies.read(hand.conn, tenant_id):
            await policies.write(hand.conn, tenant_id, body, None)
            hand.changed.append(f"tenant:{tenant_id}")
        return tenant_id

    say(act(data, work), as_json=as_json)


@app.command(
    "draft", epilog="Example: readingroom admin policy draft --tenant north-star policy.json --note 'less switching'"
)
def policy_draft(
    file: File,
    *,
    tenant: TenantName,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Add a version without effect, to be tried; print its number."""
    body = _read(file)

    async def work(hand: Hand) -> int:
        return await policies.write(hand.conn, await hand.tenant(tenant), body, None, Mode.DRAFT, note)

    say(str(act(data, work)), as_json=as_json, names=("version", "id"))


@app.command("list", epilog="Example: readingroom admin policy list --tenant north-star")
def policy_list(*, tenant: TenantName, data: Data = None, as_json: AsJson = False) -> None:
    """Print the versions of a group's policy and what each is for, the newest first."""

    async def work(hand: Hand) -> list[dict[str, Any]]:
        return await policies.page(hand.conn, await hand.tenant(tenant), 2**31 - 1, 200)

    found = act(data, work)
    typer.echo(msgspec.json.encode({"items": found}).decode() if as_json else "\n".join(map(_line, found)))


@app.command("mode", epilog="Example: readingroom admin policy mode --tenant north-star 4 shadow")
def policy_mode(
    version: Number,
    mode: Annotated[Mode, typer.Argument(help="draft, shadow, by_day or live.")],
    *,
    tenant: TenantName,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Try a version in the shadow or on days by lot, make it live, or set it back to a draft."""
    _set(data, tenant, version, mode, as_json=as_json)


@app.command("rollback", epilog="Example: readingroom admin policy rollback --tenant north-star 3")
def policy_rollback(version: Number, *, tenant: TenantName, data: Data = None, as_json: AsJson = False) -> None:
    """Make a version live again that was live before."""
    _set(data, tenant, version, None, as_json=as_json)


def _set(data: Path | None, tenant: str, version: int, mode: Mode | None, *, as_json: bool) -> None:
    async def work(hand: Hand) -> dict[str, Any]:
        tenant_id = await hand.tenant(tenant)
        hand.changed.append(f"tenant:{tenant_id}")
        if mode is None:
            return await policies.rollback(hand.conn, tenant_id, version, None)
        return await policies.set_mode(hand.conn, tenant_id, version, mode, None, None)

    row = act(data, work)
    typer.echo(msgspec.json.encode(row).decode() if as_json else _line(row))


@app.command("diff", epilog="Example: readingroom admin policy diff --tenant north-star 4 --against 3")
def policy_diff(
    version: Number,
    *,
    tenant: TenantName,
    against: Annotated[int | None, typer.Option(min=1, help="The other version.", show_default="the live one")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Print what differs between two versions."""

    async def work(hand: Hand) -> list[dict[str, Any]]:
        tenant_id = await hand.tenant(tenant)
        if against is None:
            before = await policies.read(hand.conn, tenant_id)
        else:
            before = (await policies.one(hand.conn, tenant_id, against))["policy"]
        return differences(before, (await policies.one(hand.conn, tenant_id, version))["policy"])

    found = act(data, work)
    lines = [f"{c['path']}: {json.dumps(c['before'])} → {json.dumps(c['after'])}" for c in found]
    typer.echo(msgspec.json.encode({"items": found}).decode() if as_json else "\n".join(lines or ["They are alike."]))
