"""What one run of an instance holds against all others: its directory and its ports."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import TYPE_CHECKING

from readingroom.embedded import CannotStart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class InUse(Exception):
    """Another supervisor works in this directory."""


@contextlib.contextmanager
def claim(data: Path) -> Iterator[None]:
    """Hold the directory against every other supervisor.

    Raises:
        InUse: one is at work there.
    """
    with (data / "run" / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InUse(f"{data} is in use by the readingroom with pid {lock.read().strip() or '?'}.") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def reserve(host: str, port: int) -> socket.socket:
    """Return a socket that keeps a port for our processes (SO_REUSEPORT) without listening on it.

    Raises:
        CannotStart: something else listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:  # without SO_REUSEPORT: no instance shares it with another
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            port = probe.getsockname()[1]
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
    except OSError as exc:
        msg = (
            f"port {port} of {host} cannot be used: {exc.strerror or exc}. Choose another with --port or --dicom-port."
        )
        raise CannotStart(msg) from exc
    return held
