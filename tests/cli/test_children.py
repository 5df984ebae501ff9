"""What the supervisor does with one child, and how it tells its own processes from others."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from readingroom import orphans, ray_head
from readingroom.child import Child
from readingroom.claim import InUse, claim
from readingroom.embedded import CannotStart
from readingroom.hosted import RayChildren
from readingroom.settings import Settings
from tests.conftest import short_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


def program(code: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], process_group=0, env=os.environ | environment)


@asynccontextmanager
async def kept(
    start: Callable[[], subprocess.Popen[bytes]], *, serves: Callable[[], bool] = lambda: True, **rest: Any
) -> AsyncIterator[Child]:
    async def probe() -> bool:
        return serves()

    child = Child("it", "gateway", start, probe, lambda: None, **rest)
    task = asyncio.create_task(child.run())
    try:
        yield child
    finally:
        await child.stop(grace_s=2)
        await task


async def until(seen: Callable[[], bool], within_s: float = 15) -> None:
    async with asyncio.timeout(within_s):
        while not seen():
            await asyncio.sleep(0.02)


async def test_a_child_that_dies_is_started_again() -> None:
    async with kept(lambda: program("import time; time.sleep(60)")) as child:
        await child.ready.wait()
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.restarts == 1 and child.healthy)
        assert child.pid not in {None, first}
        assert child.entry()["born"] == orphans.born(child.pid)
    assert child.pid is None
    assert not child.entry()["healthy"]


async def test_one_that_keeps_dying_is_started_less_and_less_often() -> None:
    started: list[float] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(time.monotonic())
        return program("")

    async with kept(start):
        await until(lambda: len(started) == 4)
    pauses = [b - a for a, b in pairwise(started)]
    assert pauses[2] > pauses[0] + 0.4


async def test_one_that_cannot_be_started_is_tried_again() -> None:
    tries = 0

    def start() -> subprocess.Popen[bytes]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise CannotStart("not yet")
        return program("import time; time.sleep(60)")

    async with kept(start) as child:
        await until(lambda: child.healthy)
    assert tries == 2


async def test_one_that_lives_but_does_not_serve_is_killed_and_started_again() -> None:
    serving = True
    async with kept(
        lambda: program("import time; time.sleep(60)"), serves=lambda: serving, patience_s=0.3, probe_s=0.1
    ) as child:
        await child.ready.wait()
        hung = child.pid
        serving = False
        await until(lambda: child.pid not in {None, hung})
        serving = True
        await until(lambda: child.healthy)
        assert child.restarts == 1


async def test_one_that_ignores_sigterm_is_stopped_with_its_whole_group() -> None:
    code = """if 1:
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        time.sleep(60)
    """
    with short_directory("rr-group-") as data:
        async with kept(lambda: program(code, **{orphans.MARK: str(data)})) as child:
            await child.ready.wait()
            await until(lambda: len(orphans.members(data)) == 2)
            await child.stop(grace_s=0.2)
        await until(lambda: not orphans.members(data))


def test_a_recycled_pid_is_another_process() -> None:
    since = orphans.born(os.getpid())
    assert since is not None
    assert since == orphans.born(os.getpid())
    gone = program("")
    gone.wait()
    assert orphans.born(gone.pid) is None
    assert orphans.born(None) is None


def test_a_sweep_ends_what_belongs_to_the_directory_and_nothing_else() -> None:
    sleep = "import time; time.sleep(60)"
    with short_directory("rr-one-") as one, short_directory("rr-two-") as two:
        mine, part = (
            program(sleep, **{orphans.MARK: str(one)}),
            program(sleep, **{orphans.MARK: str(one), orphans.PART: "ray"}),
        )
        other = program(sleep, **{orphans.MARK: str(two)})
        try:
            assert orphans.sweep(one, part="ray", grace_s=2) == [part.pid]
            assert mine.poll() is None
            assert orphans.sweep(one, grace_s=2) == [mine.pid]
            assert other.poll() is None
        finally:
            for process in (mine, part, other):
                process.kill()
                process.wait()


def test_a_directory_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with claim(tmp_path), pytest.raises(InUse, match=str(os.getpid())), claim(tmp_path):
        pass
    with claim(tmp_path):
        pass


def test_a_changed_pid_of_a_shard_host_counts_as_a_restart(tmp_path: Path) -> None:
    known = RayChildren(tmp_path)
    sleeper = program("import time; time.sleep(60)")
    try:
        (tmp_path / "shard-host-0.pid").write_text(str(os.getpid()))
        (tmp_path / "inference-0.pid").write_text("no number")
        (first,) = known.entries(healthy=True)
        assert (first["name"], first["kind"], first["pid"]) == ("shard-host-0", "shard", os.getpid())
        assert (first["restarts"], first["healthy"]) == (0, True)
        (tmp_path / "shard-host-0.pid").write_text(str(sleeper.pid))
        (second,) = known.entries(healthy=False)
        assert (second["pid"], second["restarts"], second["healthy"]) == (sleeper.pid, 1, False)
    finally:
        sleeper.kill()
        sleeper.wait()
    (gone,) = known.entries(healthy=True)
    assert (gone["pid"], gone["healthy"]) == (None, False)


def test_ray_keeps_its_sockets_where_their_paths_fit(tmp_path: Path) -> None:
    short, long = Settings(data=tmp_path.parents[-1] / "srv" / "rr"), Settings(data=tmp_path / ("x" * 60))
    assert ray_head.temp_dir(short) == short.run / "ray"
    assert len(str(ray_head.temp_dir(long))) <= 44
    assert ray_head.temp_dir(long) != ray_head.temp_dir(Settings(data=tmp_path / ("y" * 60)))


def test_the_address_of_rays_head_follows_the_supervisor(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    settings = Settings(data=tmp_path)
    with pytest.raises(FileNotFoundError):
        _ = settings.ray
    settings.publish_ray_port(4711)
    assert settings.ray == "127.0.0.1:4711"
    assert Settings(data=tmp_path, ray_address="10.0.0.1:6379").ray == "10.0.0.1:6379"
