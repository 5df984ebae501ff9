"""What each command makes of a study, a clock and a presence in each of their states: one row a command."""

from __future__ import annotations

import pytest

from tests.domain import pairs

# command → what comes of it → in which statuses; events by name, - for none, refusals by code
STUDY: dict[str, dict[str, str]] = {
    "the same order": {
        "OrderReceived": "unknown cancelled moved",
        "-": "ordered unread offered assigned reading prelim final",
    },
    "a changed order": {
        "OrderReceived": "unknown ordered cancelled moved",
        "OrderReceived ClockStarted": "unread offered assigned reading",
        "Flagged": "prelim final",
    },
    "cancel": {
        "wrong_status": "unknown assigned reading prelim final",
        "Cancelled": "ordered unread offered",
        "-": "cancelled moved",
    },
    "join": {"wrong_status": "unknown ordered cancelled moved", "-": "unread offered assigned reading prelim final"},
    "merge": {
        "not_found": "unknown moved",
        "PatientMerged": "ordered unread offered assigned reading cancelled",
        "PatientMerged Flagged": "prelim final",
    },
    "unmerge": {"not_found": "unknown ordered unread offered assigned reading prelim final cancelled moved"},
    "move": {
        "wrong_status": "unknown cancelled moved",
        "not_found": "ordered unread offered assigned reading prelim final",
    },
    "move what has changed": {
        "wrong_status": "unknown cancelled moved",
        "stale_version": "ordered unread offered assigned reading prelim final",
    },
    "dismiss a flag": {"wrong_status": "unknown ordered unread offered assigned reading prelim final cancelled moved"},
    "images, two in all": {
        "FirstInstanceReceived Flagged ReadinessChanged ClockStarted": "unknown moved",
        "FirstInstanceReceived ReadinessChanged ClockStarted": "ordered cancelled",
        "-": "unread offered assigned reading prelim final",
    },
    "images, three in all": {
        "FirstInstanceReceived Flagged ReadinessChanged ClockStarted": "unknown moved",
        "FirstInstanceReceived ReadinessChanged ClockStarted": "ordered cancelled",
        "ImagesReceived": "unread offered assigned reading",
        "ImagesReceived Flagged": "prelim final",
    },
    "triage": {
        "wrong_status": "unknown cancelled moved",
        "StudyTriaged": "ordered unread offered assigned reading prelim final",
    },
    "the granted offer again": {
        "not_found": "unknown moved",
        "wrong_status": "ordered unread prelim final cancelled",
        "-": "offered assigned reading",
    },
    "offer": {
        "not_found": "unknown moved",
        "wrong_status": "ordered offered assigned reading prelim final cancelled",
        "Offered": "unread",
    },
    "claim": {
        "not_found": "unknown moved",
        "wrong_status": "ordered offered assigned reading prelim final cancelled",
        "Assigned": "unread",
    },
    "assign": {
        "not_found": "unknown moved",
        "wrong_status": "ordered prelim final cancelled",
        "Assigned": "unread offered assigned reading",
    },
    "assign without a reason": {
        "not_found": "unknown moved",
        "wrong_status": "ordered prelim final cancelled",
        "Assigned": "unread offered assigned",
        "bad_payload": "reading",
    },
    "assign what has changed": {
        "not_found": "unknown moved",
        "wrong_status": "ordered prelim final cancelled",
        "stale_version": "unread offered assigned reading",
    },
    "accept": {
        "not_found": "unknown moved",
        "offer_expired": "ordered unread final cancelled",
        "Accepted": "offered",
        "-": "assigned reading prelim",
    },
    "accept another's": {
        "not_found": "unknown moved",
        "offer_expired": "ordered unread cancelled",
        "forbidden": "offered",
        "already_taken": "assigned reading prelim final",
    },
    "decline": {
        "not_found": "unknown moved",
        "offer_expired": "ordered unread assigned reading prelim final cancelled",
        "Declined": "offered",
    },
    "decline another's": {
        "not_found": "unknown moved",
        "offer_expired": "ordered unread assigned reading prelim final cancelled",
        "forbidden": "offered",
    },
    "start reading": {
        "not_found": "unknown moved",
        "not_assigned": "ordered unread offered cancelled",
        "ReadingStarted": "assigned",
        "-": "reading prelim",
        "wrong_status": "final",
    },
    "start reading another's": {
        "not_found": "unknown moved",
        "not_assigned": "ordered unread offered assigned reading prelim final cancelled",
    },
    "release": {
        "not_found": "unknown moved",
        "not_assigned": "ordered unread offered cancelled",
        "Released": "assigned reading",
        "wrong_status": "prelim final",
    },
    "release by a manager": {
        "not_found": "unknown moved",
        "wrong_status": "ordered unread offered prelim final cancelled",
        "Released": "assigned reading",
    },
    "recall": {"-": "unknown ordered unread reading prelim final cancelled moved", "Released": "offered assigned"},
    "recall what has changed": {"-": "unknown ordered unread offered assigned reading prelim final cancelled moved"},
    "save a draft": {
        "not_found": "unknown moved",
        "not_assigned": "ordered unread offered cancelled",
        "DraftSaved": "assigned reading prelim",
        "wrong_status": "final",
    },
    "save an old draft": {
        "not_found": "unknown moved",
        "not_assigned": "ordered unread offered cancelled",
        "stale_version": "assigned reading prelim",
        "wrong_status": "final",
    },
    "sign prelim": {
        "not_found": "unknown moved",
        "not_assigned": "ordered unread offered cancelled",
        "PrelimSigned": "assigned reading",
        "wrong_status": "prelim final",
    },
    "sign final": {
        "not_found": "unknown moved",
        "not_assigned": "ordered unread offered cancelled",
        "FinalSigned": "assigned reading prelim",
        "wrong_status": "final",
    },
    "sign another's": {
        "not_found": "unknown moved",
        "not_assigned": "ordered unread offered assigned reading prelim final cancelled",
    },
    "add": {
        "not_found": "unknown moved",
        "wrong_status": "ordered unread offered assigned reading prelim cancelled",
        "Addended": "final",
    },
    "settle: they agree": {
        "not_found": "unknown moved",
        "wrong_status": "ordered unread offered assigned reading prelim final cancelled",
    },
    "settle: they differ": {
        "not_found": "unknown moved",
        "wrong_status": "ordered unread offered assigned reading prelim final cancelled",
    },
    "settle by a manager": {
        "not_found": "unknown moved",
        "wrong_status": "ordered unread offered assigned reading prelim final cancelled",
    },
    "settle what has changed": {
        "not_found": "unknown moved",
        "wrong_status": "ordered unread offered assigned reading prelim final cancelled",
    },
    "pause": {
        "not_found": "unknown",
        "wrong_status": "ordered prelim final cancelled moved",
        "ClockPaused": "unread offered assigned reading",
    },
    "resume": {
        "not_found": "unknown",
        "wrong_status": "ordered unread offered assigned reading prelim final cancelled moved",
    },
    "the offer's timer": {
        "-": "unknown ordered unread assigned reading prelim final cancelled moved",
        "OfferExpired": "offered",
    },
    "an old offer's timer": {"-": "unknown ordered unread offered assigned reading prelim final cancelled moved"},
    "the warning's timer": {
        "-": "unknown ordered prelim final cancelled moved",
        "SlaWarned": "unread offered assigned reading",
    },
    "the breach's timer": {
        "-": "unknown ordered prelim final cancelled moved",
        "SlaBreached": "unread offered assigned reading",
    },
    "the ladder's timer": {"-": "unknown ordered unread offered assigned reading prelim final cancelled moved"},
    "the pause's timer": {"-": "unknown ordered unread offered assigned reading prelim final cancelled moved"},
}
CLOCK: dict[str, dict[str, str]] = {
    "pause": {
        "wrong_status, none": "none",
        "ClockPaused, paused": "running warned breached",
        "wrong_status, paused": "running-paused warned-paused breached-paused",
        "wrong_status, stopped": "stopped",
    },
    "resume": {
        "wrong_status, none": "none",
        "wrong_status, running": "running",
        "wrong_status, warned": "warned",
        "wrong_status, breached": "breached",
        "ClockResumed, running +60": "running-paused",
        "ClockResumed, warned +60": "warned-paused",
        "ClockResumed, breached": "breached-paused",
        "wrong_status, stopped": "stopped",
    },
    "the warning's timer": {
        "-, none": "none",
        "SlaWarned, warned": "running",
        "-, warned": "warned",
        "-, breached": "breached",
        "-, paused": "running-paused warned-paused breached-paused",
        "-, stopped": "stopped",
    },
    "the breach's timer": {
        "-, none": "none",
        "SlaBreached, breached": "running warned",
        "-, breached": "breached",
        "-, paused": "running-paused warned-paused breached-paused",
        "-, stopped": "stopped",
    },
    "the ladder's timer": {
        "-, none": "none",
        "-, running": "running",
        "-, warned": "warned",
        "-, breached": "breached",
        "-, paused": "running-paused warned-paused breached-paused",
        "-, stopped": "stopped",
    },
    "the pause's timer": {
        "-, none": "none",
        "-, running": "running",
        "-, warned": "warned",
        "-, breached": "breached",
        "-, paused": "running-paused warned-paused breached-paused",
        "-, stopped": "stopped",
    },
}
PRESENCE: dict[str, dict[str, str]] = {
    "says online": {
        "online+": "online+ busy+! busy+ away+! away+ off+! off+",
        "online": "online busy! busy away! away off! off",
    },
    "says reading": {
        "online+": "online+ busy+! busy+ away+! away+ off+! off+",
        "online": "online busy! busy away! away off! off",
    },
    "says busy": {
        "busy+!": "online+ busy+! busy+ away+! away+ off+! off+",
        "busy!": "online busy! busy away! away off! off",
    },
    "says away": {
        "away+!": "online+ busy+! busy+ away+! away+ off+! off+",
        "away!": "online busy! busy away! away off! off",
    },
    "says off": {
        "off+!": "online+ busy+! busy+ away+! away+ off+! off+",
        "off!": "online busy! busy away! away off! off",
    },
    "says nonsense": {
        "bad_payload": "online+ online busy+! busy+ busy! busy away+! away+ away! away off+! off+ off! off"
    },
    "connects": {
        "online+": "online+ online busy! busy away! away off! off",
        "busy+!": "busy+!",
        "busy+": "busy+",
        "away+!": "away+!",
        "away+": "away+",
        "off+!": "off+!",
        "off+": "off+",
    },
    "leaves": {
        "away": "online+ busy+! busy+ away+! away+ away",
        "online": "online",
        "busy!": "busy!",
        "busy": "busy",
        "away!": "away!",
        "off": "off+! off+ off",
        "off!": "off!",
    },
    "lets an offer expire": {
        "away+": "online+ away+",
        "away": "online away",
        "busy+!": "busy+!",
        "busy+": "busy+",
        "busy!": "busy!",
        "busy": "busy",
        "away+!": "away+!",
        "away!": "away!",
        "off+!": "off+!",
        "off+": "off+",
        "off!": "off!",
        "off": "off",
    },
}


