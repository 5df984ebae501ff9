"""The checker is checked: a history that is right passes, and each that is wrong on purpose is told by its invariant."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.chaos.checker.history import Alert, Attempt, Heard, Stored
from tests.chaos.checker.invariants import INVARIANTS, violations
from tests.chaos.good import BREACHED, SIGNED, good
from tests.chaos.model.store import TENANT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.checker.history import Entry, History

LATE = timedelta(minutes=10)


def entry(h: History, kind: str, uid: str = SIGNED) -> int:
    return next(i for i, e in enumerate(h.entries) if e.type == kind and e.entity == f"study/{uid}")


def change(h: History, kind: str, uid: str = SIGNED, **fields: Any) -> Entry:
    """Change an entry; what is not a field of it is one of its body."""
    i = entry(h, kind, uid)
    own = {name: value for name, value in fields.items() if name in h.entries[i].__slots__}
    body = h.entries[i].body | {name: value for name, value in fields.items() if name not in own}
    h.entries[i] = replace(h.entries[i], body=body, **own)
    return h.entries[i]


def append(h: History, like: str, uid: str = SIGNED, **fields: Any) -> None:
    """Add an entry like another one at the end of its study's journal."""
    i = entry(h, like, uid)
    last = max(e.version for e in h.entries if e.entity == h.entries[i].entity)
    h.entries.append(replace(h.entries[i], version=last + 1, commit=10**6))
    own = {name: value for name, value in fields.items() if name in h.entries[i].__slots__}
    body = h.entries[-1].body | {name: value for name, value in fields.items() if name not in own}
    h.entries[-1] = replace(h.entries[-1], body=body, **own)


def answer(h: History, command: str) -> Attempt:
    return next(a for a in h.attempts if a.command == command and a.ok)


WRONG: dict[str, tuple[str, Callable[[History], Any]]] = {}


def wrong(invariant: str) -> Callable[[Callable[[History], Any]], Callable[[History], Any]]:
    def known(spoil: Callable[[History], Any]) -> Callable[[History], Any]:
        WRONG[spoil.__name__] = (invariant, spoil)
        return spoil

    return known


@wrong("versions_have_no_gap")
def an_entry_is_lost(h: History) -> None:
    del h.entries[entry(h, "ReadinessChanged")]


@wrong("versions_have_no_gap")
def two_owners_wrote_one_version(h: History) -> None:
    h.entries.append(h.entries[entry(h, "Accepted")])


@wrong("versions_have_no_gap")
def a_version_was_committed_before_the_one_it_follows(h: History) -> None:
    change(h, "Accepted", commit=0)


@wrong("owners_are_disjoint")
def it_is_offered_while_somebody_has_it(h: History) -> None:
    append(h, "Offered", BREACHED, radiologist_id="r9", offer_id="another")


@wrong("owners_are_disjoint")
def another_signed_it(h: History) -> None:
    change(h, "FinalSigned", radiologist_id="r9", by="r9")


@wrong("owners_are_disjoint")
def another_accepted_it_for_her(h: History) -> None:
    change(h, "Accepted", by="r9")


@wrong("owners_are_disjoint")
def she_accepted_after_it_had_expired(h: History) -> None:
    change(h, "Accepted", at=h.ended_at + LATE)


@wrong("owners_are_disjoint")
def somebody_released_what_another_has(h: History) -> None:
    append(h, "ReadingStarted", type="Released", radiologist_id="r9", reason="x")


@wrong("an_offer_is_taken_once")
def an_offer_is_accepted_twice(h: History) -> None:
    append(h, "Accepted")


@wrong("an_offer_is_taken_once")
def two_offers_are_one(h: History) -> None:
    change(h, "Offered", BREACHED, offer_id=h.entries[entry(h, "Offered")].body["offer_id"])


@wrong("an_offer_is_taken_once")
def two_people_are_told_that_they_have_it(h: History) -> None:
    h.attempts.append(replace(answer(h, "accept"), user_id="r9"))


@wrong("deciders_follow_each_other")
def a_deposed_decider_gave_a_study_away(h: History) -> None:
    change(h, "Offered", epoch=h.entries[entry(h, "Offered", BREACHED)].body["epoch"] + 1)


@wrong("caps_hold")
def she_is_given_more_than_her_cap(h: History) -> None:
    h.caps = [replace(cap, cap=0) for cap in h.caps]


