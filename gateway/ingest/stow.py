"""STOW-RS: images and derived objects over HTTP (PS3.18 10.5), stored as C-STORE stores them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.helpers import parse_mimetype

from actors.domain.errors import NotFound
from actors.domain.permissions import check, may
from gateway.auth import principal
from gateway.dicomweb.negotiation import want_json
from gateway.dicomweb.problem import BadRequest, TooLarge, UnsupportedMedia
from gateway.ingest import multipart, part10
from gateway.ingest.announce import Announcer
from gateway.ingest.committer import Committer
from gateway.ingest.negotiation import stores, understands
from gateway.ingest.receiving import Announced, Receiving, Sender
from gateway.ingest.refusal import Mismatch, NoSuchClass, NotADataSet, NotAuthorized, Refused
from gateway.ingest.stored import Results
from storage import callers
from storage.objects import ObjectStore, object_store

if TYPE_CHECKING:
    from aiohttp import BodyPartReader

    from actors.domain.identity import Principal
    from gateway.deps import Deps
    from gateway.ingest.header import Header

MAX_REQUEST_BYTES = 4 << 30
_MAX_META = 1 << 16
_DERIVED = (  # SR and KO, SEG, PR: what reading makes of images
    "1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.5.1.4.1.1.11.",
)  # fmt: skip


def derived(sop_class: str) -> bool:
    """Whether the class is of objects that reading makes of images: SR, KO, SEG, PR."""
    return sop_class.startswith(_DERIVED)


class Stow:
    """The store transaction."""

    def __init__(self, deps: Deps) -> None:
        self._db, self._valkey = deps.dbs["rr_ingest"], deps.valkey
        self._store = object_store(deps.settings)
        self._announce: Announcer | None = None
        self._made: Committer | None = None

    async def post(self, request: web.Request) -> web.Response:
        """``POST /dicom-web/studies[/{study}][?site=]``."""
        who = await principal(request)
        check(who, "dicomweb_write_derived")
        named = await self._site(who, request.query.get("site"))
        _acceptable(request)
        transaction = _Transaction(self, who, named, request.match_info.get("study"))
        seen = 0
        async for part in multipart.parts(request.headers, request.content):
            seen += await transaction.take(part, MAX_REQUEST_BYTES - seen)
        return transaction.results.answer(f"{request.url.origin()}/dicom-web/studies")

    async def _site(self, who: Principal, asked: str | None) -> tuple[str, str]:
        """Return id and issuer of the site that the images are of.

        Raises:
            NotFound: it is not in the person's view.
            BadRequest: she has several, and named none.
        """
        own = sorted(who.sites)
        name = asked or (own[0] if not who.all_sites and len(own) == 1 else "main")
        async with self._db.scope([who.tenant_id]) as conn:
            site = await callers.site(conn, who.tenant_id, name)
        if site is None or not who.sees(site[0]):
            if asked:
                raise NotFound("There is no such site in your view.")
            raise BadRequest("site: name the site that the images are of.", "site")
        return site

    async def owner(self, who: Principal, found: Header) -> tuple[str, str] | None:
        """Return the site whose study a derived object belongs to."""
        async with self._db.scope([who.tenant_id]) as conn:
            return await callers.owner(conn, who.tenant_id, found.study_uid)

    @property
    def store(self) -> ObjectStore:
        """The object store, its directories made."""
        self._store.prepare()
        return self._store

    @property
    def committer(self) -> Committer:
        """This process's, made at first use, as it belongs to the loop."""
        if self._made is None:
            self._announce = Announcer(self._valkey)
            self._made = Committer(self._db, self._announce)
        return self._made

    async def close(self) -> None:
        """Finish what waits; the database and Valkey may be closed after this."""
        if self._made is not None and self._announce is not None:
            await self._made.close()
            await self._announce.close()


