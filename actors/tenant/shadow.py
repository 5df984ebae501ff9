"""Tries another policy on what the decider has before it: its decisions are logged beside the live ones and act on nothing."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from actors.domain.assignment.engine import decide
from actors.domain.assignment.minutes import Minutes
from actors.domain.escalation import due_under
from storage import shadow
from storage.shadow import Pair

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from actors.domain.assignment.case import Choice, Reader, Waiting
    from actors.domain.identity import Key
    from actors.domain.policy import Policy
    from actors.tenant.ledger import Ledger
    from actors.world import World

_REMEMBERED = 10_000
_LEARN_S = 60.0


def _said(choice: Choice | None) -> dict[str, str] | None:
    return None if choice is None else {"radiologist_id": choice.radiologist_id, "why": choice.why}


def pairs(live: Sequence[Choice], tried: Sequence[Choice]) -> list[Pair]:
    """Return both sides of every study that one of them gave to somebody, by study."""
    ours, theirs = {c.study_uid: c for c in live}, {c.study_uid: c for c in tried}
    return [
        Pair(uid, either.step, _said(ours.get(uid)), _said(theirs.get(uid)))
        for uid, either in sorted((theirs | ours).items())
    ]


def _due(waiting: Waiting, ledger: Ledger, tried: Policy) -> Waiting:
    """Return a study as it would be due had its clock begun under the tried policy."""
    study = ledger.studies.get(waiting.study_uid)
    if study is None or study.sort is None:
        return waiting
    return replace(waiting, due_at=due_under(tried, study.sort, study.since + study.paused_s))


class Shadow:
    """The shadow of one decider."""

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world
        self._logged: dict[tuple[int, str, int, bool, bool], None] = {}
        self._minutes, self._learned_at = Minutes(), 0.0

    def _learned(self, known: Minutes, tried: Policy) -> Minutes:
        """Return what was learned of reading times, upon the minutes that the tried policy begins with."""
        if self._minutes.rules is not tried.assignment or monotonic() - self._learned_at > _LEARN_S:
            self._minutes, self._learned_at = Minutes(tried.assignment), monotonic()
            for (who, kind), seen in known.sums.items():
                self._minutes.put(who, kind, seen)
        return self._minutes

    def follow(  # noqa: PLR0913, PLR0917 - what the live decision was made of
        self,
        ledger: Ledger,
        pool: Sequence[Waiting],
        readers: Sequence[Reader],
        live: tuple[Policy, Sequence[Choice]],
        tried: Policy,
        now: datetime,
    ) -> None:
        """Decide once more under the policy that is tried, after the live offers are on their way, and log both."""
        self._world.spawn(self._follow(ledger, pool, readers, live, tried, now))

    async def _follow(  # noqa: PLR0913, PLR0917 - as above
        self,
        ledger: Ledger,
        pool: Sequence[Waiting],
        readers: Sequence[Reader],
        live: tuple[Policy, Sequence[Choice]],
        tried: Policy,
        now: datetime,
    ) -> None:
        policy, choices = live
        minutes = self._learned(ledger.minutes, tried)
        theirs = [r if r.radiologist_id in ledger.own else replace(r, capacity=tried.capacity) for r in readers]
        if (policy.sla, policy.sla_rules, policy.clock) != (tried.sla, tried.sla_rules, tried.clock):
            pool = [_due(w, ledger, tried) for w in pool]
        other = decide(pool, theirs, tried.assignment, now.timestamp(), ledger.epoch, minutes)
        news = []
        for pair in pairs(choices, other):
            mark = (tried.version, pair.study_uid, pair.step, pair.live is not None, pair.shadow is not None)
            if mark not in self._logged:
                self._logged[mark] = None
                news.append(pair)
        while len(self._logged) > _REMEMBERED:
            del self._logged[next(iter(self._logged))]
        if news:
            async with self._world.db.scope([self._key.tenant_id]) as conn:
                await shadow.log(conn, self._key.tenant_id, tried.version, policy.version, news, now)
