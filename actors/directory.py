"""Names of sites and policies of tenants, at most a second old."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from storage import hydrate

if TYPE_CHECKING:
    from actors.domain.policy import Policy
    from storage.hydrate import Site
    from storage.pool import Database

_FRESH_S = 0.8


class _Known(NamedTuple):
    at: float
    sites: dict[str, Site]
    policy: Policy
    shadow: Policy | None


class Directory:
    """What changes rarely and is asked often; shared by the entities of a host."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, _Known] = {}
        self._reading_of: dict[str, asyncio.Task[_Known]] = {}  # whoever asks meanwhile waits for the same
        self._reading: dict[str, set[str]] = {}
        self._policies: dict[tuple[str, int], Policy] = {}  # a version never changes

    async def look_around(self, tenants: list[str]) -> None:
        """Read who is reading now, in whichever group: there she is busy for the others."""
        async with self._db.scope(tenants) as conn:
            self._reading = await hydrate.reading(conn)

    def forget(self, tenant_id: str) -> None:
        """Read a tenant's sites and policy anew when they are next asked for."""
        self._known.pop(tenant_id, None)
        self._reading_of.pop(tenant_id, None)

    def reading_elsewhere(self, tenant_id: str) -> set[str]:
        """Return who is reading for another group."""
        return {who for who, where in self._reading.items() if where - {tenant_id}}

    async def _of(self, tenant_id: str) -> _Known:
        known = self._known.get(tenant_id)
        if known is not None and monotonic() - known.at <= _FRESH_S:
            return known
        task = self._reading_of.get(tenant_id)
        if task is None:
            task = self._reading_of[tenant_id] = asyncio.create_task(self._read(tenant_id))
            task.add_done_callback(lambda done: self._read_by(tenant_id, done))
        return await asyncio.shield(task)

    def _read_by(self, tenant_id: str, done: asyncio.Task[_Known]) -> None:
        if self._reading_of.get(tenant_id) is not done:
            return  # what it has read is doubted already
        del self._reading_of[tenant_id]
        if not done.cancelled() and done.exception() is None:
            self._known[tenant_id] = done.result()

    async def _read(self, tenant_id: str) -> _Known:
        began = monotonic()
        async with self._db.scope([tenant_id]) as conn:
            sites = await hydrate.sites(conn, tenant_id)
            policy = await hydrate.policy_in_force(conn, tenant_id)
            shadow = await hydrate.policy_in_shadow(conn, tenant_id)
        self._policies[tenant_id, policy.version] = policy
        return _Known(began, sites, policy, shadow)

    async def site_name(self, tenant_id: str, site_id: str) -> str:
        """Return the name of a site, its id when nobody knows it."""
        site = (await self._of(tenant_id)).sites.get(site_id)
        return site.name if site else site_id

    async def sites(self, tenant_id: str) -> dict[str, Site]:
        """Return the tenant's sites."""
        return (await self._of(tenant_id)).sites

    async def policy(self, tenant_id: str) -> Policy:
        """Return the policy in force."""
        return (await self._of(tenant_id)).policy

    async def shadow(self, tenant_id: str) -> Policy | None:
        """Return the policy that is tried without effect, None when none is."""
        return (await self._of(tenant_id)).shadow

    async def policy_of(self, tenant_id: str, version: int) -> Policy:
        """Return a version of the policy: clocks keep the one that they began with."""
        known = self._policies.get((tenant_id, version))
        if known is None:
            async with self._db.scope([tenant_id]) as conn:
                known = self._policies[tenant_id, version] = await hydrate.policy_of(conn, tenant_id, version)
        return known
