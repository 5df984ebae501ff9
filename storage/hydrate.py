"""What the actors read before they decide (role rr_host)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.commands import Order, Patient
from actors.domain.facts import Draft
from actors.domain.policy import Policy, policy
from actors.domain.replay import resumed
from actors.domain.study import SHAPE, Study, dump, snapshot
from actors.domain.words import Presence, Priority
from storage import archive, journal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    from storage.pool import Connection

STUDIES = f"""
SELECT asked.tenant_id, asked.study_uid, {archive.DOC} AS doc, s.rev, p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex,
       EXISTS (SELECT 1 FROM rr.journal j WHERE j.tenant_id = asked.tenant_id AND j.entity = 'study/' || asked.study_uid
                  AND j.version = coalesce(s.rev, 0) + 1) AS more
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(tenant_id, study_uid, nth)
  LEFT JOIN rr.study s ON s.tenant_id = asked.tenant_id AND s.study_uid = asked.study_uid
  LEFT JOIN rr.patient p ON p.tenant_id = s.tenant_id AND p.patient_id = s.patient_id
 ORDER BY asked.nth
"""  # noqa: S608 - constants only
OF_PATIENT = """
SELECT study_uid FROM rr.study
 WHERE tenant_id = $1 AND patient_id = $2 AND study_uid <> $3 AND doc->>'moved_to' IS NULL ORDER BY study_uid
"""
PATIENT = """
SELECT patient_id, name, mrn, issuer, birth_date, sex FROM rr.patient WHERE tenant_id = $1 AND patient_id = $2
"""
REVS = """
SELECT coalesce(s.rev, 0) AS rev
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(tenant_id, study_uid, nth)
  LEFT JOIN rr.study s ON s.tenant_id = asked.tenant_id AND s.study_uid = asked.study_uid
 ORDER BY asked.nth
"""
ORDER = """
SELECT o.study_uid, o.body, o.cancelled, p.patient_id, p.name, p.mrn, p.issuer, p.birth_date, p.sex
  FROM rr.orders o
  JOIN rr.patient n ON n.tenant_id = o.tenant_id AND n.patient_id = o.patient_id
  JOIN rr.patient p ON p.tenant_id = o.tenant_id AND p.patient_id = coalesce(n.survivor, n.patient_id)
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
PRIORS = """
SELECT count(*) AS priors,
       array_remove(array_agg(DISTINCT coalesce(r.radiologist_id, s.doc->>'signed_by')), NULL) AS readers
  FROM rr.dicom_study d
  LEFT JOIN rr.study s ON s.tenant_id = d.tenant_id AND s.study_uid = d.study_uid
  LEFT JOIN rr.read_time r ON r.tenant_id = d.tenant_id AND r.study_uid = d.study_uid
 WHERE d.tenant_id = $1 AND d.study_uid <> $3 AND coalesce(s.patient_id, d.patient_id) = $2
   AND d.study_uid = ANY (ARRAY(SELECT x.study_uid FROM rr.study x WHERE x.tenant_id = $1 AND x.patient_id = $2
                          UNION SELECT y.study_uid FROM rr.dicom_study y WHERE y.tenant_id = $1 AND y.patient_id = $2))
"""
SITES = "SELECT site_id, name, jurisdiction, privileged FROM rr.site WHERE tenant_id = $1"
POLICY = "SELECT version, body FROM rr.policy WHERE tenant_id = $1 AND version = rr.policy_in_force($1)"
SHADOW = "SELECT version, body FROM rr.policy WHERE tenant_id = $1 AND mode = 'shadow'"
POLICY_OF = "SELECT version, body FROM rr.policy WHERE tenant_id = $1 AND version = $2"
OPEN = "SELECT study_uid, doc FROM rr.study WHERE tenant_id = $1 AND open"
STEPS = "SELECT study_uid, rev, open FROM rr.study WHERE tenant_id = $1 AND (open OR study_uid = ANY($2::text[]))"
SHAPED = """
SELECT study_uid FROM rr.study WHERE tenant_id = $1 AND coalesce(doc->>'shape', '1') <> $2
   AND archived_at IS NULL ORDER BY study_uid LIMIT 500
"""
REFRESH = "UPDATE rr.study SET doc = $4::jsonb WHERE tenant_id = $1 AND study_uid = $2 AND rev = $3 RETURNING 1"
SOME = "SELECT study_uid, doc FROM rr.study WHERE tenant_id = $1 AND study_uid = ANY($2::text[])"
UNJOINED = """
SELECT s.study_uid, s.accession_number
  FROM rr.study s
  JOIN rr.orders o ON o.tenant_id = s.tenant_id AND o.site_id = s.site_id AND o.accession_number = s.accession_number
 WHERE s.tenant_id = $1 AND s.open AND 'no_order' = ANY(s.flags) AND NOT o.cancelled AND o.study_uid <> s.study_uid
 ORDER BY s.study_uid
"""
ARMED = "SELECT true FROM rr.timer WHERE tenant_id = $1 AND entity = $2 AND name = $3"
PRESENCE = "SELECT state FROM rr.reader WHERE tenant_id = $1 AND user_id = $2"
READING = "SELECT tenant_id, user_id FROM rr.reader WHERE study_uid IS NOT NULL"
DECIDER = "SELECT decider FROM rr.tenant_head WHERE tenant_id = $1"
ZONE = "SELECT time_zone FROM rr.tenant WHERE tenant_id = $1"
ON_CALL = """
SELECT DISTINCT s.user_id
  FROM rr.shift s
  JOIN rr.membership m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id AND m.active
 WHERE s.tenant_id = $1 AND s.kind = 'on_call' AND s.starts_at <= $2 AND s.ends_at > $2
   AND NOT EXISTS (SELECT 1 FROM rr.absence a WHERE a.tenant_id = s.tenant_id AND a.user_id = s.user_id
                      AND a.starts_at <= $2 AND a.ends_at > $2)
 ORDER BY s.user_id
"""
_PAGE = 500
NAME = "SELECT name FROM rr.person WHERE user_id = $1"
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
    """Return the state of a study and its patient."""
    return (await studies(conn, [(tenant_id, study_uid)]))[0]


