"""What if: the live state lived on with and without a change, on the same draws."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.domain.assignment.minutes import Sum
from actors.domain.errors import BadPayload
from actors.domain.policy import Policy, policy
from actors.domain.profile import About, Conflict, Profile, Term, profile
from actors.domain.roster import Kind, Shift, Span
from actors.domain.second import Second, SecondKind, SecondState
from actors.domain.sla import Clock
from actors.domain.staff import Member
from actors.domain.study import Asked, OpenOffer, Study
from actors.domain.words import Acuity, ClockState, Presence, Priority, Role, Status
from simulation.fork import Arrival, Live, Place, without
from simulation.room import Room
from simulation.whatif import AddReader, CloseShift, ScaleArrivals, SendStudies, answer

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
SOON = NOW + timedelta(hours=4)
S, U, R = Priority


def member(
    name: str, state: Presence = Presence.ONLINE, shift: tuple[float, float] | None = None, **more: Any
) -> Member:
    hours = (
        () if shift is None else (Shift(NOW + timedelta(hours=shift[0]), NOW + timedelta(hours=shift[1]), Kind.DUTY),)
    )
    return Member(name, name.title(), Role.RADIOLOGIST, state, profile({}), hours, **more)


def running(at: datetime, due_min: float) -> Clock:
    due = timedelta(minutes=due_min)
    return Clock(ClockState.RUNNING, at, at + due, at + due * 0.75)


def study(index: int, status: Status = Status.UNREAD, **more: Any) -> Study:
    clock = more.pop("sla", running(NOW - timedelta(minutes=index), 60))
    return Study(
        f"1.2.{index}", "main", f"p{index}", modality="CT", body_part="HEAD", priority=U, status=status, sla=clock,
        rev=1, **more,
    )  # fmt: skip


def live(*members: Member, studies: tuple[Study, ...] = (), past: int = 30, days: float = 1.0) -> Live:
    came = tuple(
        Arrival((NOW - timedelta(minutes=47 * k)).timestamp(), ("main", "north")[k % 2], (U, R)[k % 2], "CT", "HEAD")
        for k in range(past)
    )
    sites = {"main": Place("Main"), "north": Place("North")}
    hour = policy({"sla": {"URGENT": {"due_s": 3600}, "ROUTINE": {"due_s": 5400}}})
    return Live(NOW, studies, members, "UTC", hour, sites, came, days)


BUSY = live(
    member("ada"), member("bob", shift=(-4, 6)), member("cleo"), studies=tuple(study(i) for i in range(12)), past=400
)


def test_closing_a_shift_breaches_more_and_another_reader_less() -> None:
    worse = answer(BUSY, [CloseShift("ada"), CloseShift("bob")], SOON, nights=5)
    better = answer(BUSY, [AddReader(SOON), AddReader(SOON)], SOON, nights=5)
    assert worse["difference"]["mean"] > 0 > better["difference"]["mean"]
    felt = {r["radiologist_id"]: r["minutes"]["mean"] for r in worse["readers"]}
    assert felt["ada"] < 0
    assert felt["bob"] < 0 < felt["cleo"]


def test_no_change_is_no_difference_and_the_same_question_the_same_answer() -> None:
    once, again = (answer(BUSY, [], SOON, nights=5) for _ in range(2))
    assert once["difference"] == {"mean": 0.0, "half": 0.0, "low": 0.0, "high": 0.0}
    assert {k: v for k, v in once.items() if k != "took_s"} == {k: v for k, v in again.items() if k != "took_s"}


def test_forty_more_studies_of_a_site_are_felt_there() -> None:
    said = answer(BUSY, [SendStudies("north", 40, "CT", body_part="HEAD")], SOON, nights=5)
    more = {s["site"]["id"]: s["mean"] for s in said["sites"]}
    assert more["north"] > 10
    assert said["difference"]["mean"] >= more["north"]
    assert said["course"]["changed"][-1]["mean"] > said["course"]["planned"][-1]["mean"]
    assert len(said["course"]["at"]) == 9


def test_arrivals_are_scaled_up_and_down() -> None:
    up = answer(BUSY, [ScaleArrivals(2.0)], SOON, nights=5)["difference"]["mean"]
    down = answer(BUSY, [ScaleArrivals(0.0, until=SOON)], SOON, nights=5)["difference"]["mean"]
    assert up > 0 > down


def test_the_past_comes_again_as_often_as_it_came_a_day() -> None:
    one, four = live(past=100), live(past=100, days=4.0)
    counts = [sum(len(x.expected(seed, 86400)) for seed in range(40)) / 40 for x in (one, four)]
    assert counts[0] == pytest.approx(100, rel=0.1)
    assert counts[1] == pytest.approx(25, rel=0.2)
    assert all(0 <= a.at_s < 86400 for a in one.expected(1, 86400))


def test_what_is_in_hand_stays_with_its_reader_and_is_read_first_to_its_end() -> None:
    hers = study(3, Status.READING, assigned_to="ada", reading_by="ada", reading_since=NOW - timedelta(minutes=2))
    state = live(member("ada"), member("bob"), studies=(hers, study(4, Status.ASSIGNED, assigned_to="bob")))
    room = Room(state.night(state.persons(), [], 1), desk()).run()
    assert [c.reader for c in room.cases] == [0, 1]
    assert room.cases[0].begun_s == 0.0


def cases(state: Live) -> Any:
    return state.night(state.persons(), [], 1).cases


def test_acuity_refusals_and_bars_of_each_study_that_waits_are_known() -> None:
    asked = (Asked("ada", NOW - timedelta(seconds=30)), Asked("bob", NOW - timedelta(hours=1), 2))
    one = study(1, acuity=Acuity.SUSPECTED_CRITICAL, asked=asked, excluded=frozenset({"cleo"}), referring="dr")
    conflict = Profile(conflicts=(Conflict(About.REFERRING_PHYSICIAN, "dr"),))
    dora = Member("dora", "Dora", Role.RADIOLOGIST, Presence.ONLINE, conflict)
    state = live(member("ada"), member("bob"), member("cleo"), dora, studies=(one,))
    (case,) = cases(state)
    assert (case.acuity, case.declined[0], case.barred) == (Acuity.SUSPECTED_CRITICAL, -30.0, {1, 2, 3})
    room = Room(state.night(state.persons(), [], 1), desk()).run()
    assert (room.cases[0].reader, room.cases[0].begun_s >= 90) == (0, True)  # asked again after two minutes, not before


def test_a_second_reading_is_for_others_who_sign_and_breaches_no_more() -> None:
    second = Second(SecondKind.DOUBLE, SecondState.WAITING, NOW - timedelta(hours=3), 4, frozenset({"ada"}), ())
    stopped = replace(running(NOW - timedelta(hours=3), 60), state=ClockState.STOPPED)
    resident = replace(member("rei"), role=Role.RESIDENT)
    (case,) = cases(live(member("ada"), member("bob"), resident, studies=(study(1, second=second, sla=stopped),)))
    assert (case.barred, case.due_s, case.at_s) == ({0, 2}, math.inf, -3 * 3600.0)


def test_an_open_offer_stays_with_whom_it_was_made_to_and_a_slow_reader_stays_slow() -> None:
    offer = OpenOffer("o1", "bob", NOW + timedelta(seconds=60), "why")
    hers = study(2, Status.READING, assigned_to="ada", reading_by="ada", reading_since=NOW - timedelta(minutes=2))
    state = live(member("ada"), member("bob"), studies=(study(1, Status.OFFERED, offer=offer), hers))
    assert [c.held_by for c in cases(state)] == [1, 0]
    usual = cases(state)[1].left_min
    state.minutes.add("ada", "CT/neuro", Sum(400, 400 * math.log(30), 400 * math.log(30) ** 2))
    assert cases(state)[1].left_min > 2 * usual


def test_who_is_on_a_break_comes_back_when_it_ends() -> None:
    rest = Span(NOW - timedelta(minutes=10), NOW + timedelta(minutes=20))
    shift = Shift(NOW - timedelta(hours=2), NOW + timedelta(hours=6), Kind.DUTY, (rest,))
    resting = replace(member("ada", Presence.AWAY), shifts=(shift,))
    state = live(resting, studies=(study(1),), past=0)
    (person,) = state.persons()
    assert (person.shifts, person.breaks) == (((0.0, 21600.0),), ((0.0, 1200.0),))
    assert Room(state.night((person,), [], 1), desk()).run().cases[0].begun_s >= 1200


@pytest.mark.parametrize(("days", "begun"), [((-30, 30), True), ((-60, -30), False), ((30, 60), False)])
def test_a_licence_holds_in_the_fork_when_it_holds_now(days: tuple[int, int], begun: bool) -> None:  # noqa: FBT001 - a case
    term = Term("US-ME", *((NOW + timedelta(days=d)).date() for d in days))
    held = replace(member("ada"), profile=Profile(licences=(term,)))
    state = replace(live(held, studies=(study(1),), past=0), sites={"main": Place("Main", "US-ME")})
    assert math.isfinite(Room(state.night(state.persons(), [], 1), desk()).run().cases[0].begun_s) is begun


def desk() -> Any:
    from simulation.production import Production  # noqa: PLC0415

    return Production(Policy().assignment)


def test_who_is_absent_from_her_shift_is_not_counted_on_and_vacation_is_no_duty() -> None:
    gone = member("ada", Presence.AWAY, (-1, 5))
    off = member("bob", Presence.OFF)
    leave = member(
        "cleo", Presence.ONLINE, (-1, 5), absences=(Span(NOW + timedelta(hours=1), NOW + timedelta(hours=9)),)
    )
    later = member("dora", Presence.OFF, (2, 10))
    assert [p.shifts for p in live(gone, off, leave, later).persons()] == [
        (), (), ((0.0, 3600.0),), ((7200.0, 36000.0),),
    ]  # fmt: skip


def test_an_absence_cuts_a_shift_in_two() -> None:
    assert without((0.0, 10.0), (3.0, 5.0)) == [(0.0, 3.0), (5.0, 10.0)]
    assert without((0.0, 10.0), (0.0, 50.0)) == []


def test_nobody_there_breaches_everything_that_falls_due() -> None:
    said = answer(live(studies=(study(1), study(2)), past=0), [], SOON, nights=5)
    assert said["planned"]["mean"] == 2.0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (CloseShift("nobody"), "radiologist_id"),
        (SendStudies("nowhere", 1, "CT"), "site"),
        (ScaleArrivals(2.0, "nowhere"), "site"),
        (AddReader(NOW - timedelta(hours=1)), "until"),
    ],
)
def test_a_change_that_cannot_be_names_its_field(change: Any, field: str) -> None:
    with pytest.raises(BadPayload) as refusal:
        answer(BUSY, [change], SOON, nights=5)
    assert refusal.value.fields["field"] == field


def test_until_lies_within_a_day() -> None:
    for until in (NOW, NOW + timedelta(hours=25)):
        with pytest.raises(BadPayload):
            answer(BUSY, [], until)


def test_a_new_reader_of_one_subspecialty_reads_nothing_else() -> None:
    chest = tuple(
        Study(f"1.3.{i}", "main", modality="CT", body_part="CHEST", priority=U, status=Status.UNREAD, rev=1,
              sla=running(NOW, 30))
        for i in range(6)
    )  # fmt: skip
    state = live(studies=chest, past=0)
    neuro = answer(state, [AddReader(SOON, specialty="neuro")], SOON, nights=5)
    anything = answer(state, [AddReader(SOON)], SOON, nights=5)
    assert neuro["difference"]["mean"] == 0
    assert anything["difference"]["mean"] < 0
