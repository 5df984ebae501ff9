"""What a session may see: each check raises NotFound for the rest, existing or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.domain.errors import BadPayload, NotFound
from actors.domain.identity import study_key
from actors.domain.words import ReportStatus, Role
from storage import orders_read, reports_read, second_reads, studies_read

if TYPE_CHECKING:
    from typing import Any

    from actors.domain.identity import Key
    from gateway.api.route import Call
    from storage.pool import Connection
    from storage.studies_read import Seen

FINAL_REPORTS = frozenset({Role.TECHNOLOGIST, Role.VIEWER, Role.REFERRING_PHYSICIAN})
_MAIN = "main"


@dataclass(frozen=True, slots=True)
class Place:
    """A site in view."""

    site_id: str
    issuer: str


@dataclass(frozen=True, slots=True)
class SeenReport:
    """A report in view, and its study."""

    report: dict[str, Any]
    study: Seen

    def key(self, tenant_id: str) -> Key:
        """The entity that owns the report."""
        return study_key(tenant_id, self.study.study_uid)


async def _study(conn: Connection, call: Call, study_uid: str) -> Seen:
    found = await studies_read.seen(conn, call.who, study_uid)
    if found is None:
        raise NotFound
    return found


async def study(call: Call) -> None:
    """The study of the path."""
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await _study(conn, call, call.path("study_uid"))


async def study_and_reader(call: Call) -> None:
    """The study of the path, and the member that the body names."""
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await _study(conn, call, call.path("study_uid"))
        named = call.raw.get("radiologist_id")
        if isinstance(named, str) and named and not await orders_read.is_member(conn, call.who.tenant_id, named):
            raise NotFound


async def study_and_order(call: Call) -> None:
    """The study of the path, and the order of its site that the body names."""
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await _study(conn, call, call.path("study_uid"))
        named = call.raw.get("accession_number")
        if isinstance(named, str) and named:
            found = await orders_read.study_of(conn, call.who.tenant_id, call.seen.site_id, named)
            if found is None:
                raise NotFound


async def study_of_body(call: Call) -> None:
    """The study that the body names."""
    named = call.raw.get("study_uid")
    if isinstance(named, str) and named:
        async with call.deps.app_db.view(call.who) as conn:
            call.seen = await _study(conn, call, named)


async def study_of_query(call: Call) -> None:
    """The study that the parameter names, if it names one."""
    named = call.query("study_uid")
    if named:
        async with call.deps.app_db.view(call.who) as conn:
            call.seen = await _study(conn, call, named)


async def report(call: Call) -> None:
    """The report of the path: its study is in view, and it is final where only those are seen."""
    who = call.who
    async with call.deps.app_db.view(who) as conn:
        found = await reports_read.by_id(conn, who.tenant_id, call.path("report_id"), second_reads.blind_to(who))
        if found is None or (who.role in FINAL_REPORTS and found["status"] != ReportStatus.FINAL):
            raise NotFound
        call.seen = SeenReport(found, await _study(conn, call, found["study_uid"]))


async def listed(call: Call) -> None:
    """The site and the reader that parameters name; ``seen`` is the site's id or None."""
    who, site, reader = call.who, call.query("site"), call.query("reader")
    async with call.deps.app_db.view(who) as conn:
        if site:
            call.seen = (await _place(conn, call, site)).site_id
        if reader and not await orders_read.is_member(conn, who.tenant_id, reader):
            raise NotFound


async def site_of_body(call: Call) -> None:
    """The site that the body names; else the caller's only one, or ``main``; ``seen`` is None when neither."""
    named = call.raw.get("site")
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await _place(conn, call, named if isinstance(named, str) and named else None)
        physician = call.raw.get("referring_physician")
        if isinstance(physician, str) and physician and call.seen is not None:
            found = await orders_read.referring(conn, call.who.tenant_id, call.seen.site_id, physician)
            if found is None:
                raise NotFound
            call.raw["referring_physician"] = found


async def _place(conn: Connection, call: Call, named: str | None) -> Any:
    places = [Place(r["site_id"], r["issuer"]) for r in await orders_read.sites(conn, call.who.tenant_id)
              if named is None or named in (r["site_id"], r["name"])]  # fmt: skip
    if len(places) == 1:
        return places[0]
    if named is not None:
        # An id wins over the name of another site that is spelled like it.
        by_id = [p for p in places if p.site_id == named]
        if by_id:
            return by_id[0]
        raise NotFound
    return next((p for p in places if p.site_id == _MAIN), None)


def placed(call: Call) -> Place:
    """Return the site of an order.

    Raises:
        BadPayload: the caller has several and named none.
    """
    if call.seen is None:
        raise BadPayload("site: name one of your sites.", {"field": "site"})
    place: Place = call.seen
    return place
