"""``readingroom admin token``: credentials for programs and walls, printed alone."""

from __future__ import annotations

from typing import Annotated

import typer
from uuid_utils import uuid7

from readingroom.cli.instance import AsJson, Data, Hand, act, refuse, say
from storage import access, admin, people, sessions
from storage.sessions import Login

_WALL_H = 365 * 24.0

app = typer.Typer(
    help="Credentials for programs and walls.",
    invoke_without_command=True,
    epilog="Examples: readingroom admin token --user ada@example.org --hours 8 · readingroom admin token --wall --tenant "
    "north-star · readingroom admin token revoke TOKEN",
)


@app.callback()
def token(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    user: Annotated[str | None, typer.Option(help="Whose: her e-mail address.")] = None,
    tenant: Annotated[str | None, typer.Option(help="In which group, by id or name.")] = None,
    hours: Annotated[float | None, typer.Option(help="How long it holds.", show_default="12; a wall's a year")] = None,
    *,
    wall: Annotated[bool, typer.Option("--wall", help="A read-only token for a screen on a wall.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Print an API token of a person, or a wall's: alone, on one line."""
    if context.invoked_subcommand is not None:
        return
    if hours is not None and not 0 < hours <= 10 * _WALL_H:
        refuse("--hours: expected more than 0, and ten years at most.")
    if wall == (user is not None):
        refuse("Name a --user, or --wall with a --tenant.")
    if wall and tenant is None:
        refuse("A wall belongs to a --tenant.")

    async def work(hand: Hand) -> str:
        tenant_id = await hand.tenant(tenant) if tenant is not None else None
        if user is None:
            login = Login(str(uuid7()), None, tenant_id)
        else:
            login = await _person(hand, user, tenant_id)
        subject = login.user_id or "wall"
        await access.record(hand.conn, login.tenant_id or admin.PLATFORM, None, "token_issued", subject)
        seconds = (hours or (_WALL_H if wall else 12.0)) * 3600
        return await sessions.issue(hand.conn, "wall" if wall else "api", login, seconds)

    say(act(data, work), as_json=as_json, names=("token", ""))


async def _person(hand: Hand, user: str, tenant_id: str | None) -> Login:
    found = await people.by_email(hand.conn, user)
    if found is None:
        refuse(f"There is no user {user!r}, or she was deactivated.")
    groups = await admin.groups(hand.conn, found["user_id"])
    if tenant_id is None and len(groups) > 1:
        refuse(f"She belongs to several tenants: name one of {', '.join(groups)} by --tenant.")
    if tenant_id is not None and tenant_id not in groups:
        refuse(f"She does not belong to tenant {tenant_id}.")
    if not groups and not found["operator"]:
        refuse("She belongs to no tenant.")
    return Login(str(uuid7()), found["user_id"], tenant_id or (groups[0] if groups else None))


@app.command(epilog="Example: readingroom admin token revoke TOKEN")
def revoke(token: str, *, data: Data = None, as_json: AsJson = False) -> None:
    """End a token, with everything issued from the same log-in; its sockets end within a second."""

    async def work(hand: Hand) -> str:
        login = await sessions.revoke_token(hand.conn, token.strip())
        if login is None:
            refuse("There is no such token.")
        await access.record(
            hand.conn, login.tenant_id or admin.PLATFORM, None, "token_revoked", login.user_id or "wall"
        )
        hand.changed.append(login.family)
        return login.family

    say(act(data, work), as_json=as_json)
