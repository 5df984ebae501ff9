"""The one owner of a study: hydrate, decide, commit, tell.

Arrivals are folded: the first instance and changes of readiness at once, else at most one event a
second. What changed is told to the tenant's decider after the commit, and never while deciding.
"""

from __future__ import annotations

from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, cast

import structlog

from actors import meters
from actors.domain.arrival import expected_after, readiness_after
from actors.domain.commands import (
    Assign,
    CancelOrder,
    Claim,
    Envelope,
    FireTimer,
    ImagesArrived,
    JoinOrder,
    Offer,
    ReceiveOrder,
    SaveDraft,
)
from actors.domain.decide import decide
from actors.domain.errors import StaleVersion
from actors.domain.identity import Key, radiologist_key, study_key, tenant_key
from actors.domain.project import By, project
from actors.domain.row import row
from actors.mailbox import digest
from actors.study import lookup
from actors.told import FORWARD, Changed, Later, Missed, sealed
from storage import hydrate
from storage.commit import Fenced

if TYPE_CHECKING:
    from actors.domain.commands import Patient, StudyCommand
    from actors.domain.facts import Facts
    from actors.domain.study import Study
    from actors.domain.unit import Unit
    from actors.world import World

log = structlog.get_logger()

_FOLD_S = 1.0
_WHOSE = frozenset({"PatientMerged", "PatientUnmerged", "StudyMoved"})
_ORDERED = frozenset({"OrderReceived", "PatientCorrected"})  # images that stood alone may agree now


