"""``/api/orders`` and what joins images to them: new orders, cancelled ones, the unmatched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.domain.commands import CancelOrder, DismissFlag, JoinOrder, Order, Patient, ReceiveOrder
from actors.domain.errors import BadPayload, NotFound
from actors.domain.identity import apart_study_uid, minted_study_uid, study_key
from actors.domain.patient import patient_id
from gateway import schema, shapes
from gateway.api import view
from gateway.api.answers import done, paged
from gateway.api.route import Route, json
from storage import orders_read, studies_read
from storage.studies_read import UNMATCHED, Wanted

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.api.route import Call


async def _uid(call: Call, site_id: str, accession_number: str, named: str | None) -> tuple[str, bool]:
    """Return the study of an order and whether the order is known already."""
    who = call.who
    apart = apart_study_uid(who.tenant_id, site_id, named) if named else None
    async with call.deps.app_db.view(who) as conn:
        known = await orders_read.study_of(conn, who.tenant_id, site_id, accession_number)
    if known is not None:
        if named not in (None, known) and apart != known:
            raise BadPayload(f"study_uid: this order belongs to study {known}.", {"field": "study_uid"})
        return known, True
    if named is None or apart is None:
        return minted_study_uid(who.tenant_id, site_id, accession_number), False
    async with call.deps.app_db.scope([who.tenant_id]) as conn:  # the whole tenant: is the UID another site's?
        owner = await studies_read.owner(conn, who.tenant_id, named)
    return (named if owner in (None, site_id) else apart), False


async def receive(call: Call) -> web.Response:
    """Place an order, or correct one: the same site and number again."""
    body: schema.OrderIn = call.body
    place, who, patient = view.placed(call), call.who, body.patient
    accession_number, mrn = body.accession_number.strip(), patient.mrn.strip()
    for field, value in (("accession_number", accession_number), ("patient.mrn", mrn)):
        if not value:
            raise BadPayload(f"{field}: is blank.", {"field": field})
    study_uid, known = await _uid(call, place.site_id, accession_number, body.study_uid)
    issuer = (patient.issuer or "").strip() or place.issuer
    order = Order(
        place.site_id, accession_number, body.priority, body.procedure, body.modality,
        Patient(patient_id(who.tenant_id, issuer, mrn), patient.name, mrn, issuer, patient.birth_date or "",
                patient.sex or ""),
        body.body_part, body.laterality, body.referring_physician, body.expected_instances,
        body.setting or "",
    )  # fmt: skip
    answer = await call.ask(study_key(who.tenant_id, study_uid), ReceiveOrder(order))
    return json(done(call, answer)["row"], 200 if known else 201)


async def cancel(call: Call) -> dict[str, Any]:
    """Cancel an order."""
    return done(call, await call.ask(study_key(call.who.tenant_id, call.seen), CancelOrder(call.body.reason)))


async def _ordered(call: Call) -> None:
    await view.site_of_body(call)
    if call.seen is None:
        raise NotFound
    async with call.deps.app_db.view(call.who) as conn:
        call.seen = await orders_read.study_of(
            conn, call.who.tenant_id, call.seen.site_id, call.path("accession_number")
        )
    if call.seen is None:
        raise NotFound


async def unmatched(call: Call) -> dict[str, Any]:
    """List studies whose images wait for a person to say whose they are."""
    limit, after = call.page()
    async with call.deps.app_db.view(call.who) as conn:
        found = await studies_read.page(conn, call.who, Wanted(flags=list(UNMATCHED)), after, limit + 1)
    return paged(found, limit)


async def join(call: Call) -> dict[str, Any]:
    """Join images to the order that they belong to."""
    body: schema.Join = call.body
    key = study_key(call.who.tenant_id, call.seen.study_uid)
    return done(call, await call.ask(key, JoinOrder(body.accession_number, body.version)))


async def dismiss(call: Call) -> dict[str, Any]:
    """Settle a flag without changing anything else."""
    body: schema.Dismiss = call.body
    key = study_key(call.who.tenant_id, call.seen.study_uid)
    return done(call, await call.ask(key, DismissFlag(body.flag, body.reason)))


_STUDY = "/api/studies/{study_uid}"
ROUTES = (
    Route("POST", "/api/orders", receive, shapes.Row, "orders", view.site_of_body, schema.OrderIn, status=201),
    Route("POST", "/api/orders/{accession_number}/cancel", cancel, schema.Done, "orders", _ordered, schema.CancelOrder),
    Route("GET", "/api/unmatched", unmatched, schema.Rows, "unmatched", query=("limit", "after")),
    Route("POST", "/api/studies", receive, shapes.Row, "orders", view.site_of_body, schema.StudyIn, status=201),
    Route("POST", f"{_STUDY}/join", join, schema.Done, "join", view.study_and_order, schema.Join),
    Route("POST", f"{_STUDY}/dismiss", dismiss, schema.Done, "dismiss", view.study, schema.Dismiss),
)
