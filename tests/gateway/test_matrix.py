"""Who may what: every call, command, stream and DICOMweb path, for every role, two groups and two sites.

The table below is written from the interface's description, not from the code. A call that is added without a line
here fails the first test; what is refused is refused in the same words whether it exists elsewhere or nowhere.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from aiohttp import web
from pydicom.data import get_testdata_file
from uuid_utils import uuid7

from actors.domain.words import Role
from actors.local import Local
from actors.shard import Place
from gateway.api.table import ROUTES
from gateway.calls import COMMANDS
from gateway.dicomweb import routes as dicomweb
from gateway.ingest import stow
from readingroom.demo.client import LiveClient
from storage import sessions
from storage.sessions import Login
from tests.gateway.rest import Answer, World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

WHO = {"A": "amy", "M": "max", "R": "ada", "S": "rei", "T": "tess", "V": "vic", "P": "pam", "O": "opal"}
ANY = "AMRSTVPO"  # about the session itself

CALLS = {
    "POST /api/auth/logout": ANY,
    "POST /api/auth/tenant": ANY,
    "GET /api/auth/me": ANY,
    "POST /api/auth/socket-ticket": "AMRSTVP",
    "POST /api/orders": "AMT",
    "POST /api/orders/{accession_number}/cancel": "AMT",
    "GET /api/unmatched": "AMT",
    "POST /api/studies": "AMT",
    "POST /api/studies/{study_uid}/join": "AT",
    "POST /api/studies/{study_uid}/dismiss": "MRS",
    "POST /api/studies/{study_uid}/move": "AT",
    "POST /api/patients/{mrn}/merge": "AT",
    "POST /api/patients/{mrn}/unmerge": "AT",
    "GET /api/studies": "AMRSTVP",
    "GET /api/studies/{study_uid}": "AMRSTVP",
    "GET /api/studies/{study_uid}/history": "AMRS",
    "GET /api/studies/{study_uid}/explanation": "AMRS",
    "PUT /api/studies/{study_uid}/assign": "M",
    "POST /api/studies/{study_uid}/accept": "RS",
    "POST /api/studies/{study_uid}/decline": "RS",
    "POST /api/studies/{study_uid}/start": "RS",
    "POST /api/studies/{study_uid}/release": "MRS",
    "GET /api/studies/{study_uid}/readings": "AMRS",
    "PUT /api/studies/{study_uid}/settle": "MR",
    "GET /api/worklist": "AMRS",
    "GET /api/board": "AMRS",
    "GET /api/board/past": "AM",
    "GET /api/policy": "AMRS",
    "PUT /api/policy": "AM",
    "GET /api/policy/versions": "AMRS",
    "POST /api/policy/versions": "AM",
    "GET /api/policy/versions/{version}": "AMRS",
    "GET /api/policy/versions/{version}/diff": "AMRS",
    "PUT /api/policy/versions/{version}/mode": "AM",
    "POST /api/policy/versions/{version}/rollback": "AM",
    "GET /api/policy/versions/{version}/comparison": "AM",
    "POST /api/what-if": "AM",
    "GET /api/readers": "AMRS",
    "POST /api/readers/import": "AM",
    "GET /api/readers/{radiologist_id}": "AMRS",
    "PUT /api/readers/{radiologist_id}": "AM",
    "GET /api/shifts": "AMRS",
    "POST /api/shifts": "AM",
    "POST /api/shifts/import": "AM",
    "GET /api/shifts/{shift_id}": "AMRS",
    "PUT /api/shifts/{shift_id}": "AM",
    "DELETE /api/shifts/{shift_id}": "AM",
    "POST /api/shifts/{shift_id}/swap": "AM",
    "GET /api/rosters": "AMRS",
    "POST /api/rosters": "AM",
    "GET /api/rosters/{roster_id}": "AMRS",
    "PUT /api/rosters/{roster_id}": "AM",
    "DELETE /api/rosters/{roster_id}": "AM",
    "GET /api/absences": "AMRS",
    "POST /api/absences": "AM",
    "PUT /api/absences/{absence_id}": "AM",
    "DELETE /api/absences/{absence_id}": "AM",
    "GET /api/reports": "AMRSTVP",
    "POST /api/reports": "RS",
    "GET /api/reports/{report_id}.pdf": "AMRSTVP",
    "GET /api/reports/{report_id}": "AMRSTVP",
    "PUT /api/reports/{report_id}": "RS",
    "PUT /api/reports/{report_id}/finalize": "RS",
    "POST /api/reports/{report_id}/addenda": "R",
    "GET /api/reports/{report_id}/conflicts": "AMRS",
}
SAID = {
    "accept": "RS", "decline": "RS", "start_reading": "RS", "release": "MRS", "save_draft": "RS", "sign": "RS", "settle": "MR",
    "next_case": "RS", "set_presence": "RS", "assign": "M", "pause_clock": "M", "resume_clock": "M",
}  # fmt: skip
STREAMS = {"tenant": "AMRS", "site": "T", "study": "AMRS", "wall": "", "user": "AMRSTVP"}
_STUDY = "/dicom-web/studies/{study}"
_SERIES = _STUDY + "/series/{series}"
_INSTANCE = _SERIES + "/instances/{instance}"
SEARCH = (
    "/dicom-web/studies", "/dicom-web/series", "/dicom-web/instances",
    _STUDY + "/series", _STUDY + "/instances", _SERIES + "/instances",
)  # fmt: skip
RETRIEVE = (
    *(level + end for level in (_STUDY, _SERIES, _INSTANCE) for end in ("", "/metadata", "/rendered", "/thumbnail")),
    _INSTANCE + "/frames/{frames}", _INSTANCE + "/frames/{frames}/rendered", _INSTANCE + "/frames/{frames}/thumbnail",
    _INSTANCE + "/bulkdata/{path:.+}",
)  # fmt: skip
STORE = ("/dicom-web/studies", _STUDY)
# What a role may store at which site: an image, and what reading makes of images.
MAY_STORE = {"image": "AT", "report": "ARST"}
NOWHERE = "1.2.826.0.1.999"
FOREIGN, ELSEWHERE = "1.2.826.0.1.111", "1.2.826.0.1.222"  # the other group's; the same group's other site's


@pytest.fixture
async def both(fresh: Settings) -> AsyncIterator[World]:
    """Both groups, each with a study; ``north`` has one at each of its sites."""
    actors = Local(Place(fresh.dsn("rr_host"), fresh.dsn("rr_timer"), fresh.valkey_url))
    async with world(fresh, actors) as made:
        await made.person("tim", "south", Role.TECHNOLOGIST, "harbor")
        async with made.admin_db.scope() as conn:
            [opal] = await made.sql("SELECT user_id FROM rr.person WHERE email = 'opal@example.org'")
            made.tokens["opal"] = await sessions.issue(conn, "api", Login(str(uuid7()), opal["user_id"], None), 3600)
        await made.ordered("S1", "tim", study_uid=FOREIGN)
        await made.ordered("N1", "mia", study_uid=ELSEWHERE)
        for tenant, site, uid in (("south", "harbor", FOREIGN), ("north", "main", ELSEWHERE)):
            await made.sql(
                "INSERT INTO rr.report (tenant_id, report_id, study_uid, site_id, status, version, sections)"
                " VALUES ($1, $2, $3, $4, 'draft', 1, '{}')",
                tenant, f"report-{uid}", uid, site,
            )  # fmt: skip
        await made.person("sue", "south", Role.RADIOLOGIST)
        await made.sql(
            "INSERT INTO rr.shift (tenant_id, user_id, starts_at, ends_at, shift_id)"
            " VALUES ('south', $1, now(), now() + interval '1 h', $2)",
            made.ids["sue"], f"shift-{FOREIGN}",
        )  # fmt: skip
        await made.sql(
            "INSERT INTO rr.absence (tenant_id, user_id, starts_at, ends_at, absence_id)"
            " VALUES ('south', $1, now(), now() + interval '1 h', $2)",
            made.ids["sue"], f"absence-{FOREIGN}",
        )  # fmt: skip
        await made.sql("INSERT INTO rr.policy (tenant_id, version, body) VALUES ('south', 7, '{}')")
        await made.sql(
            "INSERT INTO rr.roster (tenant_id, roster_id, user_id, body) VALUES ('south', $2, $1, '{}')",
            made.ids["sue"], f"roster-{FOREIGN}",
        )  # fmt: skip
        yield made
    await actors.stop()


def test_every_call_and_command_stands_in_the_table() -> None:
    assert {f"{r.method} {r.path}" for r in ROUTES if not r.public} == set(CALLS)
    assert set(COMMANDS) == set(SAID)


async def test_without_a_session_every_call_is_unauthenticated(both: World) -> None:
    for call in CALLS:
        method, path = call.split(" ")
        answer = await both.call(method, re.sub(r"{\w+}", "x", path))
        assert (answer.status, answer.code) == (401, "unauthenticated"), call
    for path in (*SEARCH, *RETRIEVE):
        assert (await both.get(_at(path, NOWHERE))).status == 401
    for path in STORE:
        assert (await both.post(_at(path, NOWHERE))).status == 401


@pytest.mark.parametrize("letter", list(WHO))
async def test_a_role_is_refused_what_it_never_may_and_sees_nothing_of_others(both: World, letter: str) -> None:
    who = WHO[letter]
    for call, granted in CALLS.items():
        method, path = call.split(" ")
        if "{" not in path:
            if letter not in granted:
                answer = await both.call(method, path, {}, who=who)
                assert (answer.status, answer.code) == (403, "forbidden"), (letter, call)
            continue
        said = {}
        for uid in (NOWHERE, FOREIGN, ELSEWHERE):
            body = {"site": "harbor", "reason": "x", "version": 1, "radiologist_id": both.ids["ada"]}
            filled = path.format(
                study_uid=uid, report_id=f"report-{uid}", accession_number={FOREIGN: "S1"}.get(uid, "N9"),
                radiologist_id=both.ids["sue"] if uid == FOREIGN else "nobody", shift_id=f"shift-{uid}",
                roster_id=f"roster-{uid}", absence_id=f"absence-{uid}", version=7 if uid == FOREIGN else 8, mrn=uid,
            )  # fmt: skip
            answer = await both.call(method, filled, body, who=who)
            said[uid] = (answer.status, answer.code if answer.status >= 400 else "")
        if letter not in granted:
            assert set(said.values()) == {(403, "forbidden")}, (letter, call, said)
        else:
            assert said[NOWHERE] == said[FOREIGN] == (404, "not_found"), (letter, call, said)
            if letter in "TVP" and "accession_number" not in path:
                assert said[ELSEWHERE] == (404, "not_found"), (letter, call, said)


def _at(path: str, study: str) -> str:
    """Fill a path with the UIDs that :func:`_object` gives."""
    return path.replace("{path:.+}", "7FE00010").format(
        study=study, series=f"{study}.1", instance=f"{study}.1.1", frames="1"
    )


def _object(study: str, kind: str = "image", number: int = 1) -> bytes:
    """Return a small object of a study as a Part 10 file: a CT image, or a structured report."""
    made = pydicom.dcmread(str(get_testdata_file({"image": "CT_small.dcm", "report": "reportsi.dcm"}[kind])))
    made.StudyInstanceUID, made.SeriesInstanceUID = study, f"{study}.{number}"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"{study}.{number}.1"
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.PatientID, made.PatientName = f"M{study}", "SAMPLE^Sid"
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


async def _store(both: World, who: str, file: bytes, path: str = "/dicom-web/studies") -> Answer:
    body = b"--rr\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--rr--\r\n"
    sent = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=rr'}
    return await both.call("POST", path, raw=body, who=who, headers=sent)


async def test_every_dicomweb_path_stands_in_the_table(both: World) -> None:
    app = web.Application()
    app.add_routes(dicomweb.routes(both.deps))
    stow.attach(app, both.deps)
    assert {("GET", p.replace(":.+", "")) for p in (*SEARCH, *RETRIEVE)} | {("POST", p) for p in STORE} == {
        (r.method, r.resource.canonical) for r in app.router.routes() if r.resource is not None and r.method != "HEAD"
    }


@pytest.fixture
async def images(both: World) -> World:
    """Images of the other group's study, and of the own group's other site."""
    for who, study in (("tim", FOREIGN), ("mia", ELSEWHERE)):
        assert (await _store(both, who, _object(study))).status in {200, 409}
        assert await both.sql("SELECT 1 FROM rr.instance WHERE sop_uid = $1", f"{study}.1.1")
    return both


@pytest.mark.parametrize("letter", list(WHO))
async def test_dicomweb_shows_nothing_of_others(images: World, letter: str) -> None:
    who = WHO[letter]
    for path in SEARCH:
        of_all = "{study}" not in path
        for uid in (NOWHERE, FOREIGN, *([ELSEWHERE] if letter in "TVP" else [])):
            answer = await images.get(_at(path, uid) + (f"?StudyInstanceUID={uid}" if of_all else ""), who)
            if letter == "O":
                assert (answer.status, answer.code) == (403, "forbidden"), path
            elif of_all:
                assert (answer.status, answer.json) == (200, []), (letter, path, uid)
            else:
                assert (answer.status, answer.code) == (404, "not_found"), (letter, path, uid)
    for path in RETRIEVE:
        said = {}
        for uid in (NOWHERE, FOREIGN, ELSEWHERE):
            answer = await images.get(_at(path, uid), who)
            said[uid] = (answer.status, answer.code if answer.status >= 400 else "")
        if letter == "O":
            assert set(said.values()) == {(403, "forbidden")}, (path, said)
            continue
        assert said[NOWHERE] == said[FOREIGN] == (404, "not_found"), (letter, path, said)
        if letter in "TVP":
            assert said[ELSEWHERE] == (404, "not_found"), (letter, path, said)
        elif "/bulkdata/" not in path:  # this image has none: its own answer is test_dicomweb_retrieve's
            assert said[ELSEWHERE][0] == 200, (letter, path, said)


@pytest.mark.parametrize("letter", list(WHO))
async def test_storing_follows_the_same_table(images: World, letter: str) -> None:
    who = WHO[letter]

    async def held(tenant: str, study: str) -> int:
        sql = "SELECT count(*) FROM rr.instance WHERE tenant_id = $1 AND study_uid = $2"
        found: int = (await images.sql(sql, tenant, study))[0][0]
        return found

    for kind, granted in MAY_STORE.items():
        study = f"{NOWHERE}.{ord(letter)}.{len(kind)}"
        answer = await _store(images, who, _object(study, kind), _at(_STUDY, study))
        if letter in granted:
            assert answer.status == 200, (letter, kind, answer.body)
            assert await held("north", study) == 1
        else:
            assert (answer.status, answer.code) == (403, "forbidden"), (letter, kind)
        if letter not in granted:
            assert await held("north", study) == 0
        for site in ("main", "elsewhere") if letter in "TVP" else ("elsewhere",):  # out of her view, or nowhere
            answer = await _store(images, who, _object(study, kind), f"/dicom-web/studies?site={site}")
            wanted = (404, "not_found") if letter in "ATRS" else (403, "forbidden")
            assert (answer.status, answer.code) == wanted, (letter, kind, site)
    # Under a UID of the other group's: it is stored for her own, or refused; the other group's study stays as it was.
    await _store(images, who, _object(FOREIGN, "report", 2))
    assert await held("south", FOREIGN) == 1


@pytest.mark.parametrize("letter", [w for w in WHO if w != "O"])
async def test_commands_and_streams_follow_the_same_table(both: World, letter: str) -> None:
    client = LiveClient(both.url, token=both.tokens[WHO[letter]], streams=[])
    await client.connect()
    try:
        for command, granted in SAID.items():
            if command in {"next_case", "set_presence"} and letter in granted:
                continue
            codes = set()
            for uid in (NOWHERE, FOREIGN):
                body: dict[str, Any] = {"idem": str(uuid7()), "study_uid": uid}
                codes.add((await client.ask(command, body)).get("error"))
            assert codes == ({"not_found"} if letter in granted else {"forbidden"}), (letter, command, codes)
        for kind, granted in STREAMS.items():
            foreign = {"tenant": "south", "site": "main", "study": FOREIGN, "wall": "north", "user": both.ids["sam"]}[
                kind
            ]
            answer = await client.follow(f"{kind}:{foreign}")
            wanted = "not_found" if letter in granted else "forbidden"
            assert answer["refused"] == {f"{kind}:{foreign}": wanted}, (letter, kind, answer)
        assert (await client.ask("make_coffee", {}))["error"] == "bad_payload"
    finally:
        await client.close()
