"""The database in memory: the same fences as ``rr.commit_batch``, the same queries by their own constants, no SQL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from actors.domain.policy import Policy
from actors.domain.study import Study, load
from actors.domain.tally import COUNTERS
from storage import answers, decisions, heads, hydrate, journal, merged, staff, timers
from storage.commit import Deposed, Fenced, Late
from tests.chaos.checker.history import Armed, Cap, Entry, Fed, History, Seen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from actors.domain.commands import Patient
    from actors.domain.unit import Recorded, Unit

TENANT = "t"
_DEMOGRAPHICS = ("patient_id", "name", "mrn", "issuer", "birth_date", "sex")
BEGIN = datetime(2026, 3, 1, 3, 14, tzinfo=UTC)


@dataclass(slots=True)
class Rules:
    """The fences of the database; a mutant takes one away."""

    versions: bool = True
    epochs: bool = True
    answers: bool = True
    deadlines: bool = True


@dataclass(slots=True)
class Person:
    """A reader: what she may hold, and what her row says."""

    cap: int
    state: str = "off"
    role: str = "radiologist"
    study_uid: str | None = None
    load: int = 0
    shown: str = ""  # what the feed last told of her
    shift_ends: datetime | None = None  # None: she works by no roster


class Store:
    """One tenant in memory."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.now = BEGIN
        self.people: dict[str, Person] = {}
        self.caps: list[Cap] = []
        self.journal: list[Entry] = []
        self.last: dict[str, tuple[int, str]] = {}  # entity → version and body of its newest event
        self.rows: dict[str, tuple[Any, str]] = {}  # study → row and doc
        self.patients: dict[str, Patient] = {}
        self.policy = Policy()
        self.reports: dict[str, tuple[dict[str, str], str | None]] = {}  # report → its newest text, and by whom
        self.answers: dict[tuple[str, str], tuple[bytes, dict[str, Any]]] = {}
        self.timers: dict[tuple[str, str], timers.Timer] = {}
        self.feed: list[Fed] = []
        self.heads: dict[str, int] = {}
        self.counters: dict[str, dict[str, int]] = {}
        self.epoch = self.commits = self.roster = 0

    def set_cap(self, who: str, cap: int) -> None:
        """Change how much somebody may hold."""
        self.people.setdefault(who, Person(cap)).cap = cap
        self.roster += 1
        self.caps.append(Cap(TENANT, who, self.now, cap))

    def set_shift(self, who: str, ends_at: datetime) -> None:
        """Change when somebody's shift ends."""
        self.people[who].shift_ends = ends_at
        self.roster += 1

    def study(self, uid: str) -> Study:
        """Return a study as its row says; an empty one when nobody knows it."""
        row = self.rows.get(uid)
        return load(row[0].doc) if row else Study(uid)

    # -- writing ------------------------------------------------------------------------------
    def commit(self, unit: Unit) -> None:
        """Make a unit durable, whole or not at all.

        Raises:
            Fenced, Deposed, Late: nothing of it happened.
        """
        if self.rules.deadlines and unit.deadline is not None and self.now.timestamp() > unit.deadline:
            raise Late
        if self.rules.versions and any(e.version != self.last.get(e.entity, (0, ""))[0] + 1 for e in unit.events[:1]):
            raise Fenced("journal_pkey")
        key = unit.answer[:2] if unit.answer else None
        if key and key in self.answers and self.rules.answers:
            raise Fenced("answer_pkey")
        if unit.epoch is not None and unit.epoch != self.epoch and self.rules.epochs:
            raise Deposed
        self.commits += 1
        for event in unit.events:
            self._record(event)
        for row in unit.studies:
            self.rows[row.study_uid] = (row, msgspec.json.encode(row.doc).decode())
        self._written(unit)
        self.patients |= {p.patient_id: p for p in unit.patients}
        for name in unit.disarm:
            self.timers.pop((unit.key.entity, name), None)
        for arm in unit.arm:
            timer = timers.Timer(TENANT, unit.key.entity, arm.name, arm.version, arm.due_at)
            self.timers[unit.key.entity, arm.name] = timer
        if key and unit.answer:
            self.answers[key] = unit.answer[2:]
        self._readers(unit)
        self._feed(unit)

    def _record(self, event: Recorded) -> None:
        self.last[event.entity] = (event.version, msgspec.json.encode(event.body).decode())
        self.journal.append(
            Entry(
                TENANT, event.entity, event.version, event.type, event.body, event.at, event.by, event.idem,
                self.commits, self.now,
            )
        )  # fmt: skip

    def _written(self, unit: Unit) -> None:
        for report in unit.reports:
            text = self.reports.get(report.report_id, ({}, None))[0]
            self.reports[report.report_id] = (text if report.sections is None else report.sections, report.by)

    def _readers(self, unit: Unit) -> None:
        for delta in unit.readers:
            person = self.people.setdefault(delta.user_id, Person(5))
            person.load += delta.load
            person.state = delta.state or person.state
            if delta.reading is not None:
                person.study_uid = delta.reading
            elif person.study_uid == delta.stopped:
                person.study_uid = None

    def _feed(self, unit: Unit) -> None:
        for item in unit.feed:
            seq = self.heads[item.stream] = self.heads.get(item.stream, 0) + 1
            pos = len(self.feed) + 1
            self.feed.append(Fed(TENANT, pos, item.stream, seq, item.id, item.type, item.data, self.now))
        for stream, delta in unit.counters.items():
            known = self.counters.setdefault(stream, dict.fromkeys(COUNTERS, 0))
            for name, by in delta.items():
                known[name] += by

    # -- reading ------------------------------------------------------------------------------
    def history(self) -> History:
        """Return what is known of the run so far."""
        return History(
            ended_at=self.now,
            entries=list(self.journal),
            feed=list(self.feed),
            positions={TENANT: len(self.feed)},
            heads={(TENANT, stream): seq for stream, seq in self.heads.items()},
            counters={(TENANT, stream): counted for stream, counted in self.counters.items()},
            loads={(TENANT, who): person.load for who, person in self.people.items()},
            rows={
                (TENANT, uid): Seen(load(row.doc), row.rev, row.step, row.status, row.open, row.reader)
                for uid, (row, _) in self.rows.items()
            },
            timers=[Armed(*structs.astuple(timer)) for timer in self.timers.values()],
            answers={(TENANT, *key): answer for key, (_, answer) in self.answers.items()},
            caps=list(self.caps),
        )

    @asynccontextmanager
    async def scope(self, _tenants: Sequence[str]) -> AsyncIterator[Store]:
        """What stands for a connection."""
        yield self

    async def fetchrow(self, query: str, *args: Any) -> Any:
        """Return the first row of one of the queries that the actors know."""
        return next(iter(await self.fetch(query, *args)), None)

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Return the first value of the first row."""
        row = await self.fetchrow(query, *args)
        return None if row is None else next(iter(row.values()))

    async def fetch(self, query: str, *args: Any) -> list[dict[str, Any]]:
        """Return the rows of one of the queries that the actors know, found by its constant."""
        if query not in _QUERIES:
            raise NotImplementedError(f"the store of the model does not know this query yet: {query}")
        return _QUERIES[query](self, *args)

    async def cursor(self, query: str, *args: Any, prefetch: int) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows one after the other."""
        for row in await self.fetch(query, *args):
            yield row

    async def execute(self, query: str, *args: Any) -> None:
        """Do what a statement does."""
        await self.fetch(query, *args)

    def _studies(self, _tenants: list[str], uids: list[str]) -> list[dict[str, Any]]:
        return [self._study(uid) for uid in uids]

    def _study(self, uid: str) -> dict[str, Any]:
        row, doc = self.rows.get(uid, (None, None))
        rev = row.rev if row else 0
        patient = self._patient(TENANT, row.patient_id if row else "")
        plain = patient[0] if patient else dict.fromkeys(_DEMOGRAPHICS)
        more = self.last.get(f"study/{uid}", (0, ""))[0] > rev
        return {"tenant_id": TENANT, "study_uid": uid, "doc": doc, "rev": rev, "more": more} | plain

    def _revs(self, _tenants: list[str], uids: list[str]) -> list[dict[str, Any]]:
        return [{"rev": self.rows[uid][0].rev if uid in self.rows else 0} for uid in uids]

    def _patient(self, _tenant: str, patient_id: str) -> list[dict[str, Any]]:
        known = self.patients.get(patient_id)
        return [{name: getattr(known, name) for name in _DEMOGRAPHICS}] if known else []

    def _members(self, _tenant: str, only: str | None) -> list[dict[str, Any]]:
        return [
            {"user_id": who, "name": who, "role": p.role, "profile": "{}", "capacity": p.cap, "state": p.state,
             "shown": p.shown}
            for who, p in self.people.items()
            if only in {None, who}
        ]  # fmt: skip

    def _shifts(self, _tenant: str, only: str | None) -> list[dict[str, Any]]:
        return [
            {
                "user_id": who,
                "starts_at": BEGIN - timedelta(days=1),
                "ends_at": p.shift_ends,
                "kind": "duty",
                "breaks": "[]",
            }
            for who, p in self.people.items()
            if p.shift_ends and only in {None, who}
        ]

    def _shown(self, _tenant: str, who: list[str], shown: list[str]) -> list[dict[str, Any]]:
        for user_id, text in zip(who, shown, strict=True):
            self.people[user_id].shown = text
        return []

    def _read(self, _tenant: str, entity: str, after: int) -> list[dict[str, Any]]:
        return [
            {"entity": e.entity, "version": e.version, "type": e.type, "body": msgspec.json.encode(e.body), "at": e.at,
             "by": e.by, "idem": e.idem}
            for e in self.journal
            if e.entity == entity and e.version > after
        ]  # fmt: skip

    def _bump(self, _tenant: str) -> list[dict[str, Any]]:
        self.epoch += 1
        return [{"decider": self.epoch}]

    def _last(self, _tenant: str, entity: str) -> list[dict[str, Any]]:
        version, body = self.last.get(entity, (0, "{}"))
        return [{"version": version, "body": body}] if version else []

    def _drop(self, _tenant: str, entity: str, name: str, version: int, due_at: datetime) -> list[dict[str, Any]]:
        timer = self.timers.get((entity, name))
        if timer is not None and (timer.version, timer.due_at) == (version, due_at):
            del self.timers[entity, name]
        return []

    def _find(self, _tenant: str, user_id: str, idem: str) -> list[dict[str, Any]]:
        found = self.answers.get((user_id, idem))
        return [{"digest": found[0], "answer": msgspec.json.encode(found[1])}] if found else []

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


