"""Two network namespaces with a wire between them, and Ray nodes in them: what a partition needs on one machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NEAR, FAR = "10.231.77.1", "10.231.77.2"
ROOT = str(Path(__file__).parents[2])
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # bind the node's own address, not loopback
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_worker_niceness": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",  # a node that is cut off is given up after some 4 s
    "PYTHONPATH": ROOT,
}


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def impossible() -> str:
    """Return why no namespace can be made here, nothing when one can."""
    if os.geteuid() != 0:
        return "a network namespace needs root"
    if shutil.which("ip") is None:
        return "a network namespace needs iproute2: apt-get install iproute2"
    name = f"rr-probe-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except subprocess.CalledProcessError as exc:
        return f"no network namespace can be made here (CAP_SYS_ADMIN, CAP_NET_ADMIN): {exc.stderr.strip()}"
    return ""


@contextmanager
def wired() -> Iterator[tuple[str, str]]:
    """Two namespaces that see each other, and nothing else; removed at the end with whoever is in them."""
    near, far = f"rr-near-{os.getpid()}", f"rr-far-{os.getpid()}"
    try:
        for name in (near, far):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", near, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", far)
        for name, address in ((near, NEAR), (far, FAR)):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
            _ip("-n", name, "link", "set", "wire", "up")
        yield near, far
    finally:
        for name in (near, far):
            with suppress(subprocess.CalledProcessError, ProcessLookupError):
                pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True)
                for pid in map(int, pids.stdout.split()):
                    os.kill(pid, signal.SIGKILL)
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", name)


def cut(namespace: str, *, off: bool) -> None:
    """Pull the wire out of a namespace, or put it back."""
    _ip("-n", namespace, "link", "set", "wire", "down" if off else "up")


def free_port() -> int:
    """Return a TCP port that nobody listens on in this namespace."""
    with socket.socket() as probe:
        probe.bind((NEAR, 0))
        return int(probe.getsockname()[1])


def node(namespace: str, directory: Path, *words: str, shard: int) -> subprocess.Popen[bytes]:
    """Start a Ray node in a namespace: a head with ``--head``, else one that joins ``--address``."""
    log = (directory / f"node-{namespace}-{shard}.log").open("wb")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *words]
    command += ["--num-cpus=1", "--object-store-memory=80000000"]
    command += [f"--resources={json.dumps({'shard': shard})}"] if shard else []
    with log:
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, env=os.environ | ENVIRONMENT,
        )  # fmt: skip
