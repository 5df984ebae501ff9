"""What a study must know beside itself before it decides: looked up once a command, and no more than it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from uuid_utils import uuid7

from actors.domain import sla
from actors.domain.commands import (
    Accept,
    CancelOrder,
    Decline,
    FireTimer,
    ImagesArrived,
    JoinOrder,
    MergePatient,
    MoveStudy,
    ReceiveOrder,
    SaveDraft,
    Settle,
    Sign,
    StartReading,
    UnmergePatient,
)
from actors.domain.correction import differences, repeats
from actors.domain.facts import Facts
from actors.domain.second import SecondKind
from actors.domain.words import SignKind
from actors.study import whose
from storage import hydrate, merged

if TYPE_CHECKING:
    from actors.domain.commands import Envelope, Order, Patient
    from actors.domain.study import Study
    from actors.world import World
    from storage.pool import Connection

_PRESENT = (Accept, Decline, StartReading, SaveDraft)  # for who is not off


def fresh_id() -> str:
    """Return a new UUIDv7."""
    return str(uuid7())


@dataclass(frozen=True, slots=True)
class Questions:
    """What has to be asked of the database for one command."""

    site_id: str
    accession_number: str = ""  # of an order to find
    priors_of: str = ""  # patient id
    draft_of: str = ""  # report id
    viewers: bool = False
    texts_of: tuple[str, str] | None = None  # report ids of two readings to compare
    people: bool = False  # whom a ladder may tell
    placed: Order | None = None  # whose person is looked up
    presence_of: str = ""  # user id
    whose: bool = False  # whose the study is, or shall be

    @property
    def any(self) -> bool:
        """Whether there is anything to ask."""
        return self != Questions(self.site_id)


def questions(study: Study, command: object) -> Questions:  # noqa: PLR0911 - one line a command
    """Return what the command needs to know."""
    alone = not study.ordered
    match command:
        case ImagesArrived():
            accession = (command.accession_number or study.accession_number) if alone else ""
            return Questions(command.site_id, accession, "" if study.images else command.patient.patient_id)
        case ReceiveOrder(order):
            return Questions(order.site_id, order.accession_number if study.images and alone else "", placed=order)
        case JoinOrder(accession_number) | MoveStudy(accession_number=accession_number):
            return Questions(study.site_id, accession_number, whose=not isinstance(command, JoinOrder))
        case MergePatient() | UnmergePatient():
            return Questions(study.site_id, whose=True)
        case CancelOrder():
            return Questions(study.site_id, study.accession_number)
        case FireTimer(name=sla.ESCALATE):
            return Questions(study.site_id, people=True)
        case SaveDraft() | Sign():
            held = command.base_version if isinstance(command, SaveDraft) else command.report_version
            newer = study.report is not None and held != study.report.version
            report_id = study.report.report_id if study.report and newer else ""
            final = isinstance(command, Sign) and command.kind is not SignKind.PRELIM
            both = _two_readings(study) if isinstance(command, Sign) and not newer else None
            return Questions(study.site_id, draft_of=report_id, viewers=final, texts_of=both)
        case Settle():
            return Questions(study.site_id, viewers=True)
        case _:
            return Questions(study.site_id)


def _two_readings(study: Study) -> tuple[str, str] | None:
    """Return the reports that a second signature makes two readings of, None when it is none."""
    second = study.second
    if second is None or study.report is None or second.kind is not SecondKind.DOUBLE:
        return None
    return second.readings[0].report_id, study.report.report_id


async def _texts(
    conn: Connection, tenant_id: str, report_ids: tuple[str, str] | None
) -> tuple[dict[str, str], dict[str, str]] | None:
    """Return the texts of the two reports, None when there are none to compare."""
    if report_ids is None:
        return None
    first, own = [await hydrate.draft(conn, tenant_id, report_id) for report_id in report_ids]
    return (first.sections, own.sections) if first and own else None


async def facts(  # noqa: C901 - one line a question
    world: World, tenant_id: str, study: Study, patient: Patient | None, envelope: Envelope
) -> Facts:
    """Return what the rules need for this command."""
    command, by = envelope.command, envelope.by
    asked = questions(study, command)
    if by is not None and isinstance(command, _PRESENT):
        asked = replace(asked, presence_of=by.user_id)
    found: dict[str, Any] = {}
    policy = await world.directory.policy(tenant_id)
    clock_policy = policy if study.sla is None else await world.directory.policy_of(tenant_id, study.sla.policy)
    if asked.any:
        async with world.db.scope([tenant_id]) as conn:
            if asked.accession_number:
                found["order"], found["minted"] = await _order(conn, tenant_id, study, asked, command)
            if asked.priors_of:
                found["priors"], found["priors_by"] = await hydrate.priors(
                    conn, tenant_id, asked.priors_of, study.study_uid
                )
            if asked.draft_of:
                found["draft"] = await hydrate.draft(conn, tenant_id, asked.draft_of)
            found["texts"] = await _texts(conn, tenant_id, asked.texts_of)
            if asked.viewers:
                found["viewers"] = await hydrate.viewers(conn, tenant_id, asked.site_id)
            if asked.placed:
                found |= await _whose(conn, world, tenant_id, study, patient, asked.placed)
            if asked.whose:
                sites = await world.directory.sites(tenant_id)
                found |= await whose.found(conn, tenant_id, study, command, found.get("order"), sites)
            if asked.people:
                found |= await _people(conn, world, tenant_id)
            if asked.presence_of:
                found["presence"] = await hydrate.presence(conn, tenant_id, asked.presence_of)
    return Facts(
        tenant_id,
        await world.directory.site_name(tenant_id, asked.site_id),
        patient,
        policy,
        clock_policy,
        new_id=fresh_id(),
        **found,
    )


async def _people(conn: Connection, world: World, tenant_id: str) -> dict[str, Any]:
    on_call = await hydrate.on_call(conn, tenant_id, world.now())
    return {"managers": await hydrate.managers(conn, tenant_id), "on_call": on_call}


async def _whose(  # noqa: PLR0913, PLR0917 - what is known of the study and its order
    conn: Connection, world: World, tenant_id: str, study: Study, patient: Patient | None, order: Order
) -> dict[str, Any]:
    """Return who stands under the order's number, and the other studies of a patient whom it corrects."""
    found: dict[str, Any] = {"known": await merged.surviving(conn, tenant_id, order.patient.patient_id)}
    if patient is not None and repeats(study, order) and differences(patient, order.patient):
        sites = await world.directory.sites(tenant_id)
        found["siblings"] = await hydrate.with_sites(conn, tenant_id, patient.patient_id, study.study_uid, sites)
    return found


async def _order(
    conn: Connection, tenant_id: str, study: Study, asked: Questions, command: object
) -> tuple[Order | None, Study | None]:
    """Return the order, and where it lives if that is another study. What has images of its own is nobody else's."""
    found = await hydrate.order(conn, tenant_id, asked.site_id, asked.accession_number)
    if found is None:
        return None, None
    order, study_uid, cancelled = found
    if cancelled and not isinstance(command, CancelOrder):
        return None, None
    if study_uid == study.study_uid:
        return order, None
    minted, _ = await hydrate.study(conn, tenant_id, study_uid)
    taken = bool(minted.images) and not isinstance(command, JoinOrder)
    return (None if taken else order), minted
