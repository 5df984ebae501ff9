"""Who sends more images than her group may is answered later, and nothing is refused."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pynetdicom.dsutils import encode

from gateway.ingest.limits import Limits
from tests.dicom.raw import Raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    from gateway.ingest.listener import Listener
    from tests.dicom.conftest import World


def send(port: int, images: list[FileDataset]) -> float:
    """Send images over one association; return the seconds that took."""
    with Raw(port) as raw:
        assert raw.associate() == 2
        began = time.monotonic()
        for image in images:
            data = encode(image, is_implicit_vr=False, is_little_endian=True)
            assert data
            assert raw.store(str(image.SOPInstanceUID), data) == 0
        return time.monotonic() - began


async def test_a_fast_sender_is_slowed_down_and_everything_is_stored(
    world: World, listener: Listener, images: Callable[..., list[FileDataset]]
) -> None:
    listener._services.limits = Limits(images_per_s=5)
    took = await asyncio.to_thread(send, listener.port, images(count=26))
    assert took > 1.0  # twenty at once, six more at five a second
    assert await world.value("SELECT count(*) FROM rr.instance") == 26


async def test_an_image_is_stored_before_its_late_answer(
    world: World, listener: Listener, images: Callable[..., list[FileDataset]]
) -> None:
    listener._services.limits = Limits(images_per_s=0.25)
    sending = asyncio.create_task(asyncio.to_thread(send, listener.port, images(count=2)))
    async with asyncio.timeout(30):
        while await world.value("SELECT count(*) FROM rr.instance") < 2:
            await asyncio.sleep(0.01)
    assert not sending.done()  # the second is answered four seconds later
    await sending


def test_one_group_is_not_slowed_down_by_another() -> None:
    limits = Limits(images_per_s=1)
    assert max(limits.pause("north") for _ in range(40)) > 4
    assert limits.pause("south") == 0


def test_without_a_limit_nobody_waits() -> None:
    limits = Limits()
    assert {limits.pause("north") for _ in range(1000)} == {0.0}
