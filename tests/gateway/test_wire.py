"""The schema of the live protocol: strict about what we send, generated files that agree with it."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.permissions import GRANTS
from gateway import calls, shapes, wire
from readingroom.codegen.__main__ import files, main
from readingroom.codegen.schema import structs
from readingroom.codegen.tables import filled
from readingroom.demo.view import Gap, View, apply, view_of
from tests.gateway.floor import row

if TYPE_CHECKING:
    from pathlib import Path


def ev(data: dict[str, Any], kind: str = "study_changed", stream: str = "tenant:t") -> dict[str, Any]:
    return {"s": stream, "seq": 1, "id": "e", "type": kind, "v": 1, "ts": "2026-11-24T10:00:00.000Z", "data": data}


# -- what we send is held to the schema ---------------------------------------------------------
def test_an_event_with_the_whole_row_conforms() -> None:
    wire.conform("ev", ev({"study_uid": "1.2.3", "row": row()}))
    wire.conform("ev", ev({"study_uid": "1.2.3", "row": None}))
    wire.conform("ev", ev({"study_uid": "1.2.3"}))


@pytest.mark.parametrize(
    "wrong",
    [
        ev({"study_uid": "1", "row": row(colour="red")}),
        ev({"study_uid": "1", "row": row(priority="HIGH")}),
        ev({"study_uid": "1", "row": {k: v for k, v in row().items() if k != "rev"}}),
        ev({"study_uid": "1", "row": row(sla={"state": "running"})}),
        ev({"row": None}),
        ev({"study_uid": "1", "offer_id": "o"}),
        ev({"study_uid": "1"}, "assignment_offered"),
        ev({"study_uid": "1"}) | {"seq": 0},
        ev({"study_uid": "1"}) | {"ts": "2026-11-24T10:00:00Z"},
        ev({"study_uid": "1"}) | {"extra": 1},
    ],
)
def test_what_the_protocol_does_not_say_is_not_sent(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        wire.conform("ev", wrong)


def test_a_site_is_not_told_what_it_may_not_see() -> None:
    offered = {"study_uid": "1", "offer_id": "o", "expires_at": "2026-11-24T10:00:00.000Z", "why": "you"}
    wire.conform("ev", ev(offered, "assignment_offered"))
    with pytest.raises(msgspec.ValidationError):
        wire.conform("ev", ev(offered, "assignment_offered", "site:harbor"))
    wire.conform("ev", ev({"study_uid": "1"}, "assignment_offered", "site:harbor"))
    fields = {"ai", "acuity", "offer", "second_reader", "second_read"}
    for hidden in sorted(fields):
        seen = {k: v for k, v in row().items() if k not in fields - {hidden}}
        with pytest.raises(msgspec.ValidationError):
            wire.conform("ev", ev({"study_uid": "1", "row": seen}, stream="site:harbor"))


def test_a_wall_is_shown_no_patient() -> None:
    wire.conform("ev", ev({"study_uid": "1", "row": row(patient=None)}, stream="wall:t"))
    with pytest.raises(msgspec.ValidationError):
        wire.conform("ev", ev({"study_uid": "1", "row": row()}, stream="wall:t"))


def test_every_command_has_its_permission() -> None:
    renamed = {"pause_clock": "clock", "resume_clock": "clock"}
    assert {renamed.get(name, name) for name in calls.COMMANDS} <= GRANTS.keys()


def test_unknown_fields_of_a_newer_client_are_ignored() -> None:
    asked = msgspec.convert({"study_uid": "1", "offer_id": "o", "idem": "i", "mood": "good"}, calls.Accept)
    assert asked.deadline_ms == calls.DEADLINE_MS


# -- generated files ----------------------------------------------------------------------------
def test_the_generated_files_are_up_to_date() -> None:
    assert main(["--check"]) == 0


def test_a_difference_is_found_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {tmp_path / "deep" / path.name: text for path, text in files().items()}
    monkeypatch.setattr("readingroom.codegen.__main__.ROOT", tmp_path)
    monkeypatch.setattr("readingroom.codegen.__main__.files", lambda: made)
    assert main(["--check"]) == 1
    assert not list(tmp_path.rglob("wire.ts"))
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_the_asyncapi_document_refers_to_what_it_holds() -> None:
    text = next(text for path, text in files().items() if path.name == "asyncapi.json")
    document = json.loads(text)

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    for reference in set(references(document)):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
    named = {operation for operation in document["operations"] if operation != "told"}
    assert named == {*calls.COMMANDS, *calls.CALLS, "ack"}


def test_every_struct_says_what_it_is_in_the_page_and_the_types() -> None:
    text = {path.name: text for path, text in files().items()}
    for kind in structs():
        assert kind.__doc__
        assert f"export interface {kind.__name__} " in text["wire.ts"]
    for name in (*wire.EVENTS, *calls.COMMANDS, *wire.SERVER_EVENTS):
        assert f"`{name}`" in text["wire.md"]


def test_a_page_that_asks_for_what_is_not_made_is_refused() -> None:
    with pytest.raises(KeyError):
        filled("<!-- made: nonsense -->\n<!-- end -->")


# -- applying -----------------------------------------------------------------------------------
_UIDS = st.sampled_from(["1.1", "1.2", "1.3"])
_CHANGES = st.one_of(
    st.tuples(st.just("row"), _UIDS, st.integers(0, 9)),
    st.tuples(st.just("gone"), _UIDS, st.just(0)),
    st.tuples(st.just("nothing"), _UIDS, st.just(0)),
    st.tuples(st.just("reader"), st.sampled_from(["ada", "bob"]), st.integers(0, 9)),
    st.tuples(st.just("counters"), st.just(""), st.integers(0, 9)),
    st.tuples(st.just("lock"), st.just(""), st.integers(0, 2)),
    st.tuples(st.just("message"), st.just(""), st.integers(0, 9)),
)


class Server:
    """What the server holds, told without the client's code."""

    def __init__(self, stream: str) -> None:
        self.stream, self.seq = stream, 0
        self.rows: dict[str, Any] = {}
        self.readers: dict[str, Any] = {}
        self.counters: dict[str, int] = {}
        self.lock: Any = None
        self.messages: list[Any] = []
        self.events: list[dict[str, Any]] = []

    def happen(self, kind: str, name: str, number: int) -> None:
        self.seq += 1
        data: dict[str, Any] = {}
        match kind:
            case "row":
                name = "1.1" if self.stream.startswith("study:") else name
                report = {"report_id": "r", "version": number} if number % 2 else None
                self.rows[name] = {"study_uid": name, "rev": self.seq, "report": report}
                data = {"study_uid": name, "row": self.rows[name]}
            case "gone" if not self.stream.startswith("study:"):
                self.rows.pop(name, None)
                data = {"study_uid": name, "row": None}
            case "reader":
                self.readers[name] = {"radiologist_id": name, "load": number}
                data = {"reader": self.readers[name]}
            case "counters":
                self.counters = {"open": number}
                data = {"counters": self.counters}
            case "lock":
                self.lock = {"user_id": "ada", "tab": str(number)} if number else None
                data = {"lock": self.lock}
            case "message":
                self.messages.append({"message_id": f"{self.seq}"})
                data = {"message": self.messages[-1]}
            case _:
                data = {"study_uid": name}
        self.events.append(copy.deepcopy(ev(data, stream=self.stream) | {"seq": self.seq, "id": f"e{self.seq}"}))

    def snapshot(self) -> dict[str, Any]:
        if self.stream.startswith("study:"):
            shown = self.rows.get("1.1")
            data: dict[str, Any] = {"row": shown, "report": shown and shown["report"]}
        else:
            data = {"rows": list(self.rows.values())}
        data |= {"readers": list(self.readers.values()), "counters": self.counters or None, "lock": self.lock}
        return copy.deepcopy({"s": self.stream, "as_of_seq": self.seq, "data": data | {"messages": self.messages}})


