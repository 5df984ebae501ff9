"""``/api/patients`` and ``…/move``: late demographics, as HL7 ADT^A40 and ^A45 bring them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.domain.commands import MergePatient, MoveStudy, Patient, UnmergePatient
from actors.domain.errors import BadPayload, NotFound, WrongStatus
from actors.domain.identity import study_key
from actors.domain.patient import patient_id
from gateway import schema
from gateway.api import view
from gateway.api.answers import done
from gateway.api.route import Route
from storage import merged, orders_read

if TYPE_CHECKING:
    from gateway.api.route import Call


async def _given_up(call: Call) -> None:
    """The number of the path at the site that the body names; ``seen`` is the patient's id and a study of hers in view.

    Studies of a number that was given up stand under the survivor.
    """
    await view.site_of_body(call)
    who, issuer = call.who, call.raw.get("issuer")
    issuer = issuer.strip() if isinstance(issuer, str) else ""
    if call.seen is None and not issuer:
        raise NotFound
    issuer = issuer or call.seen.issuer
    hers = patient_id(who.tenant_id, issuer, call.path("mrn"))
    async with call.deps.app_db.scope([who.tenant_id]) as conn:  # the whole group: sites share patients
        now = await merged.surviving(conn, who.tenant_id, hers)
        sites = None if who.all_sites else who.sites
        found = now and await merged.one_of(conn, who.tenant_id, now.patient_id, sites)
    if now is None or not found or not who.sees(found[1]):
        raise NotFound
    call.seen = (hers, issuer, now, found[0])


async def merge(call: Call) -> dict[str, Any]:
    """Give everything of a patient to another: her number was given up for that one."""
    body: schema.MergePatient = call.body
    hers, issuer, now, study_uid = call.seen
    if now.patient_id != hers:
        raise WrongStatus("This number was given up already: undo that merge first.", {"field": "mrn"})
    mrn, into_issuer = body.into.strip(), (body.into_issuer or "").strip() or issuer
    if not mrn:
        raise BadPayload("into: is blank.", {"field": "into"})
    into = Patient(patient_id(call.who.tenant_id, into_issuer, mrn), "", mrn, into_issuer, "", "")
    command = MergePatient(hers, into, body.reason, body.confirm)
    return done(call, await call.ask(study_key(call.who.tenant_id, study_uid), command))


async def unmerge(call: Call) -> dict[str, Any]:
    """Undo a merge: what came under the number is its patient's again."""
    hers, _, now, study_uid = call.seen
    if now.patient_id == hers:
        raise WrongStatus("This number was not given up.", {"field": "mrn"})
    command = UnmergePatient(hers, call.body.reason)
    return done(call, await call.ask(study_key(call.who.tenant_id, study_uid), command))


async def move(call: Call) -> dict[str, Any]:
    """Take images and report to another order, or the whole study to another patient."""
    body: schema.MoveStudy = call.body
    who, to = call.who, body.patient_id or ""
    if sum(given is not None for given in (body.accession_number, body.mrn, body.patient_id)) != 1:
        raise BadPayload("Name one of accession_number, mrn and patient_id.", {"field": "accession_number"})
    if body.mrn is not None:
        async with call.deps.app_db.view(who) as conn:
            places = {r["site_id"]: r["issuer"] for r in await orders_read.sites(conn, who.tenant_id)}
        to = patient_id(who.tenant_id, (body.issuer or "").strip() or places[call.seen.site_id], body.mrn)
    command = MoveStudy(body.version, body.reason, body.accession_number or "", to, body.confirm)
    return done(call, await call.ask(study_key(who.tenant_id, call.seen.study_uid), command))


_PATIENT = "/api/patients/{mrn}"
ROUTES = (
    Route("POST", f"{_PATIENT}/merge", merge, schema.Merged, "correct", _given_up, schema.MergePatient),
    Route("POST", f"{_PATIENT}/unmerge", unmerge, schema.Merged, "correct", _given_up, schema.UnmergePatient),
    Route(
        "POST", "/api/studies/{study_uid}/move", move, schema.Done, "correct", view.study_and_order, schema.MoveStudy
    ),
)
