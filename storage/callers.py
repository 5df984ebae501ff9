"""Who may send images: application entities and sites, of all tenants (role rr_ingest)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.faults import AWAY
from storage.ingest import Away

if TYPE_CHECKING:
    from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may call, and where we send to it: a row of ``ae`` with what its site says."""

    tenant_id: str
    site_id: str
    issuer: str
    aet: str
    called_aet: str | None
    source: str | None  # CIDR
    ae_id: str = ""
    wide: bool = False  # of the whole tenant: it sees every site
    host: str = ""
    port: int = 0
    tls: bool = False  # we send under TLS
    certificate: str | None = None  # PEM; who shows it is this one, and nobody else


_CALLERS = """
SELECT a.tenant_id, a.site_id, s.issuer, a.aet, a.called_aet, a.source::text AS source, a.ae_id, a.wide, a.host, a.port,
       a.tls, a.certificate
  FROM rr.ae a JOIN rr.site s USING (tenant_id, site_id)
"""


async def callers(conn: Connection) -> list[Caller]:
    """Return every application entity that may call, of all tenants.

    Raises:
        Away: the database is.
    """
    try:
        return [Caller(**row) for row in await conn.fetch(_CALLERS)]
    except AWAY as exc:
        raise Away(type(exc).__name__) from exc


_SITE = (
    "SELECT site_id, issuer FROM rr.site WHERE tenant_id = $1 AND (site_id = $2 OR name = $2) ORDER BY site_id <> $2"
)


async def site(conn: Connection, tenant_id: str, named: str) -> tuple[str, str] | None:
    """Return id and issuer of the tenant's site of that id or name."""
    row = await conn.fetchrow(_SITE, tenant_id, named)
    return None if row is None else (row["site_id"], row["issuer"])


_OWNER = """
SELECT s.site_id, s.issuer FROM rr.dicom_study d JOIN rr.site s USING (tenant_id, site_id)
 WHERE d.tenant_id = $1 AND d.study_uid = $2
"""


async def owner(conn: Connection, tenant_id: str, study_uid: str) -> tuple[str, str] | None:
    """Return id and issuer of the site whose images stand under our UID."""
    row = await conn.fetchrow(_OWNER, tenant_id, study_uid)
    return None if row is None else (row["site_id"], row["issuer"])
