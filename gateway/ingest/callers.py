"""Who is calling: (calling AE title, called AE title, source address) to tenant and site."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from gateway.ingest.receiving import Sender
from storage.ingest import Away

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Address, IPv6Address

    from storage.callers import Caller

FRESH_S = 0.5  # so that a change acts within a second
CALLING_UNKNOWN, CALLED_UNKNOWN = 3, 7  # PS3.8 9.3.4, reasons of the service user


class Stranger(Exception):
    """Nobody we know; ``reason`` is that of the A-ASSOCIATE-RJ."""

    def __init__(self, reason: int) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Callers:
    """The table of application entities, read again when older than half a second.

    Args:
        own_aet: what we are called by those whose row names nothing else.
        read: fetches the table, from any thread.
    """

    own_aet: str
    read: Callable[[], Sequence[Caller]]
    _rows: Sequence[Caller] | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)

    def find(self, calling: str, called: str, address: str, certificate: bytes | None = None) -> Sender:
        """Return whose images a caller sends; ``certificate`` (DER) is what it has proved to be.

        Raises:
            Stranger: the caller is unknown from there, or calls us by a name that is not ours.
            Away: the table was never read and the database is away.
        """
        return match(self.table(), self.own_aet, calling, called, address, certificate)

    def table(self) -> Sequence[Caller]:
        """Return every row, as of half a second ago at most."""
        if self._rows is None or time.monotonic() > self._until:
            try:
                self._rows = self.read()
            except Away:
                if self._rows is None:
                    raise
            self._until = time.monotonic() + FRESH_S
        return self._rows


def match(  # noqa: PLR0913, PLR0917 - all that is known of a call
    rows: Sequence[Caller], own_aet: str, calling: str, called: str, address: str, certificate: bytes | None = None
) -> Sender:
    """Return the sender that the certificate names, else the narrowest row: the called title first, then the source.

    A row with a certificate is for whoever shows it and nobody else.

    Raises:
        Stranger: no row, or two sites could claim the call.
    """
    source, everyone = _plain(address), rows
    shown = [row for row in rows if certificate and row.certificate and der(row.certificate) == certificate]
    titled = [row for row in shown if row.aet == calling]
    if shown and not titled and len({(row.tenant_id, row.site_id) for row in shown}) == 1:
        titled = [replace(shown[0], aet=calling, called_aet=None, source=None)]
    rows = titled if shown else [row for row in rows if row.certificate is None]
    near = [row for row in rows if row.aet == calling and _within(source, row.source)]
    if not near:
        raise Stranger(CALLING_UNKNOWN)
    if called != own_aet and all(row.called_aet != called for row in everyone):
        raise Stranger(CALLED_UNKNOWN)
    fitting = [row for row in near if row.called_aet in (None, called)]
    if not fitting:
        raise Stranger(CALLED_UNKNOWN)
    narrowest = max(map(_narrowness, fitting))
    best = {(r.tenant_id, r.site_id): r for r in fitting if _narrowness(r) == narrowest}
    if len(best) > 1:
        raise Stranger(CALLING_UNKNOWN)
    (row,) = best.values()
    return Sender(row.tenant_id, row.site_id, row.issuer, calling, row.ae_id, row.wide)


@lru_cache(maxsize=1024)
def der(certificate: str) -> bytes:
    """Return a PEM certificate as it is shown."""
    return ssl.PEM_cert_to_DER_cert(certificate)


def destination(rows: Sequence[Caller], sender: Sender, title: str) -> Caller | None:
    """Return where a caller may have images sent: to its own site, its whole tenant, or any site of it if it sees all."""
    own = [row for row in rows if row.tenant_id == sender.tenant_id and row.aet == title]
    return next((row for row in own if sender.wide or row.wide or row.site_id == sender.site_id), None)


def _plain(address: str) -> IPv4Address | IPv6Address:
    parsed = ip_address(address.partition("%")[0])
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _within(source: IPv4Address | IPv6Address, network: str | None) -> bool:
    return network is None or source in ip_network(network)


def _narrowness(row: Caller) -> tuple[bool, int]:
    return row.called_aet is not None, ip_network(row.source).prefixlen if row.source else -1
