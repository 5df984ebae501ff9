"""Machines that we know: who may send images, who is told of signed reports (role rr_admin)."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from uuid_utils import uuid7

from actors.domain.errors import BadPayload
from storage import access
from storage.credentials import new_token

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from storage.pool import Connection

_LOCK = "LOCK TABLE rr.ae IN SHARE ROW EXCLUSIVE MODE"
_SAME_TITLE = """
SELECT a.tenant_id, a.site_id, a.ae_id, a.called_aet, a.source::text AS source, a.certificate
  FROM rr.ae a WHERE a.aet = $1 ORDER BY a.tenant_id, a.site_id
"""
_ADD = """
INSERT INTO rr.ae (tenant_id, site_id, ae_id, aet, called_aet, source, host, port, wide, tls, certificate)
VALUES ($1, $2, $3, $4, $5, $6::text::cidr, $7, $8, $9, $10, $11)
"""
_MOVE = (
    "UPDATE rr.ae SET host = $3, port = $4, wide = $5, tls = $6, certificate = $7 WHERE tenant_id = $1 AND ae_id = $2"
)

_WEBHOOK = """
SELECT webhook_id FROM rr.webhook WHERE tenant_id = $1 AND site_id IS NOT DISTINCT FROM $2 AND url = $3
"""
_WEBHOOK_ADD = "INSERT INTO rr.webhook (tenant_id, webhook_id, site_id, url, secret) VALUES ($1, $2, $3, $4, $5)"
_WEBHOOK_SET = "UPDATE rr.webhook SET secret = $3 WHERE tenant_id = $1 AND webhook_id = $2"


_END = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Ae:
    """An application entity of a site: how it calls us, and where we send."""

    tenant_id: str
    site_id: str
    aet: str
    host: str
    port: int
    called_aet: str | None = None  # None: any
    source: str | None = None  # CIDR; None: any
    wide: bool = False  # of the whole tenant: it sees every site, and its own images are the site's
    tls: bool = False  # we send to it under TLS
    certificate: str | None = None  # PEM: only who shows it is this one


def _title(text: str, field: str) -> str:
    text = text.strip()
    if not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", text):  # PS3.5 6.2, AE
        raise BadPayload(f"{text!r} is not an AE title: 1 to 16 characters, no backslash.", {"field": field})
    return text


def _network(text: str | None) -> IPv4Network | IPv6Network | None:
    try:
        return None if text is None else ip_network(text, strict=False)
    except ValueError:
        raise BadPayload(f"{text!r} is not a range of addresses; one is 10.1.0.0/16.", {"field": "from"}) from None


def _certificate(text: str | None) -> str | None:
    """Return one PEM certificate in its plainest form."""
    if text is None:
        return None
    begin, end = text.find("-----BEGIN CERTIFICATE-----"), text.find(_END)
    try:
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)] + "\n"))
    except (ValueError, ssl.SSLError):
        raise BadPayload("That is not a certificate in PEM.", {"field": "certificate"}) from None


def _overlap(a: IPv4Network | IPv6Network | None, b: IPv4Network | IPv6Network | None) -> bool:
    if a is None or b is None:
        return True
    return a.version == b.version and a.overlaps(b)


async def add_ae(conn: Connection, ae: Ae) -> str:
    """Add who may call us, or where we send to one who is known; return its id.

    Raises:
        BadPayload: not a title, range or port; a call could be from another site as well.
    """
    aet = _title(ae.aet, "aet")
    called = None if ae.called_aet is None else _title(ae.called_aet, "called")
    source = _network(ae.source)
    if not 0 < ae.port < 65_536:  # noqa: PLR2004 - TCP
        raise BadPayload(f"{ae.port} is not a port.", {"field": "port"})
    if not ae.host.strip():
        raise BadPayload("The host is empty.", {"field": "host"})
    secured = ae.wide, ae.tls, _certificate(ae.certificate)
    await conn.execute(_LOCK)
    rows = await conn.fetch(_SAME_TITLE, aet)
    own = [row for row in rows if (row["tenant_id"], row["site_id"]) == (ae.tenant_id, ae.site_id)]
    for known in rows:
        if known in own or known["certificate"] != secured[2]:
            continue
        if (known["called_aet"] is None or called in (None, known["called_aet"])) and _overlap(
            _network(known["source"]), source
        ):
            raise BadPayload(
                f"{aet} already belongs to site {known['site_id']} of tenant {known['tenant_id']}: a call could be from "
                "either. Tell them apart by --called, --from or --certificate.",
                {"field": "aet"},
            )
    for known in own:
        if known["called_aet"] == called and _network(known["source"]) == source:
            await conn.execute(_MOVE, ae.tenant_id, known["ae_id"], ae.host.strip(), ae.port, *secured)
            await access.record(conn, ae.tenant_id, None, "ae_changed", known["ae_id"])
            return str(known["ae_id"])
    ae_id = str(uuid7())
    place = None if source is None else str(source)
    await conn.execute(_ADD, ae.tenant_id, ae.site_id, ae_id, aet, called, place, ae.host.strip(), ae.port, *secured)
    await access.record(conn, ae.tenant_id, None, "ae_added", ae_id)
    return ae_id


async def add_webhook(
    conn: Connection, tenant_id: str, site_id: str | None, url: str, secret: str | None = None
) -> tuple[str, str | None]:
    """Add whom to tell of signed reports; return its id, and a secret that was made for it.

    Raises:
        BadPayload: not an http or https address.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadPayload(f"{url!r} is not an http or https address.", {"field": "url"})
    webhook_id: str | None = await conn.fetchval(_WEBHOOK, tenant_id, site_id, url)
    if webhook_id is not None:
        if secret is not None:
            await conn.execute(_WEBHOOK_SET, tenant_id, webhook_id, secret)
            await access.record(conn, tenant_id, None, "webhook_changed", webhook_id)
        return webhook_id, None
    made = new_token() if secret is None else None
    webhook_id = str(uuid7())
    await conn.execute(_WEBHOOK_ADD, tenant_id, webhook_id, site_id, url, secret or made)
    await access.record(conn, tenant_id, None, "webhook_added", webhook_id)
    return webhook_id, made
