"""Every statement of the REST interface, of sessions and of administration is one that its role may prepare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from storage import (
    access,
    admin,
    answers,
    holds,
    live,
    merged,
    orders_read,
    peers,
    people,
    policies,
    readers,
    reports_read,
    rosters,
    sessions,
    sheets,
    shifts,
    studies_read,
    worklist,
)  # fmt: skip

if TYPE_CHECKING:
    from types import ModuleType

    from readingroom.settings import Settings

_BY: dict[str, tuple[ModuleType, ...]] = {
    "rr_app": (
        access, answers, live, merged, orders_read, policies, readers, reports_read, rosters, sheets, shifts, studies_read,
        worklist,
    ),
    "rr_login": (access, people, sessions),
    "rr_admin": (access, admin, holds, peers, policies, readers, rosters, sessions, sheets, shifts),
}  # fmt: skip
_WHOLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_FRAGMENTS = {"_WHO", "ROW", "_ROW", "_REPORT", "_ABSENCE"}  # others begin with them


def _statements() -> list[tuple[str, str, str]]:
    return [
        (role, f"{module.__name__}.{name}", text)
        for role, modules in _BY.items()
        for module in modules
        for name, text in vars(module).items()
        if isinstance(text, str) and text.lstrip().startswith(_WHOLE) and name not in _FRAGMENTS
    ]


@pytest.mark.postgres
@pytest.mark.parametrize(("role", "name", "text"), _statements(), ids=[f"{r}-{n}" for r, n, _ in _statements()])
async def test_a_statement_can_be_prepared(servers: Settings, role: str, name: str, text: str) -> None:
    conn = await asyncpg.connect(servers.dsn(role))
    await conn.prepare(text)
    await conn.close()