class StudyActor:
    """Owns one study from its order to its last addendum."""

    __slots__ = ("_images_at", "_key", "_patient", "_study", "_world")

    def __init__(self, key: Key, world: World) -> None:
        self._key, self._world = key, world
        self._study: Study | None = None
        self._patient: Patient | None = None
        self._images_at = 0.0

    def forget(self) -> None:
        """Read everything again before the next message."""
        self._study = None

    async def current(self) -> bool:
        """Whether memory is as new as the journal."""
        known = await self._world.reads.rev(self._key)
        return self._study is not None and known == self._study.rev

    async def handle(self, envelope: Envelope) -> dict[str, Any]:
        """Take one command."""
        tenant_id, command = self._key.tenant_id, envelope.command
        if self._study is None:
            began = perf_counter()
            self._study, self._patient = await self._world.reads.study(self._key)
            meters.ACTIVATION.labels("study").observe(perf_counter() - began)
        before = self._study
        if isinstance(command, ImagesArrived):
            self._fold(before, command)
        if isinstance(command, ReceiveOrder | CancelOrder) and before.moved_to:
            return {FORWARD: (study_key(tenant_id, before.moved_to), envelope)}
        facts = await lookup.facts(self._world, tenant_id, before, self._patient, envelope)
        try:
            decision = decide(before, cast("StudyCommand", command), envelope.by, self._world.now(), facts)
        except StaleVersion as exc:
            await self._stale(before, envelope, exc, facts)
            raise
        by = By(envelope.by.user_id if envelope.by else None, envelope.idem, self._world.now())
        after, unit = project(self._key, before, decision, facts, by, lookup.fresh_id)
        shown = unit.shown or row(after, decision.patient or facts.patient, facts.site_name)
        answer = {"version": after.step, "row": shown, **decision.extra}
        self._complete(unit, envelope, answer)
        if not unit.events and not await self.current():
            raise Fenced  # a stale copy must not say that there is nothing to do
        if unit.events or unit.answer or unit.inbox_ids:
            await self._world.commit(unit)
        elif isinstance(command, FireTimer):
            await self._world.drop(self._key, command)
        self._study, self._patient = after, decision.patient or self._patient
        if unit.events:
            self._tell(after, unit)
        return answer

    def _complete(self, unit: Unit, envelope: Envelope, answer: dict[str, Any]) -> None:
        """Add what the message itself brings to the unit: its answer, its epoch, what it has read."""
        command = envelope.command
        unit.deadline = envelope.deadline
        if envelope.idem is not None:
            user_id = envelope.by.user_id if envelope.by else ""
            unit.answer = (user_id, envelope.idem, digest(envelope), answer)
        if isinstance(command, ImagesArrived):
            unit.inbox_ids = command.inbox_ids
        if isinstance(command, Offer | Claim | Assign) and unit.events:
            unit.epoch = command.grant.epoch
        if isinstance(command, Offer | Claim | Assign) and unit.events:
            unit.explanation = (self._key.name, command.grant.offer_id, command.explanation)

    def _fold(self, study: Study, command: ImagesArrived) -> None:
        """Put off images that change nothing but a count, to one event a second.

        Raises:
            Later: keep them in the inbox and tell again.
        """
        after = readiness_after(study, command), expected_after(study, command)
        if study.images == 0 or after != (study.readiness.state, study.readiness.expected):
            return
        wait = self._images_at + _FOLD_S - monotonic()
        if wait > 0 and command.received > study.images:
            raise Later(wait)
        self._images_at = monotonic()

    async def _stale(self, study: Study, envelope: Envelope, exc: StaleVersion, facts: Facts) -> None:
        """Show the refused how it is now, and keep the text of a draft that lost."""
        exc.fields.setdefault("row", row(study, self._patient, facts.site_name))
        if isinstance(envelope.command, Assign) and study.assigned_by:
            async with self._world.db.scope([self._key.tenant_id]) as conn:
                name = await hydrate.name(conn, study.assigned_by)
            exc.args = (f"{name} has assigned it since you saw it.", exc.fields | {"by_name": name})
        command = envelope.command
        if isinstance(command, SaveDraft) and study.report and envelope.by:
            async with self._world.db.scope([self._key.tenant_id]) as conn:
                await hydrate.keep_conflict(
                    conn,
                    self._key.tenant_id,
                    study.report.report_id,
                    digest(envelope).hex()[:32],
                    study.site_id,
                    command.sections,
                    envelope.by.user_id,
                )

    def _tell(self, after: Study, unit: Unit) -> None:
        tenant_id = self._key.tenant_id
        for recorded in unit.events:
            meters.EVENTS.labels(recorded.type).inc()
            log.info(recorded.type, entity=recorded.entity, tenant_id=tenant_id, version=recorded.version)
        self._world.tell(tenant_key(tenant_id), sealed(Changed(after)))
        for recorded in unit.events:
            if recorded.type == "OfferExpired":
                who = recorded.body["radiologist_id"]
                self._world.tell(radiologist_key(tenant_id, who), sealed(Missed(self._key.name)))
        if any(e.type in _ORDERED for e in unit.events) and not after.images:
            self._world.spawn(self._seek(after))
        for recorded in unit.events:
            if recorded.type in _WHOSE:  # images that stood alone may agree with their order now
                self._world.spawn(self._settle(recorded.entity))

    async def _settle(self, entity: str) -> None:
        """Tell a study whose patient is another now to join its order if they agree."""
        key = Key.of(self._key.tenant_id, entity)
        async with self._world.db.scope([key.tenant_id]) as conn:
            study, _ = await hydrate.study(conn, key.tenant_id, key.name)
            order = await hydrate.order(conn, key.tenant_id, study.site_id, study.accession_number)
        if order and study.images and not study.ordered:
            self._world.tell(key, Envelope(JoinOrder(study.accession_number)))

    async def _seek(self, ordered: Study) -> None:
        """Tell images that came before their order that it is here."""
        tenant_id, accession = self._key.tenant_id, ordered.accession_number
        async with self._world.db.scope([tenant_id]) as conn:
            alone = await hydrate.alone(conn, tenant_id, ordered.site_id, accession, ordered.study_uid)
        for study_uid in alone:
            self._world.tell(study_key(tenant_id, study_uid), Envelope(JoinOrder(accession)))
