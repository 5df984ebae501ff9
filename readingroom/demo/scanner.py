"""A hospital's end of a study: the order by REST, the images by C-STORE, both again until they were taken."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from readingroom.demo.sender import NotAssociated, send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import Dataset

    from readingroom.demo.instance import Instance
    from readingroom.demo.session import Session

_AGAIN_S, _GIVE_UP_S = 0.3, 90.0
_PASSING = frozenset({429, 500, 502, 503, 504})


@dataclass(slots=True)
class Transmission:
    """What became of a study's images: how many were taken, and when the first answer came (``time.monotonic``)."""

    taken: set[str]
    first_response_at: float | None = None


class Refused(Exception):
    """An answer that trying again does not change."""


async def insist(session: Session, method: str, path: str, body: Any = None, *, give_up_s: float = _GIVE_UP_S) -> Any:
    """Call REST until it is answered; return the body.

    Raises:
        Refused: the call is refused for good.
        TimeoutError: nobody answered in time.
    """
    async with asyncio.timeout(give_up_s):
        while True:
            try:
                status, answer = await session.rest(method, path, body)
            except (aiohttp.ClientError, OSError, ValueError):
                status, answer = 503, None
            if status not in _PASSING:
                break
            await asyncio.sleep(_AGAIN_S)
    if status >= 400:  # noqa: PLR2004 - HTTP
        raise Refused(f"{method} {path}: {status} {answer.get('code') if isinstance(answer, dict) else ''}")
    return answer


async def order(session: Session, body: Mapping[str, Any]) -> dict[str, Any]:
    """Place an order; return its row."""
    row: dict[str, Any] = await insist(session, "POST", "/api/orders", dict(body))
    return row


async def transmit(images: list[Dataset], instance: Instance, aet: str, *, pause_s: float = 0.0) -> Transmission:
    """Send a study's images, and those that were not taken again, until all were or it takes too long."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _GIVE_UP_S
    done = Transmission(set())
    while loop.time() < give_up:
        left = [image for image in images if str(image.SOPInstanceUID) not in done.taken]
        try:
            answers = await asyncio.to_thread(send, left, *instance.dicom, aet=aet, pause_s=pause_s)
        except (NotAssociated, OSError, RuntimeError):
            answers = []  # refused, reset or gone
        for answer in answers:
            if answer.status == 0:
                done.taken.add(answer.sop_uid)
                if done.first_response_at is None:
                    done.first_response_at = answer.response_at
        if len(done.taken) == len(images):
            break
        await asyncio.sleep(_AGAIN_S)
    return done
