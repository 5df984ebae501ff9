"""Every status that a study can have, and every command that it can be told, for the table of what each makes of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from actors.domain import commands as c
from actors.domain import sla
from actors.domain.errors import ReadingRoomError
from actors.domain.events import OrderMoved
from actors.domain.evolve import evolve
from actors.domain.second import Outcome
from actors.domain.words import ClockState, DeclineReason, Flag, Priority, SignKind, Status
from actors.radiologist.actor import Attendance, attend
from actors.told import Missed
from tests.domain.story import ADA, BOB, MAX, ORDER, PATIENT, TESS, Story, assigned

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.domain.identity import Principal
    from actors.domain.study import Study

STATUSES = set(Status)
STUDY_COMMANDS: tuple[type[Any], ...] = c.StudyCommand.__args__  # type: ignore[attr-defined]
OTHER = replace(ORDER, priority=Priority.ROUTINE)


def _drafted(story: Story) -> Story:
    story.tell(c.SaveDraft(0, {"impression": "x"}), ADA)
    return story


def _reading() -> Story:
    story = assigned()
    story.tell(c.StartReading(), ADA)
    return _drafted(story)


def _signed(kind: SignKind) -> Story:
    story = _reading()
    story.tell(c.Sign(kind, 1), ADA)
    return story


def _cancelled() -> Story:
    story = Story().order()
    story.tell(c.CancelOrder("twice"), MAX)
    return story


def _moved() -> Story:
    story = Story().order()
    story.study = evolve(story.study, OrderMoved("9.9"), story.now)
    return story


STUDIES: dict[str, Callable[[], Story]] = {
    "unknown": Story,
    "ordered": lambda: Story().order(),
    "unread": lambda: Story().order().images(),
    "offered": lambda: Story().order().images().offer(),
    "assigned": lambda: _drafted(assigned()),
    "reading": _reading,
    "prelim": lambda: _signed(SignKind.PRELIM),
    "final": lambda: _signed(SignKind.FINAL),
    "cancelled": _cancelled,
    "moved": _moved,
}


def _held(study: Study) -> int:
    return study.report.version if study.report else 0


def _grant(study: Study) -> c.Grant:
    return c.Grant("bob", "fresh", study.step, 1)


def _timer(name: str, due: Callable[[Any], Any]) -> Callable[[Study], c.FireTimer]:
    return lambda s: c.FireTimer(name, s.step, due(s.sla) if s.sla else Story().now)


COMMANDS: dict[str, tuple[Callable[[Study], Any], Principal | None]] = {
    "the same order": (lambda _: c.ReceiveOrder(ORDER), None),
    "a changed order": (lambda _: c.ReceiveOrder(OTHER), None),
    "cancel": (lambda _: c.CancelOrder("twice"), MAX),
    "join": (lambda _: c.JoinOrder("A26-1"), MAX),
    "merge": (lambda _: c.MergePatient("p1", replace(PATIENT, patient_id="p2", mrn="2"), "A40"), TESS),
    "unmerge": (lambda _: c.UnmergePatient("p1", "wrong"), TESS),
    "move": (lambda s: c.MoveStudy(s.step, "A45", patient_id="p2"), TESS),
    "move what has changed": (lambda s: c.MoveStudy(s.step - 1, "A45", patient_id="p2"), TESS),
    "dismiss a flag": (lambda _: c.DismissFlag(Flag.NO_ORDER, "settled"), MAX),
    "images, two in all": (lambda _: c.ImagesArrived("harbor", PATIENT, 2, accession_number="A26-1"), None),
    "images, three in all": (lambda _: c.ImagesArrived("harbor", PATIENT, 3, accession_number="A26-1"), None),
    "triage": (lambda _: c.RecordTriage("m", "1", "ok", "h", "suspected_critical"), None),
    "the granted offer again": (lambda _: c.Offer(c.Grant("ada", "o1", 1, 1), "why", 120), None),
    "offer": (lambda s: c.Offer(_grant(s), "why", 120), None),
    "claim": (lambda s: c.Claim(_grant(s)), BOB),
    "assign": (lambda s: c.Assign(_grant(s), "because"), MAX),
    "assign without a reason": (lambda s: c.Assign(_grant(s)), MAX),
    "assign what has changed": (lambda s: c.Assign(c.Grant("bob", "fresh", s.step - 1, 1), "because"), MAX),
    "accept": (lambda _: c.Accept("o1"), ADA),
    "accept another's": (lambda _: c.Accept("o1"), BOB),
    "decline": (lambda _: c.Decline("o1", DeclineReason.OTHER), ADA),
    "decline another's": (lambda _: c.Decline("o1", DeclineReason.OTHER), BOB),
    "start reading": (lambda _: c.StartReading(), ADA),
    "start reading another's": (lambda _: c.StartReading(), BOB),
    "release": (lambda _: c.Release("tired"), ADA),
    "release by a manager": (lambda _: c.Release("called away"), MAX),
    "recall": (lambda s: c.Recall(s.step, "her shift is over"), None),
    "recall what has changed": (lambda s: c.Recall(s.step - 1, "her shift is over"), None),
    "save a draft": (lambda s: c.SaveDraft(_held(s), {"findings": "y"}), ADA),
    "save an old draft": (lambda s: c.SaveDraft(_held(s) + 7, {"findings": "y"}), ADA),
    "sign prelim": (lambda s: c.Sign(SignKind.PRELIM, _held(s)), ADA),
    "sign final": (lambda s: c.Sign(SignKind.FINAL, _held(s)), ADA),
    "sign another's": (lambda s: c.Sign(SignKind.FINAL, _held(s)), BOB),
    "add": (lambda s: c.Sign(SignKind.ADDENDUM, _held(s), text="more"), ADA),
    "settle: they agree": (lambda s: c.Settle(s.step, Outcome.AGREE), ADA),
    "settle: they differ": (lambda s: c.Settle(s.step, Outcome.DISCORDANT), ADA),
    "settle by a manager": (lambda s: c.Settle(s.step, Outcome.SECOND), MAX),
    "settle what has changed": (lambda s: c.Settle(s.step - 1, Outcome.AGREE), ADA),
    "pause": (lambda s: c.PauseClock(s.step, "contrast"), MAX),
    "resume": (lambda s: c.ResumeClock(s.step, "went on"), MAX),
    "the offer's timer": (lambda s: c.FireTimer("offer", s.step, Story().now), None),
    "an old offer's timer": (lambda s: c.FireTimer("offer", s.step - 1, Story().now), None),
    "the warning's timer": (_timer(sla.WARN, lambda clock: clock.warn_at), None),
    "the breach's timer": (_timer(sla.BREACH, lambda clock: clock.due_at), None),
    "the ladder's timer": (_timer(sla.ESCALATE, lambda clock: clock.due_at), None),
    "the pause's timer": (_timer(sla.RESUME, lambda clock: clock.due_at), None),
}


def outcome(story: Story, command: Any, by: Principal | None) -> str:
    """Return what a command makes of a study: its events, ``-`` for none, or the code of the refusal."""
    try:
        unit = story.tell(command, by, order=ORDER if isinstance(command, c.JoinOrder) else None)
    except ReadingRoomError as refusal:
        return refusal.code
    return " ".join(event.type for event in unit.events) or "-"


def _clock(*told: Any) -> Callable[[], Story]:
    def make() -> Story:
        story = Story().order().images().offer()
        for one in told:
            story.later(1)
            command, by = COMMANDS[one]
            story.tell(command(story.study), by)
        return story

    return make


CLOCKS: dict[str, Callable[[], Story]] = {
    "none": lambda: Story().order(),
    ClockState.RUNNING.value: _clock(),
    ClockState.WARNED.value: _clock("the warning's timer"),
    ClockState.BREACHED.value: _clock("the breach's timer"),
    "running-paused": _clock("pause"),
    "warned-paused": _clock("the warning's timer", "pause"),
    "breached-paused": _clock("the breach's timer", "pause"),
    ClockState.STOPPED.value: lambda: _signed(SignKind.FINAL),
}
TO_CLOCKS = ("pause", "resume", "the warning's timer", "the breach's timer", "the ladder's timer", "the pause's timer")


def clock(story: Story) -> str:
    """Return the state of the clock, and by how many seconds it was put off."""
    known = story.study.sla
    if known is None:
        return "none"
    began = known.started_at + timedelta(seconds=1800)
    moved = (known.due_at - began).total_seconds()
    return known.state.value + (f" +{moved:.0f}" if moved else "")


PRESENCES = {  # + connected, ! chosen by her
    f"{state}{'+' if connected else ''}{'!' if chosen else ''}": Attendance(state, connected, chosen)
    for state in ("online", "busy", "away", "off")
    for connected in (True, False)
    for chosen in ((True, False) if state != "online" else (False,))
}
TO_READERS: dict[str, Any] = {
    **{f"says {state}": c.SetPresence(state) for state in ("online", "reading", "busy", "away", "off", "nonsense")},
    "connects": c.ObservePresence(connected=True),
    "leaves": c.ObservePresence(connected=False),
    "lets an offer expire": Missed("1.2.3"),
}


def attended(now: Attendance, command: Any) -> str:
    """Return what a command makes of a presence."""
    try:
        after = attend(now, command)
    except ReadingRoomError as refusal:
        return refusal.code
    return next((name for name, one in PRESENCES.items() if one == after), repr(after))
