"""What the actors read before they decide (role rr_host)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.commands import Order, Patient
from actors.domain.facts import Draft
from actors.domain.study import Study, load
from actors.domain.words import Priority

if TYPE_CHECKING:
    from storage.pool import Connection

STUDY = """
SELECT s.doc, p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex
  FROM rr.study s
  LEFT JOIN rr.patient p ON p.tenant_id = s.tenant_id AND p.patient_id = s.patient_id
 WHERE s.tenant_id = $1 AND s.study_uid = $2
"""
REV = "SELECT rev FROM rr.study WHERE tenant_id = $1 AND study_uid = $2"
ORDER = """
SELECT o.study_uid, o.body, o.cancelled, p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex
  FROM rr.orders o
  JOIN rr.patient p ON p.tenant_id = o.tenant_id AND p.patient_id = o.patient_id
 WHERE o.tenant_id = $1 AND o.site_id = $2 AND o.accession_number = $3
"""
ALONE = """
SELECT study_uid FROM rr.study
 WHERE tenant_id = $1 AND site_id = $2 AND accession_number = $3 AND flags && '{no_order,patient_mismatch}'
   AND study_uid <> $4
 ORDER BY study_uid
"""
DRAFT = """
SELECT r.sections, v.by
  FROM rr.report r
  LEFT JOIN rr.report_version v ON v.tenant_id = r.tenant_id AND v.report_id = r.report_id AND v.version = r.version
 WHERE r.tenant_id = $1 AND r.report_id = $2
"""
CONFLICT = """
INSERT INTO rr.report_conflict (tenant_id, report_id, conflict_id, site_id, sections, by)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
"""
VIEWERS = """
SELECT user_id FROM rr.membership
 WHERE tenant_id = $1 AND role = 'viewer' AND active AND $2 = ANY(sites) ORDER BY user_id
"""
PRIORS = "SELECT count(*) FROM rr.dicom_study WHERE tenant_id = $1 AND patient_id = $2 AND study_uid <> $3"
SITES = "SELECT site_id, name, jurisdiction, privileged FROM rr.site WHERE tenant_id = $1"
POLICY = "SELECT body FROM rr.policy WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1"
OPEN = "SELECT study_uid, doc FROM rr.study WHERE tenant_id = $1 AND open"
STEPS = "SELECT study_uid, rev, open FROM rr.study WHERE tenant_id = $1 AND (open OR study_uid = ANY($2::text[]))"
SOME = "SELECT study_uid, doc FROM rr.study WHERE tenant_id = $1 AND study_uid = ANY($2::text[])"
UNJOINED = """
SELECT s.study_uid, s.accession_number
  FROM rr.study s
  JOIN rr.orders o ON o.tenant_id = s.tenant_id AND o.site_id = s.site_id AND o.accession_number = s.accession_number
 WHERE s.tenant_id = $1 AND s.open AND 'no_order' = ANY(s.flags) AND NOT o.cancelled AND o.study_uid <> s.study_uid
 ORDER BY s.study_uid