class _Transaction:
    """One request: each instance succeeds or fails by itself."""

    def __init__(self, stow: Stow, who: Principal, site: tuple[str, str], study_uid: str | None) -> None:
        self._stow, self._who, self._site, self._study_uid = stow, who, site, study_uid
        self._receiving = Receiving(stow.store)
        self.results = Results()
        self._named = ("", "")  # class and instance of the part at hand, as far as known

    async def take(self, part: BodyPartReader, room: int) -> int:
        """Store one part and return its size; a refusal is remembered for the answer.

        Raises:
            TooLarge: the request has more than it may.
        """
        self._named = ("", "")
        size, head, meta, refused = 0, b"", None, None
        try:
            while chunk := await multipart.chunk(part):
                size += len(chunk)
                if size > room:
                    raise TooLarge(MAX_REQUEST_BYTES)
                if meta is not None:
                    await asyncio.to_thread(self._receiving.feed, chunk)
                elif refused is None:  # else the rest is read and thrown away
                    head += chunk
                    try:
                        meta = self._begin(head)
                    except Refused as exc:
                        refused = exc
            await self._keep(refused or (None if meta else NotADataSet("not a Part 10 file")))
        except Refused as exc:
            self.results.failed.append((*self._named, exc))
        finally:
            self._receiving.abandon()
        return size

    async def _keep(self, refused: Refused | None) -> None:
        if refused is not None:
            raise refused
        found = await asyncio.to_thread(self._receiving.read)
        self._named = (found.sop_class, found.sop_uid)
        sender = await self._sender(found)
        arrival = await asyncio.to_thread(self._receiving.settle, sender, found)
        self.results.stored.append((found, await self._stow.committer.commit(arrival)))

    def _begin(self, head: bytes) -> part10.Meta | None:
        try:
            meta = part10.meta(head)
        except part10.Incomplete as exc:
            if len(head) > _MAX_META:
                raise NotADataSet("not a Part 10 file") from exc
            return None
        self._named = (meta.sop_class, meta.sop_uid)
        if not understands(meta.transfer_syntax):
            raise NotADataSet("no transfer syntax that is known here")
        self._receiving.begin(Announced(meta.sop_class, meta.sop_uid, meta.transfer_syntax))
        self._receiving.feed(memoryview(head)[meta.end :])
        return meta

    async def _sender(self, found: Header) -> Sender:
        if not stores(found.sop_class):
            raise NoSuchClass("no storage class")
        of_reading = derived(found.sop_class)
        if not may(self._who.role, "dicomweb_write") and not of_reading:
            raise NotAuthorized("readers store what reading makes of images: SR, SEG, PR, KO")
        if self._study_uid and found.study_uid != self._study_uid:
            raise Mismatch("of another study than the request's")
        site = self._site
        if of_reading and self._who.all_sites:  # made of a study: it stands where that stands
            site = await self._stow.owner(self._who, found) or site
        return Sender(self._who.tenant_id, *site)


def _acceptable(request: web.Request) -> None:
    """Refuse what is no store request, before its body is read.

    Raises:
        UnsupportedMedia, TooLarge, NotAcceptable: as they say.
    """
    of = parse_mimetype(request.headers.get("Content-Type", "")).parameters.get("type", "application/dicom")
    if request.content_type != "multipart/related" or of != "application/dicom":
        raise UnsupportedMedia('multipart/related; type="application/dicom"')
    want_json(request)
    size = request.content_length or 0
    if size > MAX_REQUEST_BYTES:
        raise TooLarge(MAX_REQUEST_BYTES)


def attach(app: web.Application, deps: Deps) -> None:
    """Serve the store transaction; what it still says ends with the application."""
    stow = Stow(deps)
    app.add_routes([web.post(path, stow.post) for path in ("/dicom-web/studies", "/dicom-web/studies/{study}")])

    async def ending(_: web.Application) -> None:
        await stow.close()

    app.on_cleanup.append(ending)
