"""``readingroom admin``: tenants, sites, people, AE titles, tokens, webhooks. What it changes acts within a second."""

from __future__ import annotations

import asyncio
import json as jsons
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.domain.errors import ReadingRoomError
from actors.domain.policy import policy as parsed
from readingroom.settings import Settings
from storage import admin
from storage.faults import AWAY
from storage.pool import Connection, Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

app = typer.Typer(help="Set up and look after an instance.", no_args_is_help=True)
tenant = typer.Typer(help="Reading groups.", no_args_is_help=True)
site = typer.Typer(help="Hospitals that a group reads for.", no_args_is_help=True)
user = typer.Typer(help="People and what they are in a group.", no_args_is_help=True)
ae = typer.Typer(help="Who may send, and where we send.", no_args_is_help=True)
webhook = typer.Typer(help="Where signed reports are delivered.", no_args_is_help=True)
policy = typer.Typer(help="Offers, due times, capacity.", no_args_is_help=True)
for _name, _group in (
    ("tenant", tenant),
    ("site", site),
    ("user", user),
    ("ae", ae),
    ("webhook", webhook),
    ("policy", policy),
):
    app.add_typer(_group, name=_name)

_WRONG = 2
Data = Annotated[Path | None, typer.Option(help="Directory of the instance.", show_default="READINGROOM_DATA")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Tenant = Annotated[str, typer.Option(help="Id or name.")]
Site = Annotated[str | None, typer.Option(help="Id or name.")]


def run(data: Path | None, work: Callable[[Connection], Awaitable[Any]], changed: str = "") -> Any:
    """Do one piece of work in a transaction, then tell the gateways whose rights changed.

    Exits with 2 and a sentence when the input is wrong or the instance does not run.
    """
    settings = Settings(**({"data": data} if data else {}))

    async def inside() -> Any:
        db = await Database(settings.dsn("rr_admin"), max_size=1).open()
        try:
            async with db.scope() as conn:
                result = await work(conn)
        finally:
            await db.close()
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(1), Redis.from_url(settings.valkey_url) as client:
                await client.publish("auth", changed or "*")
        return result

    if not settings.database_url and not (settings.data / "secrets.json").exists():
        typer.echo(
            f"There is no instance in {settings.data}. Start one with `readingroom up`, or name it with --data.",
            err=True,
        )
        raise typer.Exit(_WRONG)
    try:
        return asyncio.run(inside())
    except ReadingRoomError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(_WRONG) from None
    except AWAY:
        typer.echo(f"The instance in {settings.data} does not run. Start it with `readingroom up`.", err=True)
        raise typer.Exit(_WRONG) from None


def show(json: bool, text: str, **fields: Any) -> None:  # noqa: FBT001 - the flag of every command
    """Print one line, or the same as JSON."""
    typer.echo(jsons.dumps(fields) if json else text)


@tenant.command("add", epilog="Example: readingroom admin tenant add 'Night Group' --time-zone Europe/Madrid")
def tenant_add(name: str, *, time_zone: str = "UTC", data: Data = None, json: Json = False) -> None:
    """Add a reading group; it gets the site `main`. Prints its id."""
    made = run(data, lambda c: admin.add_tenant(c, name, time_zone))
    show(json, made, id=made)


@site.command("add", epilog="Example: readingroom admin site add --tenant night-group 'Harbor' --jurisdiction US-ME")
def site_add(
    name: str, *, tenant: Tenant, jurisdiction: str | None = None, data: Data = None, json: Json = False
) -> None:
    """Add a hospital. Prints its id."""

    async def work(conn: Connection) -> str:
        return await admin.add_site(conn, await admin.find_tenant(conn, tenant), name, jurisdiction)

    made = run(data, work)
    show(json, made, id=made)


@user.command(
    "add", epilog="Example: readingroom admin user add --tenant night-group --role radiologist --email ada@x.org"
)
def user_add(  # noqa: PLR0913 - one parameter a flag
    *,
    role: Annotated[str, typer.Option()],
    email: Annotated[str, typer.Option()],
    tenant: Annotated[str | None, typer.Option(help="Id or name; none for an operator.")] = None,
    name: str = "",
    password: Annotated[str | None, typer.Option(help="Else one is made up and printed.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="Id or name; may be repeated.")] = None,
    licence: Annotated[list[str] | None, typer.Option(help="A reader's jurisdiction; may be repeated.")] = None,
    subspecialty: Annotated[list[str] | None, typer.Option(help="May be repeated.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Add a person, or a membership to one who exists. Prints `ID`, or `ID PASSWORD` when one was made up."""

    async def work(conn: Connection) -> tuple[str, str | None]:
        tenant_id = await admin.find_tenant(conn, tenant) if tenant else None
        sites = [await admin.find_site(conn, tenant_id, s) for s in site or []] if tenant_id else []
        skills = admin.Skills(licence or (), subspecialty or ())
        return await admin.add_user(
            conn, tenant_id, role, email, name=name, password=password, sites=sites, skills=skills
        )

    user_id, made = run(data, work)
    show(json, f"{user_id} {made}" if made else user_id, id=user_id, **({"password": made} if made else {}))


@ae.command("add", epilog="Example: readingroom admin ae add --tenant night-group --aet CT1 --host 10.1.2.3 --port 104")
def ae_add(  # noqa: PLR0913 - one parameter a flag
    *,
    tenant: Tenant,
    aet: Annotated[str, typer.Option(help="Its AE title.")],
    host: Annotated[str, typer.Option(help="Where we send to it.")],
    port: Annotated[int, typer.Option(help="Where we send to it.")],
    site: Site = None,
    called: Annotated[str | None, typer.Option(help="The AE title it calls us by.")] = None,
    source: Annotated[str | None, typer.Option("--from", help="Address range it calls from, CIDR.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Let a modality or PACS of a site send. Prints an id."""

    async def work(conn: Connection) -> str:
        tenant_id = await admin.find_tenant(conn, tenant)
        site_id = await admin.find_site(conn, tenant_id, site or "main")
        return await admin.add_ae(conn, tenant_id, site_id, aet, host, port, called=called, source=source)

    made = run(data, work)
    show(json, made, id=made)


@webhook.command(
    "add", epilog="Example: readingroom admin webhook add --tenant night-group --url https://his.example/reports"
)
def webhook_add(
    *, tenant: Tenant, url: Annotated[str, typer.Option()], site: Site = None, secret: str | None = None,
    data: Data = None, json: Json = False,
) -> None:  # fmt: skip
    """Deliver signed reports to an address. Prints `ID`, or `ID SECRET` when one was made up."""

    async def work(conn: Connection) -> tuple[str, str]:
        tenant_id = await admin.find_tenant(conn, tenant)
        site_id = await admin.find_site(conn, tenant_id, site) if site else None
        return await admin.add_webhook(conn, tenant_id, url, site_id, secret)

    made, key = run(data, work)
    show(json, made if secret else f"{made} {key}", id=made, secret=key)


@policy.command("set", epilog="Example: readingroom admin policy set --tenant night-group policy.json")
def policy_set(file: Path, *, tenant: Tenant, data: Data = None, json: Json = False) -> None:
    """Set offers, due times and capacity from a JSON file; later studies follow it."""

    async def work(conn: Connection) -> None:
        await admin.set_policy(
            conn, await admin.find_tenant(conn, tenant), parsed(jsons.loads(file.read_text())).body()
        )

    run(data, work)
    show(json, "set", ok=True)


@app.command(epilog="Examples: readingroom admin token --user ada@x.org; readingroom admin token revoke TOKEN")
def token(  # noqa: PLR0913 - one parameter a flag
    action: Annotated[str | None, typer.Argument(help="`revoke`, then the token.")] = None,
    value: Annotated[str | None, typer.Argument(help="The token to revoke.")] = None,
    *,
    user: Annotated[str | None, typer.Option(help="E-mail of the person.")] = None,
    wall: Annotated[bool, typer.Option(help="A read-only token for a screen on a wall.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Id or name.")] = None,
    hours: float = 12,
    data: Data = None,
    json: Json = False,
) -> None:
    """Print an API bearer token, alone on its line; or end one."""
    if action == "revoke" and value:
        run(data, lambda c: admin.revoke_token(c, value))
        show(json, "revoked", ok=True)
        return

    async def work(conn: Connection) -> str:
        if wall and tenant:
            return await admin.add_wall(conn, await admin.find_tenant(conn, tenant), hours)
        return await admin.add_token(conn, user or "", tenant, hours)

    if action is not None or not (user or (wall and tenant)):
        typer.echo("Name --user EMAIL, or --wall with --tenant, or: token revoke TOKEN.", err=True)
        raise typer.Exit(_WRONG)
    made = run(data, work)
    show(json, made, token=made)