def _none(*_: Any) -> list[dict[str, Any]]:
    return []


_QUERIES: dict[str, Callable[..., list[dict[str, Any]]]] = {
    hydrate.STUDIES: Store._studies,
    hydrate.REVS: Store._revs,
    hydrate.OF_PATIENT: _none,
    hydrate.PRESENCE: lambda s, _t, who: [{"state": s.people[who].state}] if who in s.people else [],
    hydrate.OPEN: lambda s, _t: [{"study_uid": u, "doc": doc} for u, (row, doc) in s.rows.items() if row.open],
    hydrate.STEPS: lambda s, _t, known: [
        {"study_uid": u, "rev": row.rev, "open": row.open} for u, (row, _) in s.rows.items() if row.open or u in known
    ],
    hydrate.SOME: lambda s, _t, uids: [{"study_uid": u, "doc": s.rows[u][1]} for u in uids if u in s.rows],
    hydrate.PATIENT: Store._patient,
    merged.SURVIVING: Store._patient,
    hydrate.NAME: lambda _s, who: [{"name": who}],
    hydrate.ON_CALL: _none,
    staff.ROSTER_REV: lambda s, _t: [{"rev": s.roster}],
    staff.MEMBERS: Store._members,
    staff.SHIFTS: Store._shifts,
    decisions.SEEN: _none,
    decisions.DAYS: _none,
    decisions.TODAY: _none,
    decisions.KEEP: _none,
    staff.ABSENCES: _none,
    staff.SHOWN: Store._shown,
    answers.KNOWN: lambda s, _t, user, idems: [{"idem": i} for i in idems if (user, i) in s.answers],
    journal.READ: Store._read,
    hydrate.ARMED: lambda s, _t, entity, name: [{"armed": True}] if (entity, name) in s.timers else [],
    hydrate.DECIDER: lambda s, _t: [{"decider": s.epoch}],
    hydrate.ZONE: lambda _s, _t: [{"time_zone": "UTC"}],
    hydrate.MANAGERS: lambda _s, _t: [{"user_id": "max"}],
    hydrate.ORDER: _none,
    hydrate.ALONE: _none,
    hydrate.UNJOINED: _none,
    hydrate.VIEWERS: _none,
    hydrate.DRAFT: lambda s, _t, report_id: [
        {"sections": msgspec.json.encode(text), "by": by} for text, by in [s.reports.get(report_id, ({}, None))]
    ],
    hydrate.CONFLICT: _none,
    hydrate.PRIORS: lambda _s, *_: [{"priors": 0, "readers": []}],
    journal.LAST: Store._last,
    heads.BUMP: Store._bump,
    heads.POSITION: lambda s, _t: [{"pos": len(s.feed)}],
    heads.COUNTERS: lambda s, _t: [
        {"stream": stream, "counters": msgspec.json.encode(counted)} for stream, counted in s.counters.items()
    ],
    timers.DROP: Store._drop,
    answers.FIND: Store._find,
}
