"""Every invariant by its name, and all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.checker import clocks, following, owning, telling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chaos.checker.history import History

INVARIANTS: tuple[Callable[[History], Iterator[str]], ...] = (
    owning.versions_have_no_gap,
    owning.owners_are_disjoint,
    owning.an_offer_is_taken_once,
    owning.deciders_follow_each_other,
    owning.caps_hold,
    telling.stored_studies_are_listed,
    telling.an_idem_has_one_effect,
    telling.nothing_happens_after_its_deadline,
    telling.answers_are_true,
    following.the_feed_has_no_gap,
    following.an_event_is_in_a_stream_once,
    following.sockets_hear_everything_in_order,
    following.the_audit_chain_is_whole,
    clocks.breaches_are_told_once_and_in_time,
    clocks.rows_are_what_the_journal_says,
    clocks.timers_are_what_studies_need,
)


def violations(history: History) -> list[str]:
    """Return what is wrong with a history, each with the invariant that says so; nothing when it is right."""
    return [f"{hold.__name__}: {what}" for hold in INVARIANTS for what in hold(history)]
