"""A connection that a thread drives by itself: values, refusals, and what is done when it is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from storage.ingest import Away
from storage.line import Line, at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from readingroom.settings import Settings

pytestmark = pytest.mark.postgres


@pytest.fixture
def line(servers: Settings) -> Iterator[Line]:
    made = Line(servers.dsn("rr_ingest"))
    yield made
    at_once(made.close())


def _asked(line: Line, statement: str, *values: str) -> Any:
    return at_once(at_once(line.connection()).fetchval(statement, *values))


def test_a_value_comes_back_as_text(line: Line) -> None:
    for text in ("", "Ünïcode 語", "x" * 3_000_000):
        assert _asked(line, "SELECT $1::text || $2", text, "!") == text + "!"
    assert _asked(line, "SELECT 1 WHERE $1 = 'never'", "no") is None
    assert _asked(line, "SELECT octet_length($1)::text", "語") == "3"


def test_what_the_server_refuses_is_told_and_the_next_statement_runs(line: Line) -> None:
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        _asked(line, "SELECT $1::text::jsonb", "{")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        _asked(line, "SELEKT $1", "{")
    assert _asked(line, "SELECT $1", "fine") == "fine"


def test_nothing_is_left_of_a_statement_for_the_next(line: Line) -> None:
    assert _asked(line, "SELECT set_config('rr.tenants', $1, true)", "{t}") == "{t}"
    assert _asked(line, "SELECT coalesce(current_setting('rr.tenants', true), '')") == ""


async def test_a_connection_that_was_ended_is_opened_again_before_it_is_needed(line: Line, servers: Settings) -> None:
    def pid() -> int:
        return int(_asked(line, "SELECT pg_backend_pid()::text"))

    before = await asyncio.to_thread(pid)
    admin = await asyncpg.connect(servers.admin_dsn)
    assert await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", before)
    await admin.close()
    assert await asyncio.to_thread(pid) != before


async def test_a_connection_that_ends_in_the_middle_is_an_error_of_the_connection(
    line: Line, servers: Settings
) -> None:
    def ends() -> None:
        with pytest.raises(asyncpg.AdminShutdownError):
            _asked(line, "SELECT pg_terminate_backend(pg_backend_pid())::text")

    await asyncio.to_thread(ends)
    assert await asyncio.to_thread(_asked, line, "SELECT $1", "again") == "again"


def test_without_a_server_it_is_away(servers: Settings) -> None:
    nobody = Line(servers.dsn("rr_ingest").replace("rr_ingest", "rr_nobody"))
    with pytest.raises(Away):
        at_once(nobody.connection())
    at_once(nobody.close())
    nowhere = Line("postgresql://rr_ingest:x@127.0.0.1:1/rr")
    with pytest.raises(Away):
        at_once(nowhere.connection())
    at_once(nowhere.close())


def test_what_waits_is_no_call_of_this_kind() -> None:
    with pytest.raises(RuntimeError):
        at_once(asyncio.sleep(0))
