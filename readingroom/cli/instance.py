"""Reaches a running instance as its administrator: one transaction, then a word to the gateways."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import msgspec
import typer
from redis.asyncio import Redis
from redis.exceptions import RedisError

from actors.domain.errors import ReadingRoomError
from actors.domain.identity import Principal
from actors.domain.words import Role
from readingroom.settings import Settings
from storage import admin, heads
from storage.faults import NOT_READY
from storage.pool import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from storage.pool import Connection

T = TypeVar("T")

WRONG = 2  # the exit code of wrong input, and of an instance that is not there

Data = Annotated[
    Path | None,
    typer.Option(help="Directory of the instance.", show_default="READINGROOM_DATA", rich_help_panel="Where"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.", rich_help_panel="Where")]
TenantName = Annotated[str, typer.Option(help="The reading group, by id or name.")]
ByWhom = Annotated[str | None, typer.Option("--as", help="Who does this, by e-mail: named in the audit.")]
SiteNames = Annotated[list[str] | None, typer.Option("--site", help="A site, by id or name; repeat for several.")]


@dataclass(slots=True)
class Hand:
    """An administrator's transaction. ``changed`` names whose rights changed, for the gateways."""

    conn: Connection
    settings: Settings
    changed: list[str] = field(default_factory=list)

    async def tenant(self, named: str) -> str:
        """Return a group's id."""
        return await admin.tenant(self.conn, named)

    async def person(self, email: str | None) -> str | None:
        """Return the id of who does this, None when nobody is named.

        Raises:
            NotFound: there is no such person.
        """
        return None if email is None else await admin.person(self.conn, email)

    async def tenants(self) -> list[str]:
        """Return every group's id."""
        return list(await heads.tenants(self.conn))

    @asynccontextmanager
    async def inside(self, tenant_id: str) -> AsyncIterator[Connection]:
        """One group's journals and rows, as its own processes read them, at one instant."""
        database = await Database(self.settings.dsn("rr_host"), max_size=1).open()
        try:
            async with database.view(Principal("", tenant_id, Role.MANAGER), snapshot=True) as conn:
                yield conn
        finally:
            await database.close()

    async def one_site(self, tenant_id: str, named: list[str] | None) -> str | None:
        """Return the id of the site named, None when none was."""
        if named and len(named) > 1:
            refuse("Name one --site.")
        return await admin.site(self.conn, tenant_id, named[0]) if named else None


def instant_given(text: str) -> datetime:
    """Return the instant that an option names; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not an instant; one is 2026-03-01T08:00Z.") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def refuse(message: str) -> NoReturn:
    """Say what is wrong and end."""
    typer.echo(message, err=True)
    raise typer.Exit(WRONG)


def settings_of(data: Path | None) -> Settings:
    """Return the settings of an instance that was started at least once."""
    settings = Settings() if data is None else Settings(data=data)
    settings.data = settings.data.expanduser().resolve()
    try:
        known = (settings.data / "secrets.json").exists()
    except PermissionError:
        refuse(f"{settings.data} may not be read: run this as the user who runs the instance.")
    if not known:
        refuse(f"There is no instance in {settings.data}. Start one: readingroom up --data {settings.data}")
    return settings


def act(data: Path | None, work: Callable[[Hand], Awaitable[T]]) -> T:
    """Do some work in one transaction; refusals end the program with a sentence and exit code 2."""
    settings = settings_of(data)
    try:
        return asyncio.run(_act(settings, work))
    except ReadingRoomError as refusal:
        refuse(str(refusal))
    except PermissionError:
        refuse(f"{settings.data} may not be read: run this as the user who runs the instance.")
    except NOT_READY as away:
        refuse(
            f"The instance in {settings.data} does not run ({type(away).__name__}). "
            f"Start it: readingroom up --data {settings.data}"
        )


async def _act(settings: Settings, work: Callable[[Hand], Awaitable[T]]) -> T:
    database = await Database(settings.dsn("rr_admin"), max_size=1).open()
    try:
        async with database.scope() as conn:
            hand = Hand(conn, settings)
            done = await work(hand)
    finally:
        await database.close()
    if hand.changed:
        await _tell(settings, hand.changed)
    return done


async def _tell(settings: Settings, changed: list[str]) -> None:
    """Tell the gateways at once; without Valkey they find out within a second by themselves."""
    client: Redis = Redis.from_url(settings.valkey_url, socket_timeout=0.5, socket_connect_timeout=0.5)
    with suppress(RedisError, OSError, TimeoutError):
        for text in changed:
            await client.publish("auth", text)
    with suppress(RedisError, OSError, TimeoutError):
        await client.aclose()


def say(value: str, more: str | None = None, *, as_json: bool, names: tuple[str, str] = ("id", "password")) -> None:
    """Print ``ID``, or ``ID PASSWORD`` when one was made; never wrapped."""
    if as_json:
        said: dict[str, Any] = {names[0]: value} | ({names[1]: more} if more is not None else {})
        typer.echo(msgspec.json.encode(said).decode())
    else:
        typer.echo(value if more is None else f"{value} {more}")
