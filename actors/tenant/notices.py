"""Tells managers and who is on call that nobody can take a study: once a study, step and reason, whoever decides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from actors.domain.assignment.table import PRESENT
from actors.domain.instant import instant
from actors.domain.unit import FeedItem, Unit
from storage import answers, hydrate
from storage.commit import Fenced

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from actors.domain.assignment.case import Reader, Waiting
    from actors.domain.identity import Key
    from actors.tenant.ledger import Ledger
    from actors.world import World

_NOTICES = UUID("5f1a2c0e-7a54-5a0c-9a53-0d7c6f3a1b77")
_SAID = b"said"
_REMEMBERED = 10_000


class Notices:
    """Tells them. What was said is kept like the answer of a command, so that a new decider does not repeat it."""

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world
        self._said: dict[str, None] = {}

    async def nobody(
        self,
        ledger: Ledger,
        left: Sequence[Waiting],
        readers: Sequence[Reader],
        on_call: Sequence[str],
        now: datetime,
    ) -> None:
        """Say of each of these studies that nobody can take it now, and why if one reason is the whole of it."""
        present = [r for r in readers if r.presence in PRESENT]
        kind = "barred" if present else "absent"
        text = "Nobody present may take this study now." if present else "Nobody is present to read this study."

        def said(waiting: Waiting) -> str:
            why = ledger.why_not(waiting, present[0], now) if len(present) == 1 else None
            return f"{text[:-1]}: {present[0].name} {why}." if why else text

        news = {f"nobody/{w.study_uid}/{w.step}/{kind}": w for w in left}
        await self._say({i: (w.study_uid, said(w)) for i, w in news.items() if i not in self._said}, on_call, now)

    async def refused(self, ledger: Ledger, left: Sequence[Waiting], on_call: Sequence[str], now: datetime) -> None:
        """Say of a study that waits that it was declined, or left unanswered, as often as the policy bears."""
        often = {}
        for uid in (w.study_uid for w in left if w.asked):
            times = sum(a.times for a in ledger.studies[uid].asked)
            idem = f"refused/{uid}/{times}"
            if times >= ledger.rules.declines_told and idem not in self._said:
                often[idem] = (uid, f"Nobody has taken this study: it was asked for {times} times.")
        await self._say(often, on_call, now)

    async def _say(self, news: dict[str, tuple[str, str]], on_call: Sequence[str], now: datetime) -> None:
        """Tell managers and who is on call each text about its study, under its key, once."""
        if not news:
            return
        tenant_id = self._key.tenant_id
        async with self._world.db.scope([tenant_id]) as conn:
            known = await answers.known(conn, tenant_id, "", news)
            told = list(dict.fromkeys([*await hydrate.managers(conn, tenant_id), *on_call]))
        units = [self._unit(idem, uid, text, told, now) for idem, (uid, text) in news.items() if idem not in known]
        for failed in await asyncio.gather(*(self._world.commit(u) for u in units if u.feed), return_exceptions=True):
            if isinstance(failed, BaseException) and not isinstance(failed, Fenced):  # Fenced: another decider said it
                raise failed
        self._said |= dict.fromkeys(news)
        while len(self._said) > _REMEMBERED:
            del self._said[next(iter(self._said))]

    def _unit(self, idem: str, study_uid: str, text: str, told: Sequence[str], now: datetime) -> Unit:
        unit = Unit(self._key, answer=("", idem, _SAID, {}))
        for user_id in told:
            message_id = str(uuid5(_NOTICES, f"{self._key.tenant_id}/{idem}/{user_id}"))
            message = {
                "message_id": message_id,
                "by": "",  # the room itself
                "to": user_id,
                "study_uid": study_uid,
                "text": text,
                "at": instant(now),
            }
            data = {"study_uid": study_uid, "message": message}
            unit.feed.append(FeedItem(f"user:{user_id}", message_id, "message_received", data))
        return unit