async def studies(conn: Connection, keys: Sequence[tuple[str, str]]) -> list[tuple[Study, Patient | None]]:
    """Return the state of each study and its patient, from its snapshot and the events after it.

    A study nobody knows is empty. A snapshot of another shape, or a lost one, is made anew from the whole journal.
    """
    found = []
    for row in await conn.fetch(STUDIES, *map(list, zip(*keys, strict=True))):
        tenant_id, study_uid = row["tenant_id"], row["study_uid"]
        kept, whose = snapshot(study_uid, row["doc"]), _patient(row)
        if kept.rev != (row["rev"] or 0) or row["more"]:
            kept = resumed(kept, await journal.read(conn, tenant_id, f"study/{study_uid}", kept.rev))
            whose = await patient(conn, tenant_id, kept.patient_id)
        found.append((kept, whose))
    return found


async def of_patient(conn: Connection, tenant_id: str, patient_id: str, but: str) -> list[Study]:
    """Return the other studies of a patient that stand in lists."""
    uids = [r["study_uid"] for r in await conn.fetch(OF_PATIENT, tenant_id, patient_id, but)]
    return [(await study(conn, tenant_id, uid))[0] for uid in uids]


async def with_sites(
    conn: Connection, tenant_id: str, patient_id: str, but: str, names: Mapping[str, Site]
) -> tuple[tuple[Study, str], ...]:
    """Return the other studies of a patient that stand in lists, each with its site's name."""
    found = await of_patient(conn, tenant_id, patient_id, but)
    return tuple((s, names[s.site_id].name if s.site_id in names else s.site_id) for s in found)


async def patient(conn: Connection, tenant_id: str, patient_id: str) -> Patient | None:
    """Return the demographics of a patient."""
    row = await conn.fetchrow(PATIENT, tenant_id, patient_id)
    return row and _patient(row)


async def current_revs(conn: Connection, keys: Sequence[tuple[str, str]]) -> list[int]:
    """Return the journal version of each study, 0 when nobody knows it."""
    return [row["rev"] for row in await conn.fetch(REVS, *map(list, zip(*keys, strict=True)))]


async def order(
    conn: Connection, tenant_id: str, site_id: str, accession_number: str
) -> tuple[Order, str, bool] | None:
    """Return an order, the study it belongs to now, and whether it is cancelled."""
    row = await conn.fetchrow(ORDER, tenant_id, site_id, accession_number)
    if row is None:
        return None
    body = msgspec.json.decode(row["body"])
    whose = _patient(row)
    if whose is None:
        return None
    body.pop("patient", None)
    found = Order(**{**body, "priority": Priority(body["priority"]), "patient": whose})
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


