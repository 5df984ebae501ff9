"""A Ray head for tests: loopback only, fresh ports, ended with its whole group."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    "RAY_worker_niceness": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "PYTHONPATH": str(Path(__file__).parents[2]),
}


def start_head(directory: Path, log: IO[bytes], *, shard: int = 100) -> tuple[subprocess.Popen[bytes], str]:
    """Start a head with room for so many shard hosts and return its process and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats",
            "--node-ip-address=127.0.0.1", f"--port={port}", "--include-dashboard=false", "--num-cpus=2",
            "--object-store-memory=80000000", f'--resources={{"shard": {shard}}}', f"--temp-dir={directory / 'r'}",
        ],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, env=os.environ | _ENVIRONMENT,
    )  # fmt: skip
    return process, f"127.0.0.1:{port}"


def start_node(address: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start one more node with room for one shard host."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.actors.second_node", address, '{"shard": 1}'],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, env=os.environ | _ENVIRONMENT,
    )  # fmt: skip


def kill_head(process: subprocess.Popen[bytes]) -> None:
    """Kill a head or a node and all it started, each by its pid, as when its machine loses power."""
    for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()


def end_head(process: subprocess.Popen[bytes]) -> None:
    """Stop a head or a node in good order, then whatever of it is left."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
