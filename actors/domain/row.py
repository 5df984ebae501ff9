"""The row: how everyone outside sees a study, in REST, on the board and in every event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.domain.instant import instant
from actors.domain.words import Role

if TYPE_CHECKING:
    from actors.domain.commands import Patient
    from actors.domain.study import Lock, Study

# A hospital does not see what a machine suspects, nor who was asked, before the reader has spoken.
HIDDEN_FROM_SITES = ("ai", "acuity", "offer", "second_reader", "second_read")


def row(study: Study, patient: Patient | None, site_name: str) -> dict[str, Any]:
    """Return the row; equal ``rev`` is an equal row everywhere."""
    offer = study.offer
    report = study.report
    second = study.second
    return {
        "study_uid": study.study_uid,
        "accession_number": study.accession_number,
        "site": {"id": study.site_id, "name": site_name},
        "patient": patient
        and {"name": patient.name, "mrn": patient.mrn, "birth_date": patient.birth_date, "sex": patient.sex},
        "modality": study.modality,
        "body_part": study.body_part,
        "laterality": study.laterality,
        "procedure": study.procedure,
        "priority": study.priority.value,
        "acuity": study.acuity.value,
        "critical": study.critical,
        "status": study.shown.value,
        "readiness": {
            "state": study.readiness.state.value,
            "received": study.readiness.received,
            "expected": study.readiness.expected,
        },
        "sla": study.sla and study.sla.shown(),
        "flags": sorted(f.value for f in study.flags),
        "offer": offer
        and {
            "offer_id": offer.offer_id,
            "radiologist_id": offer.radiologist_id,
            "expires_at": instant(offer.expires_at),
            "why": offer.why,
        },
        "assigned_to": study.first_reader,
        "second_reader": study.second_reader,
        "second_read": second
        and {"kind": second.kind.value, "state": second.state.value, "blind": second.blind, "why": second.why},
        "reading_by": study.reading_by,
        "ai": [
            {
                "model": r.model,
                "version": r.version,
                "status": r.status,
                "headline": r.headline,
                "measures": dict(r.measures),
            }
            for r in study.ai
        ],
        "report": report and {"report_id": report.report_id, "status": report.status.value, "version": report.version},
        "priors": study.priors,
        "images": study.images,
        "version": study.step,
        "rev": study.rev,
    }


def locked(lock: Lock) -> dict[str, Any]:
    """Return who edits the report now."""
    return {"user_id": lock.user_id, "tab": lock.tab, "until": instant(lock.until)}


def row_for(role: Role, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the row as the role may see it."""
    if role is Role.TECHNOLOGIST:
        return {name: value for name, value in shown.items() if name not in HIDDEN_FROM_SITES}
    return shown


def row_for_wall(shown: dict[str, Any]) -> dict[str, Any]:
    """Return the row without its patient, for a screen on a wall."""
    return shown | {"patient": None}
