"""What an entity may use of its host: reading, committing, telling others, the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

    from actors.directory import Directory
    from actors.domain.commands import Envelope, FireTimer
    from actors.domain.identity import Key
    from actors.domain.unit import Unit
    from actors.reads import Reads
    from storage.pool import Database


class World(Protocol):
    """A host, as its entities see it; ``actors.shard.ShardHost`` is the real one."""

    @property
    def db(self) -> Database:
        """Reads, as role rr_host."""
        ...

    @property
    def reads(self) -> Reads:
        """Studies by key, many in one query."""
        ...

    @property
    def directory(self) -> Directory:
        """Names of sites and policies of tenants, at most a second old."""
        ...

    def now(self) -> datetime:
        """UTC."""
        ...

    async def commit(self, unit: Unit) -> None:
        """Make a unit durable, then its timers known to the host.

        Raises:
            Fenced, Deposed, Late, Refused, Away: nothing of it happened.
            Lost: it may have happened.
        """
        ...

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Ask an entity, here or on another host; never while holding one's own mailbox."""
        ...

    def tell(self, key: Key, envelope: Envelope) -> None:
        """Send a message and go on; it may be lost."""
        ...

    async def drop(self, key: Key, timer: FireTimer) -> None:
        """Delete a timer that found nothing to do."""
        ...

    def say(self, channel: str, text: str) -> None:
        """Publish a hint."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the mailboxes; its failure is logged."""
        ...

    async def find(self, tenant_id: str, user_id: str, idem: str) -> tuple[bytes, dict[str, Any]] | None:
        """Return the digest and answer of a command that was answered before."""
        ...
