"""Commands over the socket: role first, then view, then form; the entity's answer or its refusal."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import commands as told
from actors.domain.errors import AlreadyTaken, StaleVersion
from gateway import calls
from tests.gateway.floor import Floor, open_floor, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres

FIELDS: dict[str, dict[str, Any]] = {
    "accept": {"study_uid": "1.2.3", "offer_id": "o"},
    "decline": {"study_uid": "1.2.3", "offer_id": "o", "reason": "shift_end", "note": "until nine"},
    "start_reading": {"study_uid": "1.2.3"},
    "release": {"study_uid": "1.2.3", "reason": "ill"},
    "save_draft": {"study_uid": "1.2.3", "base_version": 0, "sections": {"findings": "none"}},
    "sign": {"study_uid": "1.2.3", "version": 3, "report_version": 2, "kind": "prelim"},
    "settle": {"study_uid": "1.2.3", "version": 3, "outcome": "agree", "note": "words"},
    "next_case": {},
    "set_presence": {"state": "busy"},
    "assign": {"study_uid": "1.2.3", "version": 3, "radiologist_id": "bob", "override": True},
    "pause_clock": {"study_uid": "1.2.3", "version": 3, "reason": "no contrast"},
    "resume_clock": {"study_uid": "1.2.3", "version": 3, "reason": "contrast"},
}
TOLD = {
    "accept": ("study/1.2.3", told.Accept("o")),
    "decline": ("study/1.2.3", told.Decline("o", told.DeclineReason.SHIFT_END, "until nine")),
    "start_reading": ("study/1.2.3", told.StartReading()),
    "release": ("study/1.2.3", told.Release("ill")),
    "save_draft": ("study/1.2.3", told.SaveDraft(0, {"findings": "none"})),
    "sign": ("study/1.2.3", told.Sign(told.SignKind.PRELIM, 2, 3)),
    "settle": ("study/1.2.3", told.Settle(3, told.Outcome.AGREE, "words")),
    "next_case": ("tenant/t", told.NextCase()),
    "set_presence": ("radiologist/{me}", told.SetPresence("busy")),
    "assign": ("tenant/t", told.AssignStudy("1.2.3", "bob", 3, override=True)),
    "pause_clock": ("study/1.2.3", told.PauseClock(3, "no contrast")),
    "resume_clock": ("study/1.2.3", told.ResumeClock(3, "contrast")),
}
READERS, MANAGERS = {"ada", "rey"}, {"max"}
MAY = dict.fromkeys(FIELDS, READERS) | dict.fromkeys(("assign", "pause_clock", "resume_clock"), MANAGERS)
MAY["release"] = READERS | MANAGERS
MAY["settle"] = {"ada"} | MANAGERS


@pytest.fixture
async def floor(fresh: Settings) -> AsyncIterator[Floor]:
    async with open_floor(fresh) as made:
        for tenant, study_uid in (("t", "1.2.3"), ("u", "6.6.6")):
            await made.study(tenant, study_uid)
        yield made


def test_every_command_of_the_schema_is_tested() -> None:
    assert set(FIELDS) == set(TOLD) == set(calls.COMMANDS)


@pytest.mark.parametrize("user", ["ada", "rey", "max", "amy", "tess", "vic", "pia"])
async def test_each_role_commands_what_it_may_and_nothing_else(floor: Floor, user: str) -> None:
    client = await floor.client(user, streams=[])
    for name, fields in FIELDS.items():
        floor.refs.asked.clear()
        answer = await client.ask(name, fields | {"idem": f"{name}-1"})
        asked = [(k, e) for k, e in floor.refs.asked if not isinstance(e.command, told.ObservePresence)]
        if user not in MAY[name]:
            assert answer["error"] == "forbidden", name
            assert asked == []
            malformed = await client.ask(name, {"study_uid": 3})
            assert malformed["error"] == "forbidden", "role first"
            continue
        assert answer == {"ok": True, "version": 1}, name
        [(key, envelope)] = asked
        entity, command = TOLD[name]
        assert (key.tenant_id, key.entity) == ("t", entity.format(me=user))
        assert envelope.command == command
        assert (envelope.by.user_id, envelope.by.tenant_id) == (user, "t")
        assert envelope.idem == f"{name}-1"
        assert 8 < envelope.deadline - time.time() <= 10


@pytest.mark.parametrize("study_uid", ["6.6.6", "7.7.7"])
async def test_a_study_outside_the_view_is_not_found_whatever_else_is_wrong(floor: Floor, study_uid: str) -> None:
    for user in ("ada", "max"):
        client = await floor.client(user, streams=[])
        for name, fields in FIELDS.items():
            if user in MAY[name] and "study_uid" in fields:
                answer = await client.ask(name, {"study_uid": study_uid})  # no idem, no version, nothing
                assert answer["error"] == "not_found", name
    assert not [e for _, e in floor.refs.asked if not isinstance(e.command, told.ObservePresence)]


@pytest.mark.parametrize(
    ("name", "payload", "field"),
    [
        ("accept", {"study_uid": "1.2.3", "offer_id": "o"}, "idem"),
        ("accept", {"study_uid": "1.2.3", "idem": "i"}, "offer_id"),
        ("accept", {"study_uid": "1.2.3", "offer_id": 7, "idem": "i"}, "offer_id"),
        ("accept", {"study_uid": 1, "offer_id": "o", "idem": "i"}, "study_uid"),
        ("accept", {"study_uid": "1.2.3", "offer_id": "o", "idem": ""}, "idem"),
        ("accept", {"study_uid": "1.2.3", "offer_id": "o", "idem": "i", "deadline_ms": 60_001}, "deadline_ms"),
        ("accept", {"study_uid": "1.2.3", "offer_id": "o", "idem": "i", "deadline_ms": 0}, "deadline_ms"),
        ("decline", {"study_uid": "1.2.3", "offer_id": "o", "idem": "i", "reason": "bored"}, "reason"),
        ("save_draft", {"study_uid": "1.2.3", "base_version": -1, "idem": "i", "sections": {}}, "base_version"),
        ("sign", {"study_uid": "1.2.3", "version": 1, "report_version": 1, "kind": "x", "idem": "i"}, "kind"),
        ("set_presence", {"state": "asleep", "idem": "i"}, "state"),
        ("release", {"study_uid": "1.2.3", "reason": "a\0b", "idem": "i"}, ""),
        ("release", {"study_uid": "1.2.3", "reason": "\ud800", "idem": "i"}, ""),
        ("next_case", [], ""),
        ("next_case", None, ""),
        ("next_case", "now", ""),
        ("no_such_call", {"idem": "i"}, ""),
        ("connect", {"idem": "i"}, ""),
        ("disconnect", {"idem": "i"}, ""),
        ("subscribe", {"streams": ["tenant:t"]}, "streams"),
        ("subscribe", {"streams": {"tenant:t": -1}}, "streams"),
        ("unsubscribe", {}, "streams"),
        ("time", {"t0": "now"}, "t0"),
        ("reauth", {}, "ticket"),
    ],
)
async def test_what_is_malformed_is_refused_naming_the_field(floor: Floor, name: str, payload: Any, field: str) -> None:
    ada = await floor.client("ada")
    answer = await ada.ask(name, payload)
    assert answer["error"] == "bad_payload"
    assert answer["message"]
    assert answer["field"].startswith(field) if field else True
    assert (await ada.ask("time", {"t0": 1}))["t0"] == 1, "the socket goes on"
    assert not [e for _, e in floor.refs.asked if not isinstance(e.command, told.ObservePresence)]


async def test_a_refusal_carries_its_code_and_what_belongs_to_it(floor: Floor) -> None:
    ada = await floor.client("ada")

    def refuse(_key: Any, _envelope: Any) -> Any:
        raise AlreadyTaken("", {"by": "bob"})

    floor.refs.answer = refuse
    answer = await ada.ask("accept", FIELDS["accept"] | {"idem": "i"})
    assert answer == {"error": "already_taken", "message": AlreadyTaken.sentence, "by": "bob"}

    def stale(_key: Any, _envelope: Any) -> Any:
        raise StaleVersion("", {"row": {"study_uid": "1.2.3", "version": 4}})

    floor.refs.answer = stale
    answer = await ada.ask("sign", FIELDS["sign"] | {"idem": "j"})
    assert answer["row"]["version"] == 4


async def test_a_command_that_fails_inside_says_nothing_of_the_inside(floor: Floor) -> None:
    ada = await floor.client("ada")

    def broken(_key: Any, _envelope: Any) -> Any:
        raise ValueError("PHANTOM^Iris")

    floor.refs.answer = broken
    answer = await ada.ask("accept", FIELDS["accept"] | {"idem": "i"})
    assert answer["error"] == "error"
    assert "PHANTOM" not in str(answer)


async def test_a_command_without_an_answer_in_time_is_to_be_retried(floor: Floor) -> None:
    ada = await floor.client("ada")

    async def slow(_key: Any, _envelope: Any) -> Any:
        await asyncio.sleep(30)

    floor.refs.answer = slow
    answer = await ada.ask("accept", FIELDS["accept"] | {"idem": "i", "deadline_ms": 100})
    assert answer["error"] == "retry"


async def test_the_client_retries_with_the_same_key_until_answered(floor: Floor) -> None:
    ada = await floor.client("ada")
    ways = ["retry", "overloaded", "expired"]

    def at_last(_key: Any, envelope: Any) -> Any:
        from actors.domain.errors import refusals  # noqa: PLC0415

        if ways and not isinstance(envelope.command, told.ObservePresence):
            raise refusals()[ways.pop(0)]
        return {"version": 8}

    floor.refs.answer = at_last
    assert await ada.call("accept", **FIELDS["accept"]) == {"ok": True, "version": 8}
    keys = {e.idem for _, e in floor.refs.asked if isinstance(e.command, told.Accept)}
    assert len(keys) == 1
    assert len(floor.refs.commands("Accept")) == 4


async def test_too_many_commands_at_once_are_refused_as_overload(floor: Floor) -> None:
    ada = await floor.client("ada")
    go = asyncio.Event()

    async def hold(_key: Any, _envelope: Any) -> Any:
        await go.wait()
        return {"version": 1}

    floor.refs.answer = hold
    asks = [
        asyncio.create_task(ada.ask("start_reading", FIELDS["start_reading"] | {"idem": str(n)})) for n in range(70)
    ]
    await until(lambda: any(a.done() for a in asks))
    await asyncio.sleep(0.2)
    go.set()
    answers = [await ask for ask in asks]
    assert sum("ok" in a for a in answers) == 64
    assert {a["error"] for a in answers if "ok" not in a} == {"overloaded"}


async def test_the_time_is_the_servers(floor: Floor) -> None:
    from datetime import datetime  # noqa: PLC0415

    ada = await floor.client("ada")
    answer = await ada.ask("time", {"t0": 12.5})
    assert answer["t0"] == 12.5
    assert abs(datetime.fromisoformat(answer["server_time"]).timestamp() - time.time()) < 1


async def test_an_opened_study_stream_is_audited(floor: Floor) -> None:
    ada = await floor.client("ada")
    await ada.follow("study:1.2.3")
    await until(lambda: ada.live)
    rows = await floor.admin.fetch("SELECT user_id, act, subject FROM rr.access")
    assert [tuple(r) for r in rows] == [("ada", "study_opened", "1.2.3")]
    assert ada.views["study:1.2.3"].rows["1.2.3"]["site"]["id"] == "harbor"
