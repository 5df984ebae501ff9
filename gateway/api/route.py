"""One REST call: who may, what it takes, what it answers, in the order in which it is refused.

Refusals come in this order: no session, the role, the view, the body. A study outside the view is
``not_found`` whatever else is wrong with the request.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from aiohttp import web
from uuid_utils import uuid7

from actors.domain.commands import Envelope
from actors.domain.errors import BadPayload, Forbidden, NotFound, ReadingRoomError
from actors.domain.permissions import check
from actors.domain.row import row_for
from actors.domain.words import spelled
from gateway.auth import ours, session
from gateway.deps import DEPS
from gateway.problems import bad_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.domain.commands import Command
    from actors.domain.identity import Key, Principal
    from gateway.auth import Session
    from gateway.deps import Deps

DEADLINE_S = 10.0
_ANSWER_S = DEADLINE_S + 2
_PAGE, _PAGE_MOST = 50, 200
_SPELLED = ("priority", "status", "role")
_KEY_MOST = 200


@dataclass(slots=True)
class Call:
    """A request under way, with what is known of it so far."""

    request: web.Request
    deps: Deps
    raw: dict[str, Any] = field(default_factory=dict)  # the body as it came, before it is checked
    body: Any = None  # the checked body
    seen: Any = None  # what the view found: a study, a report, an order
    _session: Session | None = None

    @property
    def session(self) -> Session:
        """The session; there is one unless the route is public."""
        if self._session is None:
            raise Forbidden
        return self._session

    @property
    def who(self) -> Principal:
        """Who is asking."""
        return self.session.who

    def path(self, name: str) -> str:
        """Return a part of the path.

        Raises:
            NotFound: it holds what no id holds.
        """
        value = self.request.match_info[name]
        if not value.isprintable():
            raise NotFound
        return value

    def query(self, name: str) -> str | None:
        """Return a parameter, None when absent or empty.

        Raises:
            BadPayload: it holds control characters.
        """
        value = self.request.query.get(name)
        if value and not value.isprintable():
            raise BadPayload(f"{name}: holds control characters.", {"field": name})
        return value or None

    def words(self, name: str) -> list[str]:
        """Return a parameter's words: given several times or with commas; others' spelling is read."""
        said = ",".join(self.request.query.getall(name, []))
        return [spelled(word.strip()) for word in said.split(",") if word.strip()]

    def page(self) -> tuple[int, str | None]:
        """Return ``limit`` and ``after``.

        Raises:
            BadPayload: ``limit`` is not a positive number.
        """
        text = self.query("limit") or str(_PAGE)
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):  # noqa: PLR2004
            raise BadPayload("limit: expected a number from 1 to 200.", {"field": "limit"})
        return min(int(text), _PAGE_MOST), self.query("after")

    def idem(self) -> str:
        """Return the caller's ``Idempotency-Key``, a fresh one when there is none.

        Raises:
            BadPayload: it is too long.
        """
        idem = self.request.headers.get("Idempotency-Key") or str(uuid7())
        if len(idem) > _KEY_MOST or not idem.isprintable():
            raise BadPayload("Idempotency-Key: at most 200 characters.", {"field": "Idempotency-Key"})
        return idem

    async def ask(self, key: Key, command: Command) -> dict[str, Any]:
        """Ask an entity; the caller's ``Idempotency-Key`` makes a repetition the same command.

        Raises:
            ReadingRoomError: the entity's refusal.
            TimeoutError: no answer came.
        """
        envelope = Envelope(command, self.who, self.idem(), time.time() + DEADLINE_S)
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self.deps.refs.ask(key, envelope)
        except ReadingRoomError as refusal:
            if refusal.fields.get("row"):
                refusal.fields["row"] = row_for(self.who.role, refusal.fields["row"])
            raise


Handler: TypeAlias = "Callable[[Call], Awaitable[Any]]"


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the table of calls.

    Args:
        method: HTTP method.
        path: aiohttp's pattern; its names are those of the API.
        handler: answers with a JSON value, or a whole response.
        answer: the struct of the answer, None when it is not JSON.
        call: the call's name in the table of permissions; None: any session may.
        view: raises NotFound for what the session may not see, before the body is checked.
        body: the struct of the body.
        query: names of the parameters.
        status: of the answer.
        public: needs no session.
        wall: a wall's token may call it too.
    """

    method: str
    path: str
    handler: Handler
    answer: type | None
    call: str | None = None
    view: Handler | None = None
    body: type[msgspec.Struct] | None = None
    query: tuple[str, ...] = ()
    status: int = 200
    public: bool = False
    wall: bool = False

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0]


def _clean(value: Any) -> bool:
    """Whether no text in a JSON value holds NUL, which the database does not keep."""
    if isinstance(value, str):
        return "\x00" not in value
    if isinstance(value, dict):
        return all(_clean(k) and _clean(v) for k, v in value.items())
    return not isinstance(value, list) or all(_clean(v) for v in value)


async def _read(call: Call) -> Exception | None:
    """Read the body; return what is wrong with it as JSON, to be said after the view was checked."""
    data = await call.request.read()
    try:
        raw = msgspec.json.decode(data) if data.strip() else {}
        if not _clean(raw):
            return BadPayload("The body holds the character NUL.", {"field": ""})
    except (ValueError, RecursionError) as error:
        return bad_payload(error)
    if not isinstance(raw, dict):
        return BadPayload("The body must be a JSON object.", {"field": ""})
    call.raw = {k: spelled(v) if k in _SPELLED and isinstance(v, str) else v for k, v in raw.items()}
    return None


async def _admit(route: Route, call: Call) -> None:
    if route.public:
        if route.method != "GET" and not ours(call.request):
            raise Forbidden("This page may not act for you here.")
        return
    call._session = await session(call.request)  # noqa: SLF001 - set once, here
    if call.session.wall:
        if not route.wall:
            raise Forbidden
    elif route.call is not None:
        check(call.who, route.call)


def serve(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the aiohttp handler of a route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        call = Call(request, request.app[DEPS])
        await _admit(route, call)
        wrong = await _read(call) if route.body is not None else None
        if route.view is not None:
            await route.view(call)
        if wrong is not None:
            raise wrong
        if route.body is not None:
            try:
                call.body = msgspec.convert(call.raw, route.body)
            except msgspec.ValidationError as error:
                raise bad_payload(error, route.body) from None
        answer = await route.handler(call)
        return answer if isinstance(answer, web.StreamResponse) else json(answer, route.status)

    return handle


def json(value: Any, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
