"""What each command makes of a study that a second person reads, in each state of that: one row a command."""

from __future__ import annotations

import pytest

from tests.domain import pairs, seconds

# command → what comes of it → in which states, * for all the others
SECOND: dict[str, dict[str, str]] = {
    "the same order": {
        "-": "*",
    },
    "a changed order": {
        "Flagged": "*",
    },
    "cancel": {
        "wrong_status": "*",
    },
    "dismiss a flag": {
        "wrong_status": "*",
    },
    "images, two in all": {
        "-": "*",
    },
    "images, three in all": {
        "ImagesReceived Flagged": "*",
    },
    "triage": {
        "StudyTriaged": "*",
    },
    "the granted offer again": {
        "wrong_status": "double-unread compare third-unread managers cosign-unread",
        "-": "*",
    },
    "offer": {
        "Offered": "double-unread third-unread cosign-unread",
        "wrong_status": "*",
    },
    "claim": {
        "Assigned": "double-unread third-unread cosign-unread",
        "wrong_status": "*",
    },
    "assign": {
        "wrong_status": "compare managers",
        "Assigned": "*",
    },
    "assign without a reason": {
        "bad_payload": "double-reading cosign-reading",
        "wrong_status": "compare managers",
        "Assigned": "*",
    },
    "assign what has changed": {
        "wrong_status": "compare managers",
        "stale_version": "*",
    },
    "accept": {
        "Accepted": "double-offered cosign-offered",
        "-": "double-assigned double-reading cosign-reading",
        "forbidden": "third-offered",
        "offer_expired": "*",
    },
    "accept another's": {
        "offer_expired": "double-unread third-unread cosign-unread managers",
        "forbidden": "double-offered third-offered cosign-offered",
        "already_taken": "*",
    },
    "decline": {
        "Declined": "double-offered cosign-offered",
        "forbidden": "third-offered",
        "offer_expired": "*",
    },
    "decline another's": {
        "forbidden": "double-offered third-offered cosign-offered",
        "offer_expired": "*",
    },
    "start reading": {
        "ReadingStarted": "double-assigned",
        "-": "double-reading compare cosign-reading",
        "not_assigned": "*",
    },
    "start reading another's": {
        "not_assigned": "*",
    },
    "release": {
        "Released": "double-assigned double-reading cosign-reading",
        "wrong_status": "compare",
        "not_assigned": "*",
    },
    "release by a manager": {
        "Released": "double-assigned double-reading cosign-reading",
        "wrong_status": "*",
    },
    "recall": {
        "Released": "double-offered double-assigned third-offered cosign-offered",
        "-": "*",
    },
    "recall what has changed": {
        "-": "*",
    },
    "save a draft": {
        "DraftSaved": "double-assigned double-reading cosign-reading",
        "wrong_status": "compare",
        "not_assigned": "*",
    },
    "save an old draft": {
        "stale_version": "double-assigned double-reading cosign-reading",
        "wrong_status": "compare",
        "not_assigned": "*",
    },
    "sign prelim": {
        "not_assigned": "double-unread double-offered third-unread third-offered managers",
        "wrong_status": "*",
    },
    "sign final": {
        "wrong_status": "double-assigned compare",
        "SecondSigned": "double-reading",
        "FinalSigned": "cosign-unread cosign-offered cosign-reading",
        "not_assigned": "*",
    },
    "sign another's": {
        "FinalSigned": "cosign-unread cosign-offered",
        "not_assigned": "*",
    },
    "add": {
        "wrong_status": "*",
    },
    "settle: they agree": {
        "Settled FinalSigned": "compare",
        "not_assigned": "third-unread third-offered managers",
        "wrong_status": "*",
    },
    "settle: they differ": {
        "Settled": "compare",
        "not_assigned": "third-unread third-offered managers",
        "wrong_status": "*",
    },
    "settle by a manager": {
        "Settled FinalSigned": "compare third-unread third-offered managers",
        "wrong_status": "*",
    },
    "settle what has changed": {
        "stale_version": "compare",
        "not_assigned": "third-unread third-offered managers",
        "wrong_status": "*",
    },
    "pause": {
        "wrong_status": "*",
    },
    "resume": {
        "wrong_status": "*",
    },
    "the offer's timer": {
        "OfferExpired": "double-offered third-offered cosign-offered",
        "-": "*",
    },
    "an old offer's timer": {
        "-": "*",
    },
    "the warning's timer": {
        "-": "*",
    },
    "the breach's timer": {
        "-": "*",
    },
    "the ladder's timer": {
        "-": "*",
    },
    "the pause's timer": {
        "-": "*",
    },
    "offer to who read it": {
        "not_eligible": "double-unread third-unread cosign-unread",
        "wrong_status": "*",
    },
    "claim by who read it": {
        "not_eligible": "double-unread third-unread cosign-unread",
        "wrong_status": "*",
    },
    "assign to who read it": {
        "wrong_status": "compare managers",
        "not_eligible": "*",
    },
}


@pytest.mark.parametrize("state", seconds.STUDIES)
@pytest.mark.parametrize("command", seconds.COMMANDS)
def test_a_second_reading_takes_each_command_as_its_state_says(state: str, command: str) -> None:
    story = seconds.STUDIES[state]()
    make, by = seconds.COMMANDS[command]
    before, row = story.study, SECOND[command]
    said = pairs.outcome(story, make(before), by)
    named = [outcome for outcome, states in row.items() if state in states.split()]
    assert [said] == (named or [outcome for outcome, states in row.items() if states == "*"])
    assert (story.study == before) == (not said[0].isupper())


def test_every_command_has_its_row() -> None:
    assert set(SECOND) == set(seconds.COMMANDS)
    told = {type(make(seconds.first().study)) for make, _ in seconds.COMMANDS.values()}
    assert {kind.__name__ for kind in set(pairs.STUDY_COMMANDS) - told} == {
        "JoinOrder", "MergePatient", "UnmergePatient", "MoveStudy",
    }  # fmt: skip
