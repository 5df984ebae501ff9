"""Who is asking: log-in, sessions, tickets. Every credential is opaque; the database holds its SHA-256.

A *family* is one log-in with all that was issued from it: access tokens (10 min; in the browser's
cookie they slide up to 12 h), refresh tokens (12 h, each used once: a second use ends the family,
RFC 9700 4.14.2) and socket tickets (30 s, used once). API and wall tokens are families of one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from redis.exceptions import RedisError
from uuid_utils import uuid7

from actors.domain.errors import ChooseTenant, Forbidden, NotFound, Unauthenticated
from actors.domain.identity import Principal
from actors.domain.words import SITE_BOUND, Role
from actors.nudges import hear
from gateway.otp import OneTimeCodes
from storage import access, people, sessions
from storage.credentials import digest, verify_password
from storage.faults import AWAY
from storage.sessions import Login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from typing import Any

    import redis.asyncio

    from storage.pool import Connection, Database

COOKIE = "rr_session"
ACCESS_S, REFRESH_S, TICKET_S, COOKIE_S = 600, 12 * 3600, 30, 12 * 3600
_CACHE_S = 0.5
_SLIDE_BELOW_S = ACCESS_S - 60
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REFUSED = "The e-mail address, the password or the code is not right."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in as one of its tokens shows it. A wall's sees no site and no patient."""

    who: Principal
    kind: str  # access | api | wall
    family: str
    expires_at: datetime
    email: str = ""

    @property
    def wall(self) -> bool:
        """Whether this is a wall's read-only token, which belongs to nobody."""
        return self.kind == "wall"


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What a log-in gives: a session and its fresh credentials."""

    session: Session
    access_token: str
    refresh_token: str
    cookie: str


def _session(row: Any) -> Session:
    role = Role(row["role"]) if row["role"] else Role.OPERATOR
    if row["kind"] == "wall":
        role = Role.VIEWER  # of no site: the least there is
    sites = frozenset(row["sites"] or ()) if role in SITE_BOUND else frozenset[str]()
    who = Principal(row["user_id"] or "", row["tenant_id"], role, sites, row["name"] or "")
    return Session(who, row["kind"], row["family"], row["expires_at"], row["email"] or "")


class Sessions:
    """Credentials issued, looked up and ended; what was looked up is believed for half a second.

    ``listeners`` are called with each text of Valkey's channel ``auth``: a family, ``user:ID`` or
    ``tenant:ID`` whose rights changed.
    """

    def __init__(self, db: Database, valkey: redis.asyncio.Redis) -> None:
        self._db, self._valkey = db, valkey
        self._known: dict[bytes, tuple[float, Session]] = {}
        self._hashing = asyncio.Semaphore(2)
        self._codes = OneTimeCodes(valkey)
        self._listening: asyncio.Task[None] | None = None
        self.listeners: list[Callable[[str], None]] = []

    # -- ask ------------------------------------------------------------------------------------
    async def session(self, token: str, *, slide: bool = False) -> Session:
        """Return the session of an access, API or wall token.

        Raises:
            Unauthenticated: unknown, over or revoked.
        """
        key, now = digest(token), time.monotonic()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]
        async with self._db.scope() as conn:
            row = await sessions.by_token(conn, token)
            if row is None:
                self._known.pop(key, None)
                raise Unauthenticated("This session has ended. Log in again.")
            left = row["expires_at"].timestamp() - time.time()
            if slide and row["kind"] == "access" and left < _SLIDE_BELOW_S:
                await sessions.slide(conn, token, ACCESS_S, COOKIE_S)
        if len(self._known) > 10_000:  # noqa: PLR2004 - a bound, not a size
            self._known.clear()
        self._known[key] = (now + min(_CACHE_S, max(left, 0)), _session(row))
        return self._known[key][1]

    async def current(self, family: str) -> Session | None:
        """Return a log-in as it stands now, None when it has ended; ``expires_at`` is its latest."""
        async with self._db.scope() as conn:
            row = await sessions.by_family(conn, family)
        return None if row is None else _session(row)

    async def standing(self, families: Iterable[str]) -> dict[str, Session]:
        """Return :meth:`current` of each log-in that has not ended."""
        async with self._db.scope() as conn:
            return {r["family"]: _session(r) for r in await sessions.by_families(conn, families)}

    # -- begin ----------------------------------------------------------------------------------
    async def login(self, email: str, password: str, otp: str | None, tenant: str | None) -> LoggedIn:
        """Begin a session; an unknown address takes as long as a wrong password.

        Raises:
            Unauthenticated: not right; ``field`` is ``otp`` when only the code is missing.
            ChooseTenant: several memberships and none named.
        """
        async with self._db.scope() as conn:
            person = await people.by_email(conn, email)
        async with self._hashing:
            secret = person["password_hash"] if person else None
            right = await asyncio.to_thread(verify_password, secret, password)
        if person is None or not right:
            await self._refused(person)
            raise Unauthenticated(_REFUSED)
        if person["totp_secret"]:
            if not otp:
                raise Unauthenticated("The code of your authenticator is needed too.", {"field": "otp"})
            if not await self._codes.spend(person["user_id"], person["totp_secret"], otp):
                await self._refused(person)
                raise Unauthenticated(_REFUSED, {"field": "otp"})
        return await self._begin(person["user_id"], tenant, operator=person["operator"])

    async def switch(self, session: Session, tenant: str) -> LoggedIn:
        """Begin a session in another group of the same person; the log-in of this one ends.

        Raises:
            NotFound: she is not a member.
        """
        begun = await self._begin(session.who.user_id, tenant, operator=False, refusal=NotFound)
        if session.kind == "access":
            await self.end(session.family)
        return begun

    async def refresh(self, token: str) -> LoggedIn:
        """Exchange a refresh token for new credentials of the same log-in.

        Raises:
            Unauthenticated: unknown or over; used before: the whole log-in ends.
        """
        async with self._db.scope() as conn:
            used = await sessions.use(conn, "refresh", token)
            if used is not None:
                return await self._issue(conn, used)
            family = await sessions.reused(conn, "refresh", token)
        if family is not None:
            log.warning("refresh_token_reused", family=family)
            await self.end(family)
        raise Unauthenticated("This session has ended. Log in again.")

    async def ticket(self, session: Session) -> str:
        """Return a ticket for one socket of this log-in."""
        login = Login(session.family, session.who.user_id or None, session.who.tenant_id or None)
        async with self._db.scope() as conn:
            return await sessions.issue(conn, "ticket", login, TICKET_S)

    async def redeem(self, ticket: str) -> Session:
        """Spend a ticket.

        Raises:
            Unauthenticated: unknown, spent or over, or its log-in has ended.
        """
        async with self._db.scope() as conn:
            used = await sessions.use(conn, "ticket", ticket)
            row = None if used is None else await sessions.by_family(conn, used.family)
        if row is None:
            raise Unauthenticated("This ticket is not valid. Get a new one.")
        return _session(row)

    # -- end ------------------------------------------------------------------------------------
    async def end(self, family: str) -> None:
        """End a log-in: its tokens, and within a second its sockets."""
        async with self._db.scope() as conn:
            await sessions.revoke_family(conn, family)
        self.forget()
        await self.tell(family)

    async def tell(self, changed: str, channel: str = "auth") -> None:
        """Tell every gateway whose rights changed; lost when Valkey is away, when caches expire.

        On channel ``roster`` deciders hear of the tenant whose readers, hours or policy changed; without it they find
        out within a second.
        """
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(0.5):
                await self._valkey.publish(channel, changed)

    def forget(self) -> None:
        """Believe nothing that was looked up before."""
        self._known.clear()

    async def start(self) -> None:
        """Listen for changes of rights until :meth:`stop`."""
        self._listening = asyncio.create_task(hear(self._valkey, {"auth": self._heard}), name="auth-listener")

    async def stop(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    def _heard(self, text: str) -> None:
        self.forget()
        for listener in list(self.listeners):
            listener(text)

    async def _begin(
        self, user_id: str, tenant: str | None, *, operator: bool, refusal: type[Exception] = Unauthenticated
    ) -> LoggedIn:
        async with self._db.scope() as conn:
            groups = await people.memberships(conn, user_id)
            if operator and (tenant == "" or (tenant is None and not groups)):
                return await self._issue(conn, Login(str(uuid7()), user_id, None))
            if tenant is not None:
                groups = [g for g in groups if tenant in (g["tenant_id"], g["name"])]
            if not groups:
                raise refusal(_REFUSED if refusal is Unauthenticated else "")
            if len(groups) > 1:
                raise ChooseTenant("", {"tenants": groups})
            tenant_id = groups[0]["tenant_id"]
            await access.record(conn, tenant_id, user_id, "login")
            return await self._issue(conn, Login(str(uuid7()), user_id, tenant_id))

    async def _issue(self, conn: Connection, login: Login) -> LoggedIn:
        token = await sessions.issue(conn, "access", login, ACCESS_S)
        cookie = await sessions.issue(conn, "access", login, ACCESS_S)
        refresh = await sessions.issue(conn, "refresh", login, REFRESH_S)
        row = await sessions.by_token(conn, token)
        if row is None:
            raise Unauthenticated("This session has ended. Log in again.")
        return LoggedIn(_session(row), token, refresh, cookie)

    async def _refused(self, person: Any) -> None:
        if person is None:
            return
        with suppress(*AWAY):
            async with self._db.scope() as conn:
                for group in await people.memberships(conn, person["user_id"]):
                    await access.record(conn, group["tenant_id"], person["user_id"], "login_refused")


SESSIONS = web.AppKey("sessions", Sessions)
_FOUND = web.RequestKey("session", Session)


def ours(request: web.Request) -> bool:
    """Whether the Origin header, if there is one, names the place the request was sent to."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


async def session(request: web.Request) -> Session:
    """Return the session of a request: by bearer token, else by the browser's cookie.

    Raises:
        Unauthenticated: there is none.
        Forbidden: a write with the cookie that another site's page sent.
    """
    known: Session | None = request.get(_FOUND)
    if known is not None:
        return known
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found = await request.app[SESSIONS].session(token.strip())
    elif cookie := request.cookies.get(COOKIE):
        if request.method not in _SAFE and not ours(request):
            raise Forbidden("This page may not act for you here.")
        found = await request.app[SESSIONS].session(cookie, slide=True)
    else:
        raise Unauthenticated
    request[_FOUND] = found
    return found


async def principal(request: web.Request) -> Principal:
    """Return who is asking; a wall's token is nobody's.

    Raises:
        Unauthenticated: no session.
        Forbidden: as :func:`session`, or a wall's token.
    """
    found = await session(request)
    if found.wall:
        raise Forbidden
    return found.who