def of(row: dict[str, str], state: str) -> str:
    """Return what a row says of a state; it says it once."""
    (found,) = [outcome for outcome, states in row.items() if state in states.split()]
    return found


@pytest.mark.parametrize("status", pairs.STUDIES)
@pytest.mark.parametrize("command", pairs.COMMANDS)
def test_a_study_takes_each_command_as_its_status_says(status: str, command: str) -> None:
    story = pairs.STUDIES[status]()
    make, by = pairs.COMMANDS[command]
    before = story.study
    said = pairs.outcome(story, make(before), by)
    assert said == of(STUDY[command], status)
    assert (story.study == before) == (not said[0].isupper())  # events change it, refusals never do


@pytest.mark.parametrize("state", pairs.CLOCKS)
@pytest.mark.parametrize("command", pairs.TO_CLOCKS)
def test_a_clock_takes_each_command_as_its_state_says(state: str, command: str) -> None:
    story = pairs.CLOCKS[state]()
    story.later(60)
    make, by = pairs.COMMANDS[command]
    said = pairs.outcome(story, make(story.study), by)
    assert f"{said}, {pairs.clock(story)}" == of(CLOCK[command], state)


@pytest.mark.parametrize("presence", pairs.PRESENCES)
@pytest.mark.parametrize("command", pairs.TO_READERS)
def test_a_presence_takes_each_command_as_its_state_says(presence: str, command: str) -> None:
    assert pairs.attended(pairs.PRESENCES[presence], pairs.TO_READERS[command]) == of(PRESENCE[command], presence)


def test_every_pair_has_its_row() -> None:
    told = {type(make(story().study)) for story in pairs.STUDIES.values() for make, _ in pairs.COMMANDS.values()}
    assert told == set(pairs.STUDY_COMMANDS)
    for table, commands, states in (
        (STUDY, pairs.COMMANDS, pairs.STUDIES),
        (CLOCK, pairs.TO_CLOCKS, pairs.CLOCKS),
        (PRESENCE, pairs.TO_READERS, pairs.PRESENCES),
    ):
        assert set(table) == set(commands)
        assert all(sorted(" ".join(row.values()).split()) == sorted(states) for row in table.values())
    assert {story().study.status for story in pairs.STUDIES.values()} == pairs.STATUSES
