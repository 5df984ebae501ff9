"""What happens when something dies, fills up, or does not speak DICOM."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import asyncpg
import pytest
from pydicom.uid import generate_uid

from gateway.ingest.listener import Listener
from readingroom.demo.sender import send
from storage.objects import object_store
from tests.dicom.raw import CT, Raw, command

if TYPE_CHECKING:
    from tests.dicom.conftest import World

Images = "Callable[..., list[FileDataset]]"

_PROCESS = """
import asyncio, sys, uvloop
from pathlib import Path
from readingroom.settings import Settings
from gateway.ingest.listener import run

class Placed(Settings):
    database: str
    place: Path
    admin_dsn = property(lambda self: Settings.admin_dsn.fget(self).replace("@/rr?", f"@/{self.database}?"))
    objects = property(lambda self: self.place)

run(Placed())
"""


def spawn(world: World, port: int) -> subprocess.Popen[bytes]:
    """Start a listener as a process of its own and wait until it answers."""
    known = dict(world.settings.environment()) | {
        "READINGROOM_DICOM_PORT": str(port), "READINGROOM_DATABASE": world.settings.database,
        "READINGROOM_PLACE": str(world.settings.objects), "PYTHONPATH": ".",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", _PROCESS], env=os.environ | known, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return process


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_listener_killed_in_mid_store_leaves_nothing_half_and_a_resend_is_fine(
    world: World, images: Images, ct_small: bytes
) -> None:
    port = free_port()
    process = await asyncio.to_thread(spawn, world, port)
    try:
        (done,) = await asyncio.to_thread(send, images(), "127.0.0.1", port, aet="NORTH_MAIN")
        assert done.status == 0
        with Raw(port) as raw:
            assert await asyncio.to_thread(raw.associate) == 2
            raw.command(str(generate_uid()))
            for _ in range(700):  # more than is held in memory, so that a temporary file is there
                await asyncio.to_thread(raw.fragment, 0, ct_small[:16000])
            while not world.files(world.settings.objects / ".incoming"):
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert await asyncio.to_thread(raw.status) == -1
        assert await world.value("SELECT count(*) FROM rr.instance") == 1
        process = await asyncio.to_thread(spawn, world, port)
        assert not world.files(world.settings.objects / ".incoming")
        again = await asyncio.to_thread(send, images(count=3), "127.0.0.1", port, aet="NORTH_MAIN")
        assert [sent.status for sent in again] == [0, 0, 0]
        assert await world.value("SELECT count(*) FROM rr.instance") == len(world.files()) == 4
    finally:
        process.terminate()
        assert process.wait(10) == 0


async def test_acknowledged_images_survive_a_kill_at_any_moment(world: World, images: Images) -> None:
    port = free_port()
    process = await asyncio.to_thread(spawn, world, port)
    acknowledged: set[str] = set()
    batch = images(count=60)
    sending = asyncio.create_task(asyncio.to_thread(send, batch, "127.0.0.1", port, aet="NORTH_MAIN"))
    while await world.value("SELECT count(*) FROM rr.instance") < 5:
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    acknowledged |= {sent.sop_uid for sent in await sending if sent.status == 0}
    rows = await world.rows("SELECT sop_uid, path, sha256 FROM rr.instance")
    assert acknowledged <= {row["sop_uid"] for row in rows}
    assert all(world.store.verify(row["path"], row["sha256"]) for row in rows)
    assert await world.value("SELECT images FROM rr.dicom_study") == len(rows)
    assert await world.value("SELECT count(*) FROM rr.inbox") >= 1
    process = await asyncio.to_thread(spawn, world, port)
    again = await asyncio.to_thread(send, batch, "127.0.0.1", port, aet="NORTH_MAIN")
    process.terminate()
    assert process.wait(10) == 0
    assert [sent.status for sent in again] == [0] * 60
    assert await world.value("SELECT images FROM rr.dicom_study") == 60
    assert await world.value("SELECT count(*) FROM rr.kept_apart") == 0


async def test_a_full_disk_is_said_and_recovers_by_itself(
    world: World, listener: Listener, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = images()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("storage.objects.os.writev", full)
        (sent,) = await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
        assert sent.status == 0xA700
    assert world.files() == []
    assert await world.value("SELECT count(*) FROM rr.instance") == 0
    (sent,) = await asyncio.to_thread(send, [image], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0


async def test_without_the_database_nothing_is_acknowledged(world: World, listener: Listener, images: Images) -> None:
    first, second = images(count=2)
    assert (await asyncio.to_thread(send, [first], "127.0.0.1", listener.port, aet="NORTH_MAIN"))[0].status == 0
    name = world.settings.database
    elsewhere = await asyncpg.connect(world.settings.admin_dsn.replace(f"@/{name}?", "@/postgres?"))
    await elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    await elsewhere.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = 'rr_ingest'", name
    )
    (sent,) = await asyncio.to_thread(send, [second], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0xA700
    await elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    await elsewhere.close()
    (sent,) = await asyncio.to_thread(send, [second], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0
    assert await world.value("SELECT images FROM rr.dicom_study") == 2


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x01\x00\xff\xff\xff\xff" + b"\0" * 20, b"\x01\x00\x00\x00\x00\x44" + b"\xff" * 68,
    b"\x04\x00\x00\x00\x00\x0a" + b"\0" * 10, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03",
], ids=["http", "endless", "nonsense", "data first", "tls"])  # fmt: skip
async def test_what_is_no_association_is_aborted(listener: Listener, data: bytes) -> None:
    with Raw(listener.port) as raw:
        raw.sock.sendall(data)
        assert (await asyncio.to_thread(raw.pdu))[0] in {0, 7}
    with Raw(listener.port) as raw:
        assert await asyncio.to_thread(raw.associate) == 2


@pytest.mark.parametrize(("control", "data", "context_id"), [
    (0, b"data before a command", 1), (3, b"\0" * 30, 1), (3, b"\x00\x00\x00\x01\xff\xff\xff\xff", 1),
    (3, command("1.2.3", CT), 5),
], ids=["order", "zeros", "length", "context"])  # fmt: skip
async def test_a_broken_message_aborts_its_association_only(  # noqa: PLR0917  # noqa: PLR0917
    world: World, listener: Listener, images: Images, control: int, data: bytes, context_id: int
) -> None:  # fmt: skip
    with Raw(listener.port) as raw:
        assert await asyncio.to_thread(raw.associate) == 2
        raw.fragment(control, data, context_id)
        assert (await asyncio.to_thread(raw.pdu))[0] in {0, 7}
    (sent,) = await asyncio.to_thread(send, images(), "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert sent.status == 0


async def test_a_study_goes_quiet_once_and_again_after_more_images(
    world: World, listener: Listener, images: Images
) -> None:
    first, second = images(count=2)
    quiet = "SELECT count(*) FROM rr.inbox WHERE body->>'kind' = 'quiet'"
    await asyncio.to_thread(send, [first], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    assert await world.value(quiet) == 0
    await asyncio.sleep(2)
    assert await world.value(quiet) == 1
    await asyncio.to_thread(send, [second], "127.0.0.1", listener.port, aet="NORTH_MAIN")
    await asyncio.sleep(2)
    assert await world.value(quiet) == 2


async def test_a_study_is_not_quiet_while_its_association_is_open(
    world: World, listener: Listener, ct_small: bytes
) -> None:
    quiet = "SELECT count(*) FROM rr.inbox WHERE body->>'kind' = 'quiet'"
    with Raw(listener.port) as raw:
        assert await asyncio.to_thread(raw.associate) == 2
        uid = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"
        assert await asyncio.to_thread(raw.store, uid, ct_small) == 0
        await asyncio.sleep(2)
        assert await world.value(quiet) == 0
    await asyncio.sleep(4.5)
    assert await world.value(quiet) == 1


async def test_a_study_that_a_dead_listener_left_goes_quiet(world: World, images: Images) -> None:
    dead = Listener(world.settings, quiet_s=60)
    await dead.start()
    await asyncio.to_thread(send, images(), "127.0.0.1", dead.port, aet="NORTH_MAIN")
    await dead.stop()
    await asyncio.sleep(0.3)
    living = Listener(world.settings, quiet_s=0.2)
    await living.start()
    await asyncio.sleep(0.5)
    await living.stop()
    assert [entry["kind"] for entry in await world.inbox()] == ["images", "quiet"]


def test_temporary_files_of_dead_processes_are_removed(world: World) -> None:
    store = object_store(world.settings)
    store.prepare()
    incoming = world.settings.objects / ".incoming"
    (incoming / "999999999-0").touch()
    mine = store.incoming(b"head")
    store.prepare()
    assert world.files(incoming) == [mine.temporary]
    mine.discard()
    assert world.files(incoming) == []
