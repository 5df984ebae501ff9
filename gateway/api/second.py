"""``/api/studies/{study_uid}/readings`` and ``/settle``: two readings side by side, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.domain.commands import Settle
from actors.domain.identity import study_key
from gateway import seconds as bodies
from gateway.api import view
from gateway.api.answers import done
from gateway.api.route import Route
from gateway.schema import Done
from storage import second_reads

if TYPE_CHECKING:
    from gateway.api.route import Call


async def readings(call: Call) -> dict[str, Any]:
    """Compare what was signed; a blind second reader sees nothing of it before she has signed."""
    async with call.deps.app_db.view(call.who) as conn:
        return await second_reads.readings(conn, call.who, call.seen.study_uid)


async def settle(call: Call) -> dict[str, Any]:
    """Say whether the readings agree; a manager may say which of them stands."""
    said: bodies.Settle = call.body
    command = Settle(said.version, said.outcome, said.note)
    return done(call, await call.ask(study_key(call.who.tenant_id, call.seen.study_uid), command))


ROUTES = (
    Route("GET", "/api/studies/{study_uid}/readings", readings, bodies.Readings, "readings", view.study),
    Route("PUT", "/api/studies/{study_uid}/settle", settle, Done, "settle", view.study, bodies.Settle),
)