@wrong("caps_hold")
def a_study_that_is_not_stat_passes_the_cap(h: History) -> None:
    change(h, "FirstInstanceReceived", BREACHED, priority="ROUTINE")
    change(h, "Offered", BREACHED, over_cap=True)


@wrong("stored_studies_are_listed")
def a_stored_study_is_nowhere(h: History) -> None:
    h.stored.append(Stored(TENANT, "1.2.9", "1", h.ended_at))


@wrong("stored_studies_are_listed")
def a_stored_image_is_not_counted(h: History) -> None:
    h.stored.append(replace(h.stored[0], sop_uid="another"))


@wrong("stored_studies_are_listed")
def a_study_is_listed_too_late(h: History) -> None:
    h.feed = [replace(f, at=f.at + LATE) if f.seq > 3 or f.stream.startswith("tenant:") else f for f in h.feed]


@wrong("stored_studies_are_listed")
def a_study_is_neither_open_nor_ended(h: History) -> None:
    h.rows[TENANT, BREACHED] = replace(h.rows[TENANT, BREACHED], open=False)


@wrong("an_idem_has_one_effect")
def a_key_took_effect_twice(h: History) -> None:
    change(h, "ReadingStarted", idem=h.entries[entry(h, "Accepted")].idem)


@wrong("an_idem_has_one_effect")
def a_key_was_answered_in_two_ways(h: History) -> None:
    told = answer(h, "sign")
    h.attempts.append(replace(told, answer={**(told.answer or {}), "version": 99}))


@wrong("an_idem_has_one_effect")
def an_effect_that_was_told_is_forgotten(h: History) -> None:
    h.answers.clear()


@wrong("an_idem_has_one_effect")
def what_is_kept_is_not_what_was_told(h: History) -> None:
    key = next(iter(h.answers))
    h.answers[key] = h.answers[key] | {"version": 99}


@wrong("nothing_happens_after_its_deadline")
def a_frozen_host_did_it_afterwards(h: History) -> None:
    change(h, "Accepted", committed_at=h.ended_at + LATE)


@wrong("answers_are_true")
def she_was_told_what_is_not_in_the_journal(h: History) -> None:
    h.attempts = [replace(a, answer={"version": 99}) if a.command == "accept" and a.ok else a for a in h.attempts]


@wrong("answers_are_true")
def another_was_told_that_she_has_it(h: History) -> None:
    h.attempts = [replace(a, user_id="r9") if a.command == "start_reading" else a for a in h.attempts]


@wrong("answers_are_true")
def another_was_told_that_she_signed(h: History) -> None:
    h.attempts = [replace(a, user_id="r9") if a.command == "sign" else a for a in h.attempts]


@wrong("the_feed_has_no_gap")
def a_position_is_missing(h: History) -> None:
    del h.feed[3]


@wrong("the_feed_has_no_gap")
def a_position_was_given_twice(h: History) -> None:
    h.feed.append(h.feed[3])


@wrong("the_feed_has_no_gap")
def the_head_of_a_stream_is_ahead_of_it(h: History) -> None:
    h.heads[TENANT, f"tenant:{TENANT}"] += 1


@wrong("the_feed_has_no_gap")
def a_stream_stands_in_another_order_than_the_feed(h: History) -> None:
    mine = [i for i, f in enumerate(h.feed) if f.stream == f"tenant:{TENANT}"][:2]
    one, two = (h.feed[i] for i in mine)
    h.feed[mine[0]], h.feed[mine[1]] = replace(one, seq=two.seq), replace(two, seq=one.seq)


@wrong("an_event_is_in_a_stream_once")
def a_stream_has_an_event_twice(h: History) -> None:
    mine = [i for i, f in enumerate(h.feed) if f.stream == f"tenant:{TENANT}"][:2]
    h.feed[mine[1]] = replace(h.feed[mine[1]], id=h.feed[mine[0]].id)


@wrong("sockets_hear_everything_in_order")
def a_socket_missed_an_event(h: History) -> None:
    del h.heard[3]


@wrong("sockets_hear_everything_in_order")
def a_socket_heard_an_event_twice(h: History) -> None:
    h.heard.insert(4, h.heard[3])


@wrong("sockets_hear_everything_in_order")
def a_socket_heard_what_never_was(h: History) -> None:
    h.heard[3] = replace(h.heard[3], id="never")


