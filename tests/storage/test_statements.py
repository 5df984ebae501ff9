"""Every statement of the actors is one that its role may prepare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from storage import (
    answers,
    audit,
    commit,
    heads,
    hydrate,
    inbox,
    journal,
    keeping,
    merged,
    past,
    retention,
    shadow,
    staff,
    tiering,
    timers,
)

if TYPE_CHECKING:
    from readingroom.settings import Settings

_WAKES = {timers: {"DUE"}, inbox: {"WAITING"}, heads: {"TENANTS"}}  # read across tenants, by rr_timer
_STATEMENTS = {
    f"{module.__name__}.{name}": (
        "rr_timer" if name in _WAKES.get(module, ()) else "rr_keeper" if module in (keeping, tiering) else "rr_host",
        text,
    )
    for module in (
        answers,
        audit,
        commit,
        heads,
        hydrate,
        inbox,
        journal,
        keeping,
        merged,
        past,
        retention,
        shadow,
        staff,
        tiering,
        timers,
    )
    for name, text in vars(module).items()
    if name.isupper() and isinstance(text, str) and not name.startswith("_")
}


@pytest.mark.postgres
@pytest.mark.parametrize("name", _STATEMENTS)
async def test_a_statement_can_be_prepared(servers: Settings, name: str) -> None:
    role, text = _STATEMENTS[name]
    conn = await asyncpg.connect(servers.dsn(role))
    await conn.prepare(text)
    await conn.close()
