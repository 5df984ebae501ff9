"""Names of sites and policies of tenants, at most a second old."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from actors.domain.policy import Policy, policy
from storage import hydrate

if TYPE_CHECKING:
    from storage.hydrate import Site
    from storage.pool import Database

_FRESH_S = 0.8


class _Known(NamedTuple):
    at: float
    sites: dict[str, Site]
    policy: Policy


class Directory:
    """What changes rarely and is asked often; shared by the entities of a host."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, _Known] = {}
        self._reading: dict[str, set[str]] = {}

    async def look_around(self, tenants: list[str]) -> None:
        """Read who is reading now, in whichever group: there she is busy for the others."""
        async with self._db.scope(tenants) as conn:
            self._reading = await hydrate.reading(conn)

    def reading_elsewhere(self, tenant_id: str) -> set[str]:
        """Return who is reading for another group."""
        return {who for who, where in self._reading.items() if where - {tenant_id}}

    async def _of(self, tenant_id: str) -> _Known:
        known = self._known.get(tenant_id)
        if known is None or monotonic() - known.at > _FRESH_S:
            async with self._db.scope([tenant_id]) as conn:
                sites = await hydrate.sites(conn, tenant_id)
                body = await hydrate.policy_body(conn, tenant_id)
            known = self._known[tenant_id] = _Known(monotonic(), sites, policy(body))
        return known

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
