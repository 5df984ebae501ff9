"""Every statement of the REST interface, of sessions and of administration is one that its role may prepare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from storage import access, admin, orders_read, peers, people, policies, reports_read, sessions, studies_read, worklist

if TYPE_CHECKING:
    from types import ModuleType

    from readingroom.settings import Settings

_BY: dict[str, tuple[ModuleType, ...]] = {
    "rr_app": (access, orders_read, policies, reports_read, studies_read, worklist),
    "rr_login": (access, people, sessions),
    "rr_admin": (access, admin, peers, policies, sessions),
}
_WHOLE = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_FRAGMENTS = {"_WHO", "ROW", "_REPORT"}  # others begin with them


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
