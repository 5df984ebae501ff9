"""One more Ray node on this machine, loopback only: `ray start` refuses that, as it binds every address by default."""

from __future__ import annotations

import json
import signal
import sys

from ray._private.node import Node
from ray._private.parameter import RayParams


def main() -> None:
    """Join the head at ``argv[1]`` with the resources ``argv[2]``, and stay until told to end."""
    parameters = RayParams(
        gcs_address=sys.argv[1],
        node_ip_address="127.0.0.1",
        num_cpus=1,
        num_gpus=0,
        object_store_memory=80_000_000,
        resources=json.loads(sys.argv[2]),
        include_log_monitor=False,
        min_worker_port=0,
        max_worker_port=0,
    )
    Node(parameters, head=False, shutdown_at_exit=True, spawn_reaper=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # its exit hook ends what it has started
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
