"""What the decider has learned of its readers: minutes a kind, what they read today, what they are owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.assignment.balance import carried
from actors.domain.assignment.case import kind_of
from actors.domain.assignment.minutes import LEAST_MIN, MOST_MIN, Sum
from storage import decisions, hydrate

if TYPE_CHECKING:
    from actors.domain.assignment.record import Record
    from actors.domain.identity import Key
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

    async def keep(self, decision_id: str, record: Record) -> None:
        """Keep what a decision was made of."""
        async with self._world.db.scope([self._key.tenant_id]) as conn:
            await decisions.keep(conn, self._key.tenant_id, decision_id, record.pack())
