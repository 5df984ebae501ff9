"""``/api/reports``: begin, save, sign, add to, read, print."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from actors.domain.commands import SaveDraft, Sign
from actors.domain.errors import BadPayload, Forbidden
from actors.domain.identity import study_key
from actors.domain.words import Role, SignKind
from gateway import reports
from gateway.api import view
from gateway.api.route import Route
from gateway.delivery import pdf
from storage import access, reports_read, second_reads
from storage.reports_read import Wanted

if TYPE_CHECKING:
    from actors.domain.commands import StudyCommand
    from gateway.api.route import Call


async def page(call: Call) -> dict[str, Any]:
    """List reports of the view, newest first."""
    (limit, after), who = call.page(), call.who
    wanted = Wanted(
        study_uid=call.query("study_uid"), final=who.role in view.FINAL_REPORTS,
        referring=who.user_id if who.role is Role.REFERRING_PHYSICIAN else None, blind_to=second_reads.blind_to(who),
    )  # fmt: skip
    async with call.deps.app_db.view(who) as conn:
        found = await reports_read.page(conn, who.tenant_id, wanted, after, limit + 1)
    return {"items": found[:limit], "next": found[limit - 1]["report_id"] if len(found) > limit else None}


async def one(call: Call) -> dict[str, Any]:
    """Read a report; who read it is audited."""
    report: dict[str, Any] = call.seen.report
    async with call.deps.app_db.view(call.who) as conn:
        await access.record(conn, call.who.tenant_id, call.who.user_id, "report_opened", report["report_id"])
    return report


async def print_pdf(call: Call) -> web.Response:
    """Read a report as PDF."""
    report = await one(call)
    people = {report["signed_by"], *(s["by"] for s in report["signatures"]), *(a["by"] for a in report["addenda"])} - {
        None
    }
    async with call.deps.app_db.view(call.who) as conn:
        names = await reports_read.names(conn, call.who.tenant_id, sorted(people))
    document = await asyncio.to_thread(pdf.render, report, call.seen.study.row, names)
    headers = {"Content-Disposition": f'inline; filename="{report["report_id"]}.pdf"'}
    return web.Response(body=document, content_type="application/pdf", headers=headers)


async def conflicts(call: Call) -> dict[str, Any]:
    """List drafts that were refused because a newer one was saved; nothing of them was lost."""
    limit, after = call.page()
    async with call.deps.app_db.view(call.who) as conn:
        found = await reports_read.conflicts(conn, call.who.tenant_id, call.seen.report["report_id"], after, limit + 1)
    return {"items": [c for _, c in found[:limit]], "next": found[limit - 1][0] if len(found) > limit else None}


async def _write(call: Call, study_uid: str, command: StudyCommand) -> dict[str, Any]:
    """Ask the study, and answer with the report as it now stands."""
    who = call.who
    answer = await call.ask(study_key(who.tenant_id, study_uid), command)
    async with call.deps.app_db.view(who) as conn:
        report = await reports_read.by_id(conn, who.tenant_id, answer.get("report_id", ""))
    # The version is the command's: a repeated command gets the answer of the first time.
    return {**(report or {}), "version": answer.get("report_version", (report or {}).get("version"))}


async def begin(call: Call) -> dict[str, Any]:
    """Begin the report of a study."""
    body: reports.ReportNew = call.body
    return await _write(call, body.study_uid, SaveDraft(0, {}, body.template))


async def save(call: Call) -> dict[str, Any]:
    """Save the text as it stands."""
    body: reports.ReportDraft = call.body
    return await _write(call, call.seen.study.study_uid, SaveDraft(body.version, dict(body.sections)))


async def _signing(call: Call) -> None:
    if call.who.role is Role.RESIDENT and call.raw.get("kind") == SignKind.FINAL:
        raise Forbidden("A resident signs prelim; an attending makes it final.")
    await view.report(call)


async def finalize(call: Call) -> dict[str, Any]:
    """Sign the saved draft."""
    body: reports.Finalize = call.body
    command = Sign(SignKind(body.kind), body.version, confirm=body.confirm)
    return await _write(call, call.seen.study.study_uid, command)


async def add(call: Call) -> dict[str, Any]:
    """Add to a signed report; what was signed is never edited."""
    text = call.body.text.strip()
    if not text:
        raise BadPayload("text: is blank.", {"field": "text"})
    command = Sign(SignKind.ADDENDUM, 0, text=text)  # 0: to whatever it says now
    return await _write(call, call.seen.study.study_uid, command)


_PAGE = ("study_uid", "limit", "after")
_REPORT = "/api/reports/{report_id}"
ROUTES = (
    Route("GET", "/api/reports", page, reports.Reports, "reports", view.study_of_query, query=_PAGE),
    Route(
        "POST", "/api/reports", begin, reports.Report, "save_draft", view.study_of_body, reports.ReportNew, status=201
    ),
    Route("GET", f"{_REPORT}.pdf", print_pdf, None, "reports", view.report),
    Route("GET", _REPORT, one, reports.Report, "reports", view.report),
    Route("PUT", _REPORT, save, reports.Report, "save_draft", view.report, reports.ReportDraft),
    Route("PUT", f"{_REPORT}/finalize", finalize, reports.Report, "sign", _signing, reports.Finalize),
    Route("POST", f"{_REPORT}/addenda", add, reports.Report, "addenda", view.report, reports.AddendumIn, status=201),
    # Drafts are the readers' own: whoever sees final reports only does not see what was never signed.
    Route(
        "GET", f"{_REPORT}/conflicts", conflicts, reports.Conflicts, "history", view.report, query=("limit", "after")
    ),
)
