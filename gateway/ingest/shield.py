"""DICOM over TLS (PS3.15 B.12, BCP 195): who is let in by certificate, and what we show ourselves.

Certificates that rows of application entities name are trusted as they stand, beside those of a configured authority;
any other ends the handshake. Without an authority a caller may show none, and is then told by its titles and address.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from storage.callers import Caller

HANDSHAKE_S = 10.0
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"


class Shield:
    """TLS for both directions.

    Args:
        certificate, key: what we show, PEM.
        authority: PEM of those whose certificates are known; every caller must then show one.
        rows: the application entities, read anew for each handshake.
    """

    def __init__(
        self, certificate: Path, key: Path | None, authority: Path | None, rows: Callable[[], Sequence[Caller]]
    ) -> None:
        self._certificate, self._key, self._authority, self._rows = certificate, key, authority, rows
        self._known: tuple[str, ...] | None = None
        self._server = self._context(ssl.PROTOCOL_TLS_SERVER, ())

    def accept(self, sock: socket.socket) -> ssl.SSLSocket:
        """Return a connection after its handshake, within ten seconds (blocking).

        Raises:
            OSError: it is no TLS, or not by anybody known.
        """
        known = tuple(sorted({row.certificate for row in self._rows() if row.certificate}))
        if known != self._known:
            self._server = self._context(ssl.PROTOCOL_TLS_SERVER, known)
            self._server.verify_mode = ssl.CERT_REQUIRED if self._authority else ssl.CERT_OPTIONAL
            self._known = known
        sock.settimeout(HANDSHAKE_S)
        return self._server.wrap_socket(sock, server_side=True)

    def call(self, sock: socket.socket, to: Caller) -> ssl.SSLSocket:
        """Return a connection to a peer, which must be the one whose certificate its row names, if it does.

        Raises:
            OSError: no TLS with this peer.
        """
        context = self._context(ssl.PROTOCOL_TLS_CLIENT, [to.certificate] if to.certificate else ())
        context.check_hostname = to.certificate is None
        return context.wrap_socket(sock, server_hostname=to.host)

    def _context(self, side: int, known: Iterable[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a certificate is trusted as it is, whoever signed it
        context.load_cert_chain(self._certificate, self._key)
        if self._authority:
            context.load_verify_locations(self._authority)
        for pem in known:
            context.load_verify_locations(cadata=pem)
        return context


def shown(sock: socket.socket) -> bytes | None:
    """Return the certificate that the peer has shown and proved, DER; None in the clear or without one."""
    return sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
