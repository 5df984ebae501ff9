"""Clocks and what is derived: breaches once and in time, read rows, loads, counters and timers as the journal says."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from actors.domain import sla
from actors.domain.decide import OFFER
from actors.domain.identity import study_key
from actors.domain.instant import instant
from actors.domain.project import timers
from actors.domain.tally import COUNTERS, tally
from actors.domain.words import ClockState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.chaos.checker.history import After, History

_COUNTS = (ClockState.RUNNING, ClockState.WARNED)


def breaches_are_told_once_and_in_time(history: History) -> Iterator[str]:
    """A clock that runs out is told at its due time, once; an alert from memory names the same breach."""
    dues: dict[tuple[str, str], set[str]] = {}
    told = Counter((f.tenant_id, f.stream, f.data.get("alert_id")) for f in history.feed if f.type == "sla_breached")
    yield from (f"{key[1]} has alert {key[2]} {n} times" for key, n in told.items() if n > 1)
    for (tenant_id, uid), past in history.owners():
        breached: Counter[str] = Counter()
        for number, after in enumerate(past):
            clock = after.study.sla
            if clock is None:
                continue
            known = sla.alert_id(tenant_id, uid, clock.due_at)
            dues.setdefault((tenant_id, uid), set()).add(known)
            if after.entry.type == "SlaBreached":
                breached[instant(clock.due_at)] += 1
                if after.entry.body["alert_id"] != known:
                    yield f"{uid} breached as alert {after.entry.body['alert_id']}, not {known}"
            if clock.state in _COUNTS and after.study.open:
                yield from _missed(history, uid, clock.due_at, past[number + 1] if number + 1 < len(past) else None)
        yield from (f"{uid} breached {due} {n} times" for due, n in breached.items() if n > 1)
    for alert in history.alerts:
        if alert.id not in dues.get((alert.tenant_id, alert.study_uid), set()):
            yield f"alert {alert.id} of {alert.study_uid} is of no clock it ever had"


def _missed(history: History, uid: str, due_at: datetime, following: After | None) -> Iterator[str]:
    end = following.entry.at if following else history.ended_at
    late_s = (end - _there(history, due_at)).total_seconds()
    if following and following.entry.type == "SlaBreached" and following.entry.at < due_at:
        yield f"{uid} was due at {due_at} and breached before, at {following.entry.at}"
    if late_s > history.late_s:
        yield f"{uid} was due at {due_at} and told {late_s:.1f} s late, if at all ({end})"


def _there(history: History, at: datetime) -> datetime:
    """Return when whoever has to tell it was there: then, or when the faults around it were over."""
    for fault in sorted(history.faults, key=lambda f: f.at):
        if fault.at <= at + timedelta(seconds=history.late_s) and fault.healed_at > at:
            at = fault.healed_at
    return at


def rows_are_what_the_journal_says(history: History) -> Iterator[str]:
    """Read rows, loads and counters equal the replayed journal."""
    loads: Counter[tuple[str, str]] = Counter()
    totals: dict[str, Counter[str]] = {}
    for (tenant_id, uid), past in history.owners():
        study, row = past[-1].study, history.rows.get((tenant_id, uid))
        if row is None or row.study != study:
            yield f"the row of {uid} is not its journal"
        elif (row.rev, row.step, row.status, row.open, row.reader) != (
            study.rev, study.step, study.shown, study.open, study.reader,
        ):  # fmt: skip
            yield f"the columns of {uid} are not its row"
        if study.load_of:
            loads[tenant_id, study.load_of] += 1
        totals.setdefault(tenant_id, Counter()).update(tally(study))
    for place, load in history.loads.items():
        if load != loads[place]:
            yield f"{place[1]} shows a load of {load}, and has {loads[place]}"
    for tenant_id, total in totals.items():
        shown = history.counters.get((tenant_id, f"tenant:{tenant_id}"), {})
        wrong = [name for name in COUNTERS if name != "final_today" and shown.get(name, 0) != total[name]]
        yield from (f"{name} shows {shown.get(name)}, and is {total[name]}" for name in wrong)


def timers_are_what_studies_need(history: History) -> Iterator[str]:
    """Every study has the timers that its state needs, and no other."""
    armed = {(t.tenant_id, t.entity, t.name): t for t in history.timers if t.entity.startswith("study/")}
    for (tenant_id, uid), past in history.owners():
        entity = study_key(tenant_id, uid).entity
        for name, needed in timers(past[-1].study).items():
            timer = armed.pop((tenant_id, entity, name), None)
            if timer is None:
                yield f"{uid} has no timer {name}"
            elif timer.due_at != needed.due_at or (name == OFFER and timer.version != needed.version):
                yield f"{uid} has the timer {name} of another moment"
    yield from (f"{entity} has a timer {name} that it does not need" for _, entity, name in armed)
