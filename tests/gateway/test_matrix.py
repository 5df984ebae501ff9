"""Who may what: every call, command, stream and DICOMweb path, for every role, two groups and two sites.

The table below is written from the interface's description, not from the code. A call that is added without a line
here fails the first test; what is refused is refused in the same words whether it exists elsewhere or nowhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from uuid_utils import uuid7

from actors.domain.words import Role
from actors.local import Local
from actors.shard import Place
from gateway.api.table import ROUTES
from gateway.calls import COMMANDS
from readingroom.demo.client import LiveClient
from storage import sessions
from storage.sessions import Login
from tests.gateway.rest import World, world

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
    "GET /api/studies": "AMRSTVP",
    "GET /api/studies/{study_uid}": "AMRSTVP",
    "GET /api/studies/{study_uid}/history": "AMRS",
    "GET /api/studies/{study_uid}/explanation": "AMRS",
    "PUT /api/studies/{study_uid}/assign": "M",
    "POST /api/studies/{study_uid}/accept": "RS",
    "POST /api/studies/{study_uid}/decline": "RS",
    "POST /api/studies/{study_uid}/start": "RS",
    "POST /api/studies/{study_uid}/release": "MRS",
    "GET /api/worklist": "AMRS",
    "GET /api/board": "AMRS",
    "GET /api/policy": "AMRS",
    "PUT /api/policy": "AM",
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
    "accept": "RS", "decline": "RS", "start_reading": "RS", "release": "MRS", "save_draft": "RS", "sign": "RS",
    "next_case": "RS", "set_presence": "RS", "assign": "M", "pause_clock": "M", "resume_clock": "M",
}  # fmt: skip
STREAMS = {"tenant": "AMRS", "site": "T", "study": "AMRS", "wall": "", "user": "AMRSTVP"}
DICOMWEB = (
    "/dicom-web/studies/{u}/series",
    "/dicom-web/studies/{u}/metadata",
    "/dicom-web/studies/{u}",
    "/dicom-web/studies/{u}/series/1.2/metadata",
    "/dicom-web/studies/{u}/series/1.2/instances/1.3/frames/1",
    "/dicom-web/studies/{u}/series/1.2/instances/1.3/rendered",
)
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
    for path in DICOMWEB:
        assert (await both.get(path.format(u=FOREIGN))).status == 401


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
                study_uid=uid, report_id=f"report-{uid}", accession_number={FOREIGN: "S1"}.get(uid, "N9")
            )
            answer = await both.call(method, filled, body, who=who)
            said[uid] = (answer.status, answer.code if answer.status >= 400 else "")
        if letter not in granted:
            assert set(said.values()) == {(403, "forbidden")}, (letter, call, said)
        else:
            assert said[NOWHERE] == said[FOREIGN] == (404, "not_found"), (letter, call, said)
            if letter in "TVP" and "accession_number" not in path:
                assert said[ELSEWHERE] == (404, "not_found"), (letter, call, said)


@pytest.mark.parametrize("letter", list(WHO))
async def test_dicomweb_shows_nothing_of_others(both: World, letter: str) -> None:
    who = WHO[letter]
    for path in DICOMWEB:
        for uid in (NOWHERE, FOREIGN):
            answer = await both.get(path.format(u=uid), who)
            if answer.status == 200:  # a search finds nothing
                assert path.endswith("/series"), (letter, path)
                assert answer.json == [], (letter, path)
            else:
                allowed = {403} if letter == "O" else {404, 204}
                assert answer.status in allowed, (letter, path, answer.status)
    if letter != "O":
        found = await both.get(f"/dicom-web/studies?StudyInstanceUID={FOREIGN}", who)
        assert found.status == 204 or found.json == []


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