@wrong("sockets_hear_everything_in_order")
def a_socket_heard_the_future(h: History) -> None:
    last = h.heard[-1]
    h.heard.append(Heard(last.client, last.connection, "ev", TENANT, last.stream, last.seq + 1, "x", "study_changed"))


@wrong("the_audit_chain_is_whole")
def a_link_is_missing(h: History) -> None:
    del h.links[2]


@wrong("the_audit_chain_is_whole")
def an_event_was_changed_afterwards(h: History) -> None:
    change(h, "FinalSigned", digest="changed")


@wrong("the_audit_chain_is_whole")
def a_link_was_forged(h: History) -> None:
    h.links[2] = replace(h.links[2], body=h.links[3].body)


@wrong("the_audit_chain_is_whole")
def an_event_was_slipped_in(h: History) -> None:
    append(h, "Accepted", digest="slipped in")


@wrong("breaches_are_told_once_and_in_time")
def a_breach_was_never_told(h: History) -> None:
    del h.entries[entry(h, "SlaBreached", BREACHED)]


@wrong("breaches_are_told_once_and_in_time")
def a_breach_was_told_too_late(h: History) -> None:
    change(h, "SlaBreached", BREACHED, at=h.ended_at)


@wrong("breaches_are_told_once_and_in_time")
def a_breach_was_told_before_its_time(h: History) -> None:
    h.entries[entry(h, "SlaBreached", BREACHED)] = replace(
        h.entries[entry(h, "SlaBreached", BREACHED)], at=h.entries[entry(h, "SlaWarned", BREACHED)].at
    )


@wrong("breaches_are_told_once_and_in_time")
def a_breach_was_told_twice(h: History) -> None:
    append(h, "SlaBreached", BREACHED)


@wrong("breaches_are_told_once_and_in_time")
def an_alert_names_another_breach(h: History) -> None:
    h.alerts.append(Alert(TENANT, BREACHED, "another"))


@wrong("breaches_are_told_once_and_in_time")
def a_stream_alerts_twice(h: History) -> None:
    told = next(f for f in h.feed if f.type == "sla_breached")
    h.feed.append(replace(told, pos=len(h.feed) + 1, id="again"))


@wrong("rows_are_what_the_journal_says")
def a_row_is_behind_its_journal(h: History) -> None:
    seen = h.rows[TENANT, BREACHED]
    h.rows[TENANT, BREACHED] = replace(seen, study=seen.study.but(assigned_to="r9"))


@wrong("rows_are_what_the_journal_says")
def a_column_is_not_its_row(h: History) -> None:
    h.rows[TENANT, BREACHED] = replace(h.rows[TENANT, BREACHED], reader="r9")


@wrong("rows_are_what_the_journal_says")
def a_load_is_wrong(h: History) -> None:
    h.loads[TENANT, "r0"] += 1


@wrong("rows_are_what_the_journal_says")
def a_counter_is_wrong(h: History) -> None:
    h.counters[TENANT, f"tenant:{TENANT}"]["breached"] += 1


@wrong("timers_are_what_studies_need")
def a_timer_is_missing(h: History) -> None:
    append(h, "FirstInstanceReceived", BREACHED, type="ClockStarted", started_at=h.ended_at.isoformat(), due_s=9.0,
           warn_s=1.0, due_at=h.ended_at.isoformat())  # fmt: skip
    change(h, "SlaBreached", BREACHED, type="ImagesReceived", received=1)


@wrong("timers_are_what_studies_need")
def a_timer_is_left_over(h: History) -> None:
    from tests.chaos.checker.history import Armed  # noqa: PLC0415

    h.timers.append(Armed(TENANT, f"study/{SIGNED}", "offer", 3, h.ended_at))


def test_a_history_that_is_right_passes() -> None:
    history = good()
    assert violations(history) == []
    assert {e.type for e in history.entries} >= {"FinalSigned", "SlaBreached", "ClockResumed"}


@pytest.mark.parametrize("name", WRONG)
def test_a_history_that_is_wrong_is_told_by_its_invariant(name: str) -> None:
    invariant, spoil = WRONG[name]
    history = good()
    spoil(history)
    told = violations(history)
    assert invariant in {line.partition(":")[0] for line in told}, told


def test_every_invariant_has_a_history_that_breaks_it() -> None:
    assert {hold.__name__ for hold in INVARIANTS} == {invariant for invariant, _ in WRONG.values()}