async def priors(conn: Connection, tenant_id: str, patient_id: str, study_uid: str) -> tuple[int, tuple[str, ...]]:
    """Return how many other studies of the patient are stored, and who has read them."""
    row = await conn.fetchrow(PRIORS, tenant_id, patient_id, study_uid)
    return (row["priors"], tuple(sorted(row["readers"] or ()))) if row else (0, ())


async def sites(conn: Connection, tenant_id: str) -> dict[str, Site]:
    """Return the tenant's sites."""
    return {
        r["site_id"]: Site(r["name"], r["jurisdiction"], r["privileged"]) for r in await conn.fetch(SITES, tenant_id)
    }


async def policy_in_force(conn: Connection, tenant_id: str) -> Policy:
    """Return the policy in force today, the defaults when the tenant never set one."""
    return _policy(await conn.fetchrow(POLICY, tenant_id))


async def policy_in_shadow(conn: Connection, tenant_id: str) -> Policy | None:
    """Return the policy that is tried without effect, None when none is."""
    row = await conn.fetchrow(SHADOW, tenant_id)
    return row and _policy(row)


async def policy_of(conn: Connection, tenant_id: str, version: int) -> Policy:
    """Return a version of the tenant's policy; 0 is the defaults."""
    return _policy(await conn.fetchrow(POLICY_OF, tenant_id, version))


def _policy(row: Any) -> Policy:
    return Policy() if row is None else replace(policy(msgspec.json.decode(row["body"])), version=row["version"])


async def open_studies(conn: Connection, tenant_id: str) -> AsyncIterator[Study]:
    """Return every open study, few of them in memory at a time."""
    async for row in conn.cursor(OPEN, tenant_id, prefetch=_PAGE):
        yield await _study(conn, tenant_id, row)


async def revs(conn: Connection, tenant_id: str, known: list[str]) -> dict[str, int]:
    """Return the journal versions of open studies, and of those already known."""
    return {r["study_uid"]: r["rev"] for r in await conn.fetch(STEPS, tenant_id, known)}


async def some_studies(conn: Connection, tenant_id: str, study_uids: list[str]) -> dict[str, Study]:
    """Return these studies."""
    rows = await conn.fetch(SOME, tenant_id, study_uids)
    return {row["study_uid"]: await _study(conn, tenant_id, row) for row in rows}


async def _study(conn: Connection, tenant_id: str, row: Any) -> Study:
    """Return the study of a snapshot; one of another shape is made anew from the journal."""
    kept = snapshot(row["study_uid"], row["doc"])
    return kept if kept.rev else (await study(conn, tenant_id, row["study_uid"]))[0]


async def refresh(conn: Connection, tenant_id: str) -> int:
    """Make anew the snapshots that another release left in another shape; return how many there were."""
    done = 0
    for row in await conn.fetch(SHAPED, tenant_id, str(SHAPE)):
        made, _ = await study(conn, tenant_id, row["study_uid"])
        text = msgspec.json.encode(dump(made)).decode()
        done += await conn.fetchval(REFRESH, tenant_id, row["study_uid"], made.rev, text) or 0
    return done


async def name(conn: Connection, user_id: str) -> str:
    """Return what a person is called."""
    return await conn.fetchval(NAME, user_id) or ""


async def managers(conn: Connection, tenant_id: str) -> list[str]:
    """Return who is told when nobody can read a study."""
    return [r["user_id"] for r in await conn.fetch(MANAGERS, tenant_id)]


async def on_call(conn: Connection, tenant_id: str, now: datetime) -> list[str]:
    """Return who is on call at an instant: her shift says so, and she is not absent."""
    return [r["user_id"] for r in await conn.fetch(ON_CALL, tenant_id, now)]


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


async def presence(conn: Connection, tenant_id: str, user_id: str) -> Presence:
    """Return what a reader said, or her sockets; off when she never came."""
    return Presence(await conn.fetchval(PRESENCE, tenant_id, user_id) or Presence.OFF)


async def reading(conn: Connection) -> dict[str, set[str]]:
    """Return who is reading, and in which of the tenants in scope."""
    found: dict[str, set[str]] = {}
    for row in await conn.fetch(READING):
        found.setdefault(row["user_id"], set()).add(row["tenant_id"])
    return found
