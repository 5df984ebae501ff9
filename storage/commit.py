"""Commits a batch of what commands change in one round trip."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from storage.packing import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.unit import Unit

COMMIT = "SELECT rr.commit_batch($1::jsonb, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

_FENCED = "23505"
_DEPOSED = "RR001"
_AGAIN = frozenset({"40001", "40P01"})  # serialization, deadlock: nothing happened


class Fenced(Exception):
    """Another owner wrote this version first, or this command has its answer already."""


class Deposed(Exception):
    """Another decider has taken over the tenant."""


class Late(Exception):
    """A command's deadline has passed; nothing of the batch happened."""


class Refused(Exception):
    """The database refused the batch; nothing of it happened."""

    @property
    def for_good(self) -> bool:
        """Whether it refuses what was in it (SQLSTATE classes 21, 22, 23), and would again."""
        return str(self).startswith(("21", "22", "23"))


class Lost(Exception):
    """The connection broke during the commit; it may or may not have happened."""


class Away(Exception):
    """There is no connection; nothing was sent."""


class Lane:
    """One connection of ``rr_host`` that commits batches, one after the other."""

    def __init__(self, dsn: str, *, timeout_s: float = 10) -> None:
        self._dsn, self._timeout_s = dsn, timeout_s
        self._conn: asyncpg.Connection[Any] | None = None

    async def open(self) -> None:
        """Connect.

        Raises:
            Away: the database does not answer.
        """
        if self._conn is None or self._conn.is_closed():
            try:
                self._conn = await asyncpg.connect(self._dsn, timeout=3)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                raise Away(type(exc).__name__) from exc

    async def close(self) -> None:
        """Disconnect."""
        if self._conn is not None:
            await self._conn.close(timeout=2)
            self._conn = None

    async def commit(self, units: Sequence[Unit]) -> dict[str, int]:
        """Commit them all or none; return the feed position of each tenant whose feed grew.

        Raises:
            Fenced: one of them is stale, or repeats a command that has its answer.
            Deposed: one of them carries the epoch of a former decider.
            Late: one of them is past its deadline: a host that was frozen after it had decided, say.
            Refused: nothing happened.
            Lost: the outcome is unknown.
            Away: nothing was sent.
        """
        arguments = pack(units)
        await self.open()
        assert self._conn is not None  # noqa: S101 - open() either connects or raises
        now = time()  # after connecting, which may take seconds, and right before it becomes true
        if any(unit.deadline is not None and now > unit.deadline for unit in units):
            raise Late
        try:
            grown = await self._conn.fetchval(COMMIT, *arguments, timeout=self._timeout_s)
        except asyncpg.PostgresError as exc:
            raise self._translate(exc) from exc
        except (OSError, TimeoutError, asyncpg.InterfaceError) as exc:
            self._forget()
            raise Lost(type(exc).__name__) from exc
        positions: dict[str, int] = msgspec.json.decode(grown)
        return positions

    def _forget(self) -> None:
        if self._conn is not None:
            self._conn.terminate()
            self._conn = None

    def _translate(self, exc: asyncpg.PostgresError) -> Exception:
        state = exc.sqlstate or ""
        if state == _FENCED:
            return Fenced(exc.constraint_name or "")
        if state == _DEPOSED:
            return Deposed()
        if state in _AGAIN or not state.startswith(("57", "08")):
            return Refused(f"{state} {type(exc).__name__}")
        self._forget()  # the server goes down, or cut the connection: it may have committed first
        return Lost(state)
