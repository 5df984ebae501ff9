"""Ray's head as a child of the supervisor: bound to loopback, on a fresh port a run, never owned by a gateway."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import readingroom
from readingroom import orphans

if TYPE_CHECKING:
    from readingroom.settings import Settings

_LONGEST_TEMP = 44  # Ray appends 63 bytes to it, and a socket's path holds 107

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # binds loopback only
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # else it waits 30 s for detached actors when it is stopped
    "RAY_worker_niceness": "0",
    "RAY_enable_worker_prestart": "0",  # actors only: idle workers would be memory for nothing
    "RAY_prestart_worker_first_driver": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}


def environment(settings: Settings) -> dict[str, str]:
    """Return Ray's switches for our processes; a cluster elsewhere is reached by this machine's own address."""
    host = (settings.ray_address or "").rpartition(":")[0]
    elsewhere = bool(host) and host != "localhost" and not host.startswith("127.")
    return ENVIRONMENT | ({"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"} if elsewhere else {})


def python_path() -> str:
    """Return where children import this package from, installed or not."""
    root = str(Path(readingroom.__file__).parents[1])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def temp_dir(settings: Settings) -> Path:
    """Return where Ray keeps its sockets: in the instance's directory if its path is short enough."""
    inside = settings.run / "ray"
    if len(str(inside)) <= _LONGEST_TEMP:
        return inside
    digest = hashlib.sha256(str(settings.data).encode()).hexdigest()[:12]
    return Path("/tmp") / f"rr-{digest}"  # noqa: S108 - made with mode 0700 below


def start(settings: Settings) -> subprocess.Popen[bytes]:
    """Start a head of our own on a fresh port and say in ``run/ray.port`` where it is."""
    clean(settings)
    orphans.sweep(settings.data, part="ray", grace_s=0)
    temp_dir(settings).mkdir(mode=0o700)
    port = free_port()
    log = (settings.data / "logs" / "ray.log").open("ab")
    resources = {"shard": 10_000, "inference": 10_000}
    with log:
        process = subprocess.Popen(  # noqa: S603
            [
                sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats",
                "--node-ip-address=127.0.0.1", f"--port={port}", "--include-dashboard=false", "--num-gpus=0",
                "--no-monitor", "--include-log-monitor=false",  # no autoscaler here, and logs go to files of our own
                "--object-store-memory=80000000", f"--num-cpus={os.cpu_count() or 1}",
                f"--resources={json.dumps(resources)}", f"--temp-dir={temp_dir(settings)}",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", process_group=0,
            env=os.environ | ENVIRONMENT | {orphans.PART: "ray", "PYTHONPATH": python_path()},
        )  # fmt: skip
    settings.publish_ray_port(port)
    return process


def clean(settings: Settings) -> None:
    """Remove Ray's temporary directory."""
    shutil.rmtree(temp_dir(settings), ignore_errors=True)
