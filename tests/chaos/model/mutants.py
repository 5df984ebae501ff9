"""The protocol with one rule taken away: each has to be noticed, or the model holds nothing."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import actors.mailbox
import actors.tenant.actor
from actors.domain import clocked, decide, events, project, reading, sla
from actors.domain.facts import Decision
from actors.study.actor import StudyActor
from actors.tenant.actor import TenantActor
from actors.tenant.ledger import Ledger
from storage import hydrate
from storage.commit import Away, Deposed, Late
from tests.chaos.model.host import Host, Pause
from tests.chaos.model.store import TENANT, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_learn, _holders, _waiting = Ledger.learn, Ledger.holders, Ledger.waiting
_catch_up, _active = TenantActor._catch_up, TenantActor._active
_complete, _timer, _commit = StudyActor._complete, decide._timer, Host.commit


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule that is missing: ``change`` takes it out of the code, ``rules`` out of the database."""

    name: str
    change: tuple[tuple[Any, str, Any], ...] = ()
    rules: Callable[[], Rules] = field(default=Rules)

    @contextmanager
    def alive(self) -> Iterator[Rules]:
        """Take the rule away for a while."""
        with ExitStack() as stack:
            for owner, name, value in self.change:
                stack.enter_context(patch.object(owner, name, value))
            yield self.rules()


def _do_nothing(*_: Any) -> None:
    return None


async def _yes(*_: Any) -> bool:
    return True


async def _before_it_is_durable(self: Host, unit: Any) -> None:
    try:
        await _commit(self, unit)
    except (Away, Deposed, Late):
        return


def _without(name: str) -> Callable[..., None]:
    def complete(self: StudyActor, unit: Any, envelope: Any, answer: Any) -> None:
        _complete(self, unit, envelope, answer)
        setattr(unit, name, None)

    return complete


def _old_news(self: Ledger, study: Any) -> bool:
    known = self.studies.get(study.study_uid)
    return _learn(self, study if known is None or known.rev <= study.rev else study.but(rev=known.rev))


async def _give_up(self: TenantActor, ledger: Ledger) -> None:
    for uid in list(ledger.reserved):
        before = ledger.holders(uid)
        del ledger.reserved[uid]
        ledger._moved(uid, before)
    await _catch_up(self, ledger)


async def _tell_once(self: TenantActor, ledger: Ledger) -> None:
    with patch.object(self._world, "tell", _do_nothing):
        await _catch_up(self, ledger)


async def _learn_nothing(self: TenantActor, ledger: Ledger) -> None:
    with patch.object(ledger, "learn", _do_nothing):
        await _catch_up(self, ledger)


async def _rows_first(self: TenantActor) -> Ledger:
    if self._ledger is not None:
        return self._ledger
    async with self._world.db.scope([TENANT]) as conn:
        studies = [study async for study in hydrate.open_studies(conn, TENANT)]
    await Pause()
    ledger = await _active(self)
    ledger.studies.clear()
    ledger._hands.clear()
    for study in studies:
        ledger.learn(study)
    return ledger


def _at_any_step(study: Any, grant: Any) -> None:
    if study.status is not reading.Status.UNREAD or grant.radiologist_id in study.excluded:
        raise reading.WrongStatus


def _to_anybody(study: Any, grant: Any) -> None:
    if study.status is not reading.Status.UNREAD or study.step != grant.step:
        raise reading.WrongStatus


def _nobody_excluded(self: Ledger, study: Any) -> Any:
    return replace(_waiting(self, study), excluded=frozenset())


def _barred_for_nobody(self: Ledger, study: Any) -> Any:
    return replace(_waiting(self, study), barred=frozenset())


def _rows_only(self: Ledger, study_uid: str) -> frozenset[str]:
    with patch.object(self, "reserved", {}):
        return _holders(self, study_uid)


def _of_any_step(study: Any, command: Any, now: Any, facts: Any) -> Any:
    return _timer(study, replace(command, version=study.step), now, facts)


def _again(study: Any, command: Any, now: Any, facts: Any) -> Any:
    if command.name == sla.BREACH and study.sla is not None and study.sla.due_at == command.due_at:
        return Decision([clocked.SlaBreached(command.due_at, "again")])
    return _timer(study, command, now, facts)


def _at_another_time(was: Any, arm: Any) -> bool:
    return bool(was.due_at != arm.due_at)


_IMAGES_STEP = ((events.ImagesReceived, "STEP", True), (events.ReadinessChanged, "STEP", True))
MUTANTS = (
    Mutant("two owners write one version", rules=lambda: Rules(versions=False)),
    Mutant("a deposed decider grants", rules=lambda: Rules(epochs=False)),
    Mutant("a grant carries no epoch", ((StudyActor, "_complete", _without("epoch")),)),
    Mutant("a key is answered twice", rules=lambda: Rules(answers=False)),
    Mutant("an answer is not kept with its effect", ((StudyActor, "_complete", _without("answer")),)),
    Mutant("what is too late is done", ((actors.mailbox, "time", lambda: 0.0),), lambda: Rules(deadlines=False)),
    Mutant("a grant outlives the command", ((StudyActor, "_complete", _without("deadline")),)),
    Mutant("a stale copy says no", ((StudyActor, "current", _yes),)),
    Mutant("a stale study is not read again", ((StudyActor, "forget", _do_nothing),)),
    Mutant("a deposed decider does not read again", ((TenantActor, "forget", _do_nothing),)),
    Mutant("an answer comes before it is durable", ((Host, "commit", _before_it_is_durable),)),
    Mutant("a timer stays at its step", ((project, "_rearmed", _at_another_time), *_IMAGES_STEP)),
    Mutant("a reservation ends by time-out", ((TenantActor, "_catch_up", _give_up),)),
    Mutant("a reservation is not counted", ((Ledger, "holders", _rows_only),)),
    Mutant("a lost grant is not told again", ((TenantActor, "_catch_up", _tell_once),)),
    Mutant("a lost change is never found", ((TenantActor, "_catch_up", _learn_nothing),)),
    Mutant("the rows are read before the epoch is taken", ((TenantActor, "_active", _rows_first),)),
    Mutant("old news replaces newer", ((Ledger, "learn", _old_news),)),
    Mutant("a grant lands at any step", ((reading, "_free", _at_any_step),)),
    Mutant("who excluded herself is asked", ((reading, "_free", _to_anybody), (Ledger, "waiting", _nobody_excluded))),
    Mutant("who has read it is asked", ((reading, "_another", _do_nothing), (Ledger, "waiting", _barred_for_nobody))),
    Mutant("a timer of an older step ends an offer", ((decide, "_timer", _of_any_step),)),
    Mutant("a breach is told again", ((decide, "_timer", _again),)),
)