@settings(max_examples=300, deadline=None)
@given(
    stream=st.sampled_from(["tenant:t", "study:1.1"]),
    before=st.lists(_CHANGES, max_size=12),
    after=st.lists(_CHANGES, max_size=12),
    again=st.integers(0, 12),
)
def test_the_events_after_a_snapshot_give_the_snapshot_of_now(
    stream: str, before: list[Any], after: list[Any], again: int
) -> None:
    server = Server(stream)
    for change in before:
        server.happen(*change)
    view = view_of(server.snapshot())
    for change in after:
        server.happen(*change)
    for event in server.events:  # those before the snapshot, too: they are ignored
        view = apply(view, event)
    for event in server.events[-again:]:
        assert apply(view, event) is view
    assert view == view_of(server.snapshot())


def test_an_event_out_of_turn_is_a_gap_and_changes_nothing() -> None:
    view = View(3)
    with pytest.raises(Gap):
        apply(view, ev({"study_uid": "1", "row": None}) | {"seq": 5})
    with pytest.raises(Gap):
        apply(View(), ev({"study_uid": "1", "row": None}))
    assert view == View(3)


def test_an_absent_field_and_an_empty_one_are_told_apart() -> None:
    fields = {f.name: f for f in msgspec.structs.fields(shapes.Row)}
    assert [name for name, field in fields.items() if not field.required] == [
        "acuity", "offer", "second_reader", "second_read", "ai",
    ]  # fmt: skip
