"""Who may read images, and the record of who opened which study."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeAlias

import structlog

from actors.domain.errors import Forbidden, NotFound
from actors.domain.permissions import check
from gateway.auth import principal
from gateway.ingest.announce import Announcer
from gateway.ingest.checking import Checker, Sampler
from storage import dicom
from storage.objects import object_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from actors.domain.identity import Principal
    from gateway.deps import Deps
    from storage.pool import Connection

Handler: TypeAlias = "Callable[[web.Request, Principal], Awaitable[web.StreamResponse]]"

READ = "dicomweb_read"
OPENING_S = 600
_MOST = 50_000
_BELIEVED_S, _SERIES = 0.5, 64  # as long as a session is; series being read at a time

log = structlog.get_logger()


def reading(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return an aiohttp handler that admits those who may read images."""

    async def handle(request: web.Request) -> web.StreamResponse:
        who = await principal(request)
        check(who, READ)
        return await handler(request, who)

    return handle


class Openings:
    """Remembers which studies were opened by whom, so that the database is asked once in ten minutes."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str, str], float] = {}

    def noted(self, who: Principal, study_uid: str) -> bool:
        """Whether an opening was recorded so lately that nothing needs to be written."""
        return self._until.get((who.tenant_id, who.user_id, study_uid), 0.0) > time.monotonic()

    async def note(self, conn: Connection, who: Principal, study_uid: str) -> None:
        """Record an opening in the transaction that reads the study, before anything of it is sent."""
        if await dicom.opened(conn, who, study_uid):
            log.info("study_opened", tenant_id=who.tenant_id, user_id=who.user_id, study_uid=study_uid)
        if len(self._until) >= _MOST:
            self._until.clear()
        self._until[who.tenant_id, who.user_id, study_uid] = time.monotonic() + OPENING_S


class Reader:
    """What every handler does first: look in the session's view, and record that it was opened."""

    def __init__(self, deps: Deps) -> None:
        self._db = deps.app_db
        self._openings = Openings()
        checker = Checker(deps.dbs["rr_ingest"], object_store(deps.settings), Announcer(deps.valkey))
        self._sampler = Sampler(checker, deps.settings.verify_reads)
        self._series: dict[tuple[Principal, str, str], tuple[float, dict[str, dicom.Stored]]] = {}

    async def headers(self, who: Principal, *uids: str) -> list[str]:
        """Return DICOM JSON texts of the instances below a study, series or instance.

        Raises:
            NotFound: none in view.
        """
        texts: list[str] = (await self._look(who, uids, dicom.headers))[0]
        return texts

    async def stored(self, who: Principal, *uids: str) -> list[dicom.Stored]:
        """Return where the instances below a study, series or instance lie.

        Raises:
            NotFound: none in view.
        """
        places = await self._stored(who, *uids)
        self._sampler.read(who.tenant_id, places)
        return places

    async def _stored(self, who: Principal, *uids: str) -> list[dicom.Stored]:
        places: list[dicom.Stored] = (await self._look(who, uids, dicom.stored))[0]
        return places

    async def edition(self, who: Principal, *uids: str) -> str:
        """Return what tells one state of a study's or series' headers from the next.

        Raises:
            NotFound: not in view.
        """
        editions: list[str] = (await self._look(who, uids, dicom.edition))[0]
        return editions[0]

    async def place(self, who: Principal, study_uid: str, series_uid: str, sop_uid: str) -> dicom.Stored:
        """Return where an instance lies; who reads a series frame by frame is looked up once in half a second.

        Raises:
            NotFound: not in view.
        """
        if who.role in dicom.FINAL_ONLY:  # what these see changes with the study
            return (await self.stored(who, study_uid, series_uid, sop_uid))[0]
        key, now = (who, study_uid, series_uid), time.monotonic()
        known = self._series.get(key)
        if known is None or known[0] < now or sop_uid not in known[1]:
            places = {place.sop_uid: place for place in await self._stored(who, study_uid, series_uid)}
            if len(self._series) >= _SERIES:
                self._series = {k: v for k, v in self._series.items() if v[0] >= now}
            known = self._series[key] = (now + _BELIEVED_S, places)
        if sop_uid not in known[1]:
            raise NotFound
        self._sampler.read(who.tenant_id, [known[1][sop_uid]])
        return known[1][sop_uid]

    async def instance(self, who: Principal, *uids: str) -> tuple[dicom.Stored, str]:
        """Return where an instance lies, and its header.

        Raises:
            NotFound: not in view.
        """
        [[place], [header]] = await self._look(who, uids, dicom.stored, dicom.headers)
        self._sampler.read(who.tenant_id, [place])
        return place, header

    async def described(self, who: Principal, *uids: str) -> list[tuple[dicom.Stored, str]]:
        """Return where the instances below a study, series or instance lie, each with its header.

        Raises:
            NotFound: none in view.
        """
        places, headers = await self._look(who, uids, dicom.stored, dicom.headers)
        return list(zip(places, headers, strict=True))

    async def _look(self, who: Principal, uids: tuple[str, ...], *finders: Callable[..., Awaitable[Any]]) -> list[Any]:
        if not all(uid.isascii() and uid.isprintable() for uid in uids):
            raise NotFound
        if not who.user_id:
            raise Forbidden
        noted = self._openings.noted(who, uids[0])
        async with self._db.view(who, only_read=noted, snapshot=len(finders) > 1) as conn:
            found = [await find(conn, who, *uids) for find in finders]
            if not found[0]:
                raise NotFound
            if not noted:
                await self._openings.note(conn, who, uids[0])
        return found
