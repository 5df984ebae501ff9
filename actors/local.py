"""Every host in this process: for tests, and for trying the actors out without Ray."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actors.router import Router, Unreachable
from actors.shard import Place, Post, ShardHost
from actors.whereabouts import Whereabouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain.commands import Envelope
    from actors.domain.identity import Key
    from actors.router import Outcome


class Local:
    """The same hosts, mailboxes, placement and router, without Ray between them; begun by the first ask at the latest.

    Args:
        place: where the servers are.
        hosts: how many to begin with.
        doubled: be one host that knows of no other, as one that a partition hides: for tests of the fence.
    """

    def __init__(self, place: Place, hosts: int = 1, *, doubled: bool = False) -> None:
        self._place = place
        self.hosts: dict[str, ShardHost] = {}
        for index in range(hosts):
            self._make(Post(str(index), doubled=doubled))
        self._where = Whereabouts(place.timer_dsn)
        self._router = Router(self, self.hosts["0"].tenure if doubled else self._where)

    def _make(self, post: Post) -> ShardHost:
        self.hosts[post.name] = host = ShardHost(post, self._place, self)
        return host

    async def start(self) -> None:
        """Start every host, as their health check does on Ray."""
        for host in self.hosts.values():
            await host.start()

    async def add(self, name: str, tenant_id: str = "") -> ShardHost:
        """Start one more host; it gets its share."""
        host = self._make(Post(name, tenant_id))
        await host.start()
        return host

    async def remove(self, name: str) -> None:
        """Stop a host without further ado, as when its machine is switched off in good order."""
        await self.hosts.pop(name).stop()

    async def stop(self) -> None:
        """Stop every host."""
        await asyncio.gather(*(host.stop() for host in self.hosts.values()))
        await self._where.close()

    async def ask(self, key: Key, envelope: Envelope) -> dict[str, Any]:
        """Return the answer of an entity.

        Raises:
            ReadingRoomError: the refusal.
        """
        await self.start()
        return await self._router.ask(key, envelope)

    async def call(self, host: str, asked: Sequence[tuple[Key, Envelope]]) -> list[Outcome]:
        """Return an outcome for each ask.

        Raises:
            Unreachable: there is no such host.
        """
        if host not in self.hosts:
            raise Unreachable(host)
        return await self.hosts[host].batch(asked)
