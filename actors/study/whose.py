"""What must be known before a study, or all of a patient's, becomes somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.domain.commands import MergePatient, MoveStudy, UnmergePatient
from actors.domain.identity import minted_study_uid
from storage import hydrate, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.domain.commands import Order, Patient
    from actors.domain.study import Study
    from storage.hydrate import Site
    from storage.pool import Connection


async def found(  # noqa: PLR0913, PLR0917 - what is known of the study and where it goes
    conn: Connection, tenant_id: str, study: Study, command: object, order: Order | None, sites: Mapping[str, Site]
) -> dict[str, Any]:
    """Return who the patients are that a study leaves and comes to, with their other studies, and what its order is."""
    facts: dict[str, Any] = {
        "left": await hydrate.with_sites(conn, tenant_id, study.patient_id, study.study_uid, sites)
    }
    if isinstance(command, UnmergePatient):
        facts["known"] = await hydrate.patient(conn, tenant_id, command.patient_id)
        facts["apart"] = await merged.images_of(conn, tenant_id, command.patient_id)
        return facts
    to: Patient | None = order.patient if order else None
    named = command.into.patient_id if isinstance(command, MergePatient) else ""
    if isinstance(command, MoveStudy):
        named = command.patient_id
    if named:
        to = facts["known"] = await merged.surviving(conn, tenant_id, named)
    if to is not None:
        facts["there"] = await hydrate.with_sites(conn, tenant_id, to.patient_id, study.study_uid, sites)
    if isinstance(command, MoveStudy) and study.ordered:
        own = await hydrate.order(conn, tenant_id, study.site_id, study.accession_number)
        facts["own_order"] = own and own[0]
        facts["own_home"] = await _home(conn, tenant_id, study)
    return facts


async def _home(conn: Connection, tenant_id: str, study: Study) -> Study:
    """Return the study without images where an order waits once its images have left it."""
    uid = minted_study_uid(tenant_id, study.site_id, study.accession_number)
    home, _ = await hydrate.study(conn, tenant_id, uid)
    if uid == study.study_uid or home.images:
        uid = minted_study_uid(tenant_id, study.site_id, f"{study.accession_number}\x1f{study.study_uid}")
        home, _ = await hydrate.study(conn, tenant_id, uid)
    return home
