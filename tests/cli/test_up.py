"""`readingroom up`, as a user meets it: one line when ready, clear refusals, nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from readingroom import orphans
from tests.cli.stack import stack
from tests.conftest import short_directory

if TYPE_CHECKING:
    from tests.cli.stack import Stack

KINDS = {"postgres", "valkey", "ray", "shard", "inference", "gateway", "dicom"}


def begins_s(up: Stack) -> float:
    """Return how long a command that does nothing takes at this moment."""
    began = time.monotonic()
    assert up.run("admin", "status", "--help").returncode == 0
    return time.monotonic() - began


def at_once(up: Stack, usual_s: float) -> dict[str, Any]:
    """Return the status, which takes five seconds at most where a command begins within one."""
    began = time.monotonic()
    shown = up.status()
    took_s = time.monotonic() - began
    assert took_s < 5 * max(1.0, usual_s) or took_s < 5 * begins_s(up)  # others start at the same time
    return shown


@pytest.mark.stack
def test_up_says_ready_serves_refuses_a_second_one_and_stops_without_a_trace() -> None:
    with short_directory("rr-up-") as data, stack(data, "--gateways", "2") as up:
        http, dicom = up.ready()
        with urllib.request.urlopen(f"{http}/readyz") as answer:
            assert answer.status == 200
        host, _, port = dicom.rpartition(":")
        socket.create_connection((host, int(port))).close()

        shown = at_once(up, begins_s(up))
        assert {p["kind"] for p in shown["processes"]} == KINDS
        assert all(p["healthy"] and p["restarts"] == 0 for p in shown["processes"]), shown
        assert len({p["url"] for p in shown["processes"] if p["kind"] == "gateway"}) == 2
        assert shown["jobs"] == {"queued": 0, "running": 0, "parked": 0}
        assert (shown["studies_open"], shown["sockets"]) == (0, 0)

        second = up.run("up", "--port", "0", "--dicom-port", "0")
        assert second.returncode == 3
        assert f"{data} is in use by the readingroom with pid {up.process.pid}" in second.stderr

        code, seconds = up.stop()
        assert (code, seconds < 10) == (0, True)
        assert orphans.members(data) == []


@pytest.mark.stack
def test_whatever_dies_comes_back_and_status_answers_meanwhile() -> None:
    with short_directory("rr-up-") as data, stack(data) as up:
        http, _ = up.ready()
        pids = {p["kind"]: p["pid"] for p in up.status()["processes"]}
        usual_s = begins_s(up)
        for kind in ("postgres", "valkey", "ray"):
            os.kill(pids[kind], signal.SIGKILL)
        shown = at_once(up, usual_s)
        assert {p["kind"] for p in shown["processes"]} == KINDS
        for kind in ("postgres", "valkey", "ray", "shard", "inference", "gateway"):
            line = up.wait_for(kind, restarts=int(kind != "gateway"))
            assert (line["pid"] == pids[kind]) == (kind == "gateway"), line  # a gateway outlives all three
        with urllib.request.urlopen(f"{http}/readyz") as answer:
            assert answer.status == 200


@pytest.mark.stack
def test_orphans_of_a_killed_supervisor_are_ended_by_the_next_one() -> None:
    with short_directory("rr-up-") as data:
        with stack(data) as first:
            first.ready()
            pids = {p["kind"]: p["pid"] for p in first.status()["processes"]}
            first.kill()
            left = {process.pid: process.create_time() for process in orphans.members(data)}
            assert len(left) > 6
            assert {pids["postgres"], pids["valkey"]} <= set(left)  # both write their titles over their environment
            with stack(data) as second:
                second.ready()
                assert not [pid for pid, since in left.items() if orphans.born(pid) == since]
                assert second.stop()[0] == 0
        assert orphans.members(data) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the database as somebody else")
def test_a_directory_closed_to_the_database_user_is_refused_with_the_cure() -> None:
    with short_directory("rr-closed-") as parent:
        parent.chmod(0o700)
        with stack(parent / "data") as up:
            assert up.process.wait(20) == 1
            said = up.log.read_text()
    assert f"PostgreSQL runs as nobody and cannot enter {parent}" in said
    assert f"chmod o+x {parent}" in said


def test_a_port_that_is_taken_is_refused_by_its_number() -> None:
    with short_directory("rr-up-") as data, socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with stack(data, "--port", port) as up:
            assert up.process.wait(20) == 1
            assert f"port {port} of 127.0.0.1 cannot be used" in up.log.read_text()


def test_an_instance_that_does_not_run_has_no_status() -> None:
    with short_directory("rr-up-") as data, stack(data / "never", "--port", "x") as up:
        assert up.process.wait(20) == 2
        done = up.run("admin", "status", "--json")
        assert (done.returncode, done.stdout) == (2, "")
        assert "There is no instance in" in done.stderr
