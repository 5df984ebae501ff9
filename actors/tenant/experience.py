"""What the decider has learned of its readers: minutes a kind, what they read today, what they are owed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uuid_utils import uuid7

from actors.domain.assignment.balance import carried
from actors.domain.assignment.case import kind_of
from actors.domain.assignment.minutes import LEAST_MIN, MOST_MIN, Sum
from actors.domain.assignment.record import record
from storage import decisions, hydrate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from actors.domain.assignment.case import Reader, Waiting
    from actors.domain.assignment.record import Record
    from actors.domain.identity import Key
    from actors.domain.policy import Policy
    from actors.tenant.ledger import Ledger
    from actors.world import World

_AGAIN_S = 15.0


class Experience:
    """Reads what signatures left, each once; a new decider reads all of it."""

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world
        self._seq = -1
        self._read_at = 0.0

    def forget(self) -> None:
        """Read everything again: there is a new ledger."""
        self._seq, self._read_at = -1, 0.0

    async def refresh(self, ledger: Ledger) -> None:
        """Take what was signed since; a few times a minute at most."""
        tenant_id, now = self._key.tenant_id, self._world.now().timestamp()
        if now - self._read_at < _AGAIN_S:
            return
        self._read_at = now
        async with self._world.db.scope([tenant_id]) as conn:
            zone = await hydrate.time_zone(conn, tenant_id)
            news = await decisions.seen(conn, tenant_id, self._seq, LEAST_MIN, MOST_MIN)
            ledger.done, ledger.owed = carried(await decisions.days(conn, tenant_id, zone, MOST_MIN))
            today = await decisions.today(conn, tenant_id, zone)
        ledger.read = {}
        for read in today:
            what = kind_of(read.modality, read.body_part, read.procedure)
            ledger.count(read.radiologist_id, what, read.n, read.last_at)
        for seen in news:
            what = kind_of(seen.modality, seen.body_part, seen.procedure)
            ledger.minutes.add(seen.radiologist_id, what, Sum(seen.n, seen.log, seen.square))
            self._seq = max(self._seq, seen.seq)

    def note(  # noqa: PLR0913, PLR0917 - what a decision was made of
        self,
        ledger: Ledger,
        pool: Sequence[Waiting],
        readers: Sequence[Reader],
        policy: Policy,
        seed: int,
        now: datetime,
        *,
        asking: bool = False,
    ) -> dict[str, Any]:
        """Keep what a decision is made of, beside whatever goes on; return what its explanations say of it."""
        decision_id, at = str(uuid7()), now.timestamp()
        rules = ledger.rules if asking else policy.assignment
        made = record(pool, readers, rules, at, seed, ledger.minutes, version=policy.version, asking=asking)
        self._world.spawn(self._keep(decision_id, made))
        return {"decision_id": decision_id, "policy_version": policy.version}

    async def _keep(self, decision_id: str, record: Record) -> None:
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            await decisions.keep(conn, self._key.tenant_id, decision_id, record.pack())
