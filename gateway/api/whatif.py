"""``/api/what-if``: a forecast on a fork of the live state."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gateway import forecast, forecasting
from gateway.api.route import Route

if TYPE_CHECKING:
    from gateway.api.route import Call

_one_at_a_time = asyncio.Semaphore(1)  # in a gateway: each takes a core for seconds


async def ask(call: Call) -> dict[str, Any]:
    """Forecast breaches as planned and with changes; changes nothing."""
    asked: forecast.Question = call.body
    async with call.deps.app_db.view(call.who, snapshot=True) as conn:
        live = await forecasting.fork(conn, call.who.tenant_id)
    wanted = forecasting.changes(live, asked.changes)
    until = forecasting.moment(asked.until, "until") or live.now + timedelta(hours=forecasting.HOURS)
    async with _one_at_a_time:
        return await forecasting.apart(live, wanted, until, asked.seed)


ROUTES = (Route("POST", "/api/what-if", ask, forecast.Forecast, "what_if", body=forecast.Question),)
