"""Every host in this process: for tests, and for trying the actors out without Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.router import Router
from actors.shard import Place, ShardHost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.commands import Envelope
    from actors.domain.errors import ReadingRoomError
    from actors.domain.identity import Key


class Local:
    """The same hosts, mailboxes and router, without Ray between them."""

    def __init__(self, place: Place, hosts: int = 1) -> None:
        self._router = Router(self, hosts)
        self.hosts = [ShardHost(i, hosts, place, self._router) for i in range(hosts)]

    async def start(self) -> None:
        """Start every host, as their health check does on Ray."""
        for host in self.hosts:
            await host.start()

    async def stop(self) -> None:
        """Stop every host."""
        for host in self.hosts:
            await host.stop()

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Return the answer of an entity.

        Raises:
            ReadingRoomError: the refusal.
        """
        return await self._router.ask(key, envelope)

    async def call(self, host: int, asked: Sequence[tuple[Key, Envelope]]) -> list[dict[str, Any] | ReadingRoomError]:
        """Return an outcome for each ask."""
        return await self.hosts[host].batch(asked)
