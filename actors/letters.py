"""Sets messages aside on which an entity fails: a row, a metric and an error in the log, and nothing waits for them."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from actors import meters
from storage import letters
from storage.faults import AWAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.commands import Envelope
    from actors.domain.identity import Key
    from storage.pool import Database
    from storage.timers import Timer

log = structlog.get_logger()


def cause(exc: BaseException) -> str:
    """Return the class of an exception and where it was raised; its text may hold a name and is not kept."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    frames = traceback.extract_tb(exc.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(exc).__name__}{where}"


class DeadLetters:
    """The dead letters of a host's entities.

    Args:
        db: role rr_host.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def note(self, key: Key, envelope: Envelope, exc: Exception) -> None:
        """Note a command that its sender is told of; without the database the log has to do."""
        command = type(envelope.command).__name__
        self._say(key.tenant_id, key.entity, command, exc)
        by = (envelope.by.user_id if envelope.by else None, envelope.idem)
        try:
            async with self._db.scope([key.tenant_id]) as conn:
                await letters.note(conn, (key.tenant_id, key.entity), command, cause(exc), by)
        except AWAY as away:
            log.warning("dead letter not kept", cause=type(away).__name__)

    async def park(self, key: Key, inbox_ids: Sequence[int], exc: Exception, tries: int) -> None:
        """Take images out of the inbox: they are stored, their study was not told.

        Raises:
            OSError, asyncpg.PostgresError: they are still there.
        """
        async with self._db.scope([key.tenant_id]) as conn:
            await letters.park(conn, (key.tenant_id, key.entity), inbox_ids, cause(exc), tries)
        self._say(key.tenant_id, key.entity, "ImagesArrived", exc)

    async def stop(self, timer: Timer, exc: Exception, tries: int) -> None:
        """Take a timer out of those that fire.

        Raises:
            OSError, asyncpg.PostgresError: it still fires.
        """
        async with self._db.scope([timer.tenant_id]) as conn:
            await letters.stop(conn, timer, cause(exc), tries)
        self._say(timer.tenant_id, timer.entity, timer.name, exc)

    def _say(self, tenant_id: str, entity: str, command: str, exc: Exception) -> None:
        meters.DEAD_LETTERS.inc()
        log.error("DeadLetter", tenant_id=tenant_id, entity=entity, command=command, cause=cause(exc))