"""
ARMED = "SELECT true FROM rr.timer WHERE tenant_id = $1 AND entity = $2 AND name = $3"
READING = "SELECT tenant_id, user_id FROM rr.reader WHERE study_uid IS NOT NULL"
DECIDER = "SELECT decider FROM rr.tenant_head WHERE tenant_id = $1"
ZONE = "SELECT time_zone FROM rr.tenant WHERE tenant_id = $1"
MANAGERS = "SELECT user_id FROM rr.membership WHERE tenant_id = $1 AND role = 'manager' AND active ORDER BY user_id"


@dataclass(frozen=True, slots=True)
class Site:
    """A site as decisions need it."""

    name: str
    jurisdiction: str | None  # a licence that its readers need
    privileged: bool = False  # whether they need a privilege too


def _patient(row: Any) -> Patient | None:
    if row["patient_id"] is None:
        return None
    return Patient(row["patient_id"], row["name"], row["mrn"], row["issuer"], row["birth_date"], row["sex"])


async def study(conn: Connection, tenant_id: str, study_uid: str) -> tuple[Study, Patient | None]:
    """Return the state of a study and its patient; a study nobody knows is empty."""
    row = await conn.fetchrow(STUDY, tenant_id, study_uid)
    if row is None:
        return Study(study_uid), None
    return load(msgspec.json.decode(row["doc"])), _patient(row)


async def rev(conn: Connection, tenant_id: str, study_uid: str) -> int:
    """Return the journal version of a study, 0 when nobody knows it."""
    return await conn.fetchval(REV, tenant_id, study_uid) or 0


async def order(
    conn: Connection, tenant_id: str, site_id: str, accession_number: str
) -> tuple[Order, str, bool] | None:
    """Return an order, the study it belongs to now, and whether it is cancelled."""
    row = await conn.fetchrow(ORDER, tenant_id, site_id, accession_number)
    if row is None:
        return None
    body = msgspec.json.decode(row["body"])
    patient = _patient(row)
    if patient is None:
        return None
    body.pop("patient", None)
    found = Order(**{**body, "priority": Priority(body["priority"]), "patient": patient})
    return found, row["study_uid"], row["cancelled"]


async def alone(conn: Connection, tenant_id: str, site_id: str, accession_number: str, but: str) -> list[str]:
    """Return the studies of a site that carry this accession number and stand without an order."""
    return [r["study_uid"] for r in await conn.fetch(ALONE, tenant_id, site_id, accession_number, but)]


async def draft(conn: Connection, tenant_id: str, report_id: str) -> Draft | None:
    """Return the newest text of a report."""
    row = await conn.fetchrow(DRAFT, tenant_id, report_id)
    return None if row is None else Draft(msgspec.json.decode(row["sections"]), row["by"])


async def keep_conflict(  # noqa: PLR0913, PLR0917 - a row
    conn: Connection, tenant_id: str, report_id: str, conflict_id: str, site_id: str, sections: dict[str, str], by: str
) -> None:
    """Keep the refused text of a draft that lost against a newer one."""
    text = msgspec.json.encode(sections).decode()
    await conn.execute(CONFLICT, tenant_id, report_id, conflict_id, site_id, text, by)


async def viewers(conn: Connection, tenant_id: str, site_id: str) -> tuple[str, ...]:
    """Return who hears of final reports of a site."""
    return tuple(r["user_id"] for r in await conn.fetch(VIEWERS, tenant_id, site_id))


async def priors(conn: Connection, tenant_id: str, patient_id: str, study_uid: str) -> int:
    """Return how many other studies of the patient are stored."""
    return await conn.fetchval(PRIORS, tenant_id, patient_id, study_uid) or 0


async def sites(conn: Connection, tenant_id: str) -> dict[str, Site]:
    """Return the tenant's sites."""
    return {
        r["site_id"]: Site(r["name"], r["jurisdiction"], r["privileged"]) for r in await conn.fetch(SITES, tenant_id)
    }


async def policy_body(conn: Connection, tenant_id: str) -> dict[str, Any]:
    """Return the tenant's newest policy, empty when it never set one."""
    body = await conn.fetchval(POLICY, tenant_id)
    known: dict[str, Any] = msgspec.json.decode(body) if body else {}
    return known


async def open_studies(conn: Connection, tenant_id: str) -> dict[str, Study]:
    """Return every open study."""
    return {r["study_uid"]: load(msgspec.json.decode(r["doc"])) for r in await conn.fetch(OPEN, tenant_id)}


async def revs(conn: Connection, tenant_id: str, known: list[str]) -> dict[str, int]:
    """Return the journal versions of open studies, and of those already known."""
    return {r["study_uid"]: r["rev"] for r in await conn.fetch(STEPS, tenant_id, known)}


async def some_studies(conn: Connection, tenant_id: str, study_uids: list[str]) -> dict[str, Study]:
    """Return these studies."""
    rows = await conn.fetch(SOME, tenant_id, study_uids)
    return {r["study_uid"]: load(msgspec.json.decode(r["doc"])) for r in rows}


async def managers(conn: Connection, tenant_id: str) -> list[str]:
    """Return who is told when nobody can read a study."""
    return [r["user_id"] for r in await conn.fetch(MANAGERS, tenant_id)]


async def decider(conn: Connection, tenant_id: str) -> int:
    """Return the epoch of the tenant's decider."""
    return await conn.fetchval(DECIDER, tenant_id) or 0


async def time_zone(conn: Connection, tenant_id: str) -> str:
    """Return the tenant's time zone."""
    return await conn.fetchval(ZONE, tenant_id) or "UTC"


async def unjoined(conn: Connection, tenant_id: str) -> list[tuple[str, str]]:
    """Return images that stand alone although their order is here, with its accession number."""
    return [(r["study_uid"], r["accession_number"]) for r in await conn.fetch(UNJOINED, tenant_id)]


async def timer_armed(conn: Connection, tenant_id: str, entity: str, name: str) -> bool:
    """Whether an entity's timer is armed."""
    return bool(await conn.fetchval(ARMED, tenant_id, entity, name))


async def reading(conn: Connection) -> dict[str, set[str]]:
    """Return who is reading, and in which of the tenants in scope."""
    found: dict[str, set[str]] = {}
    for row in await conn.fetch(READING):
        found.setdefault(row["user_id"], set()).add(row["tenant_id"])
    return found
