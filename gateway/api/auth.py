"""``/api/auth``: log-in, refresh, log-out, another group, who am I, a ticket for a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.domain.errors import Unauthenticated
from actors.domain.words import SITE_BOUND, Role
from gateway import schema
from gateway.api.route import Route, json
from gateway.auth import ACCESS_S, COOKIE, COOKIE_S, TICKET_S
from gateway.limit import LIMITER, LOGINS, TICKETS
from storage import people

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.api.route import Call
    from gateway.auth import LoggedIn, Session


async def _user(call: Call, session: Session) -> dict[str, Any]:
    who = session.who
    async with call.deps.dbs["rr_login"].scope() as conn:
        person = await people.by_id(conn, who.user_id)
        if person is None:
            raise Unauthenticated
        only = sorted(who.sites) if who.role in SITE_BOUND else None
        sites = await people.sites(conn, who.tenant_id, only) if who.role is not Role.OPERATOR else []
        return {
            "id": who.user_id, "email": person["email"], "name": person["name"], "role": who.role,
            "tenant_id": who.tenant_id or None, "sites": sites,
            "memberships": await people.memberships(conn, who.user_id),
        }  # fmt: skip


async def _begun(call: Call, begun: LoggedIn, *, cookie: bool) -> web.Response:
    answer = json({
        "access_token": begun.access_token, "refresh_token": begun.refresh_token, "expires_in": ACCESS_S,
        "user": await _user(call, begun.session),
    })  # fmt: skip
    if cookie:
        secure = call.request.secure or call.request.headers.get("X-Forwarded-Proto") == "https"
        answer.set_cookie(COOKIE, begun.cookie, max_age=COOKIE_S, httponly=True, samesite="Lax", secure=secure)
    return answer


async def login(call: Call) -> web.Response:
    """Begin a session; browsers get it as a cookie too."""
    body: schema.Login = call.body
    await call.request.app[LIMITER].take(LOGINS, body.email.strip().lower(), call.request.remote or "")
    begun = await call.deps.sessions.login(body.email, body.password, body.otp, body.tenant)
    return await _begun(call, begun, cookie=True)


async def refresh(call: Call) -> web.Response:
    """Exchange a refresh token for fresh credentials of the same log-in."""
    begun = await call.deps.sessions.refresh(call.body.refresh_token)
    return await _begun(call, begun, cookie=COOKIE in call.request.cookies)


async def logout(call: Call) -> web.Response:
    """End the session with all its tokens and sockets."""
    await call.deps.sessions.end(call.session.family)
    answer = json({})
    answer.del_cookie(COOKIE, httponly=True, samesite="Lax")
    return answer


async def tenant(call: Call) -> web.Response:
    """Go on in another group; the session in this one ends."""
    begun = await call.deps.sessions.switch(call.session, call.body.tenant)
    return await _begun(call, begun, cookie=COOKIE in call.request.cookies)


async def me(call: Call) -> dict[str, Any]:
    """Say who the session is."""
    return await _user(call, call.session)


async def socket_ticket(call: Call) -> dict[str, Any]:
    """Give a ticket for one socket."""
    await call.request.app[LIMITER].take(TICKETS, call.who.user_id or call.session.family)
    return {"ticket": await call.deps.sessions.ticket(call.session), "expires_in": TICKET_S}


ROUTES = (
    Route("POST", "/api/auth/login", login, schema.Session, body=schema.Login, public=True),
    Route("POST", "/api/auth/refresh", refresh, schema.Session, body=schema.Refresh, public=True),
    Route("POST", "/api/auth/logout", logout, schema.Nothing),
    Route("POST", "/api/auth/tenant", tenant, schema.Session, body=schema.SwitchTenant),
    Route("GET", "/api/auth/me", me, schema.User),
    Route("POST", "/api/auth/socket-ticket", socket_ticket, schema.Ticket, call="socket", wall=True),
)
