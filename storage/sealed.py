"""Files encrypted in segments, so that a frame is decrypted alone (AES-256-GCM, NIST SP 800-38D).

``RRS1``, the file's own key wrapped by its study's (RFC 3394, 40 bytes), then segments of 64 KiB, each with its tag
of 16 bytes. A segment's nonce is its number and whether it is the last (the STREAM construction of Hoang, Reyhanitabar,
Rogaway and Vizar, CRYPTO 2015): segments cannot be reordered, dropped or cut off unseen. No two files share a key,
so nonces never repeat under one.
"""

from __future__ import annotations

import io
import os
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from storage.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Iterator

Buffer: TypeAlias = "bytes | bytearray | memoryview"

MAGIC = b"RRS1"
KEY_BYTES, WRAPPED_BYTES = 32, 40
HEAD_BYTES = len(MAGIC) + WRAPPED_BYTES
SEGMENT, TAG = 1 << 16, 16
_SEALED = SEGMENT + TAG
_ROOM = 4  # segments that are sealed and written at once: they fit in a core's cache
_rooms: deque[bytearray] = deque(maxlen=16)


class Damaged(OSError):
    """A stored file is not what was written: it was changed, cut off, or its key is not the one it was sealed with."""


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")


class Sealer:
    """Turns what is written into segments; the last is held until :meth:`finish`, as only then it is known to be."""

    def __init__(self) -> None:
        self.key = AESGCM.generate_key(KEY_BYTES * 8)
        self._cipher = AESGCM(self.key)
        self._number = 0
        self.held = b""  # plain

    def seal(self, data: Buffer) -> Iterator[memoryview]:
        """Yield the segments that are now full, some at once; what is yielded lasts until the next is asked for."""
        view = memoryview(data)
        if len(self.held) + len(view) <= SEGMENT:
            self.held += view
            return
        room = (
            _rooms.pop() if _rooms else bytearray(_ROOM * _SEALED)
        )  # used again: fresh memory costs more than sealing
        out = memoryview(room)
        try:
            first = SEGMENT - len(self.held)
            filled = self._next(self.held + view[:first] if self.held else view[:first], out)
            for at in range(first, len(view) - SEGMENT, SEGMENT):
                if filled == len(out):
                    yield out
                    filled = 0
                filled += self._next(view[at : at + SEGMENT], out[filled:])
            yield out[:filled]
            self.held = bytes(view[first + (len(view) - first - 1) // SEGMENT * SEGMENT :])
        finally:
            _rooms.append(room)

    def finish(self) -> bytes:
        """Return the last segment."""
        return self._cipher.encrypt(_nonce(self._number, last=True), self.held, None)

    def head(self, study_key: bytes) -> bytes:
        """Return what stands before the segments."""
        return MAGIC + aes_key_wrap(study_key, self.key)

    def _next(self, plain: Buffer, out: memoryview) -> int:
        """Seal a segment into the beginning of a buffer; return its length there."""
        self._cipher.encrypt_into(_nonce(self._number, last=False), plain, None, out[:_SEALED])
        self._number += 1
        return _SEALED


def file_key(head: bytes, study_key: bytes) -> bytes:
    """Return the key of a file from its first bytes.

    Raises:
        Damaged: it was not wrapped by this study's key.
    """
    try:
        return aes_key_unwrap(study_key, head[len(MAGIC) : HEAD_BYTES])
    except (InvalidUnwrap, ValueError) as exc:
        raise Damaged("the file's key does not open") from exc


class Room:
    """What so many segments at a time are read and decrypted into, again and again; those ``beside`` are read in turn."""

    def __init__(self, segments: int, beside: Room | None = None) -> None:
        self.segments = segments
        self.sealed: memoryview = memoryview(bytearray(segments * _SEALED)) if beside is None else beside.sealed
        self.plain = memoryview(bytearray(segments * SEGMENT))

    def holds(self, start: int, stop: int) -> bool:
        """Whether a span is one piece in here."""
        return (stop - 1) // SEGMENT - start // SEGMENT < self.segments


class Unsealed(Spans):
    """A sealed file as it was written: any part of it can be read, only the segments it lies in are decrypted.

    Args:
        file: as it lies on disk; closed with this.
        key: the file's own.
        held: plain bytes of a file still being written that are not yet in it.
    """

    def __init__(self, file: BinaryIO, key: bytes, held: bytes | None = None) -> None:
        super().__init__()
        self._file, self._cipher, self._held = file, AESGCM(key), held
        self._stored = stored = file.seek(0, io.SEEK_END) - HEAD_BYTES
        self._segments = stored // _SEALED if held is not None else max(1, -(-stored // _SEALED))
        self.size = stored - TAG * self._segments + len(held or b"")
        if held is None and self.size <= (self._segments - 1) * SEGMENT and self._segments > 1:
            raise Damaged("the file is cut off")
        self._open: tuple[int, bytes] = (-1, b"")
        if self.size < 0:
            raise Damaged("the file is cut off")

    def span(self, start: int, stop: int) -> bytes:
        """Return the bytes of a span.

        Raises:
            Damaged: a segment is not what was written.
        """
        first, last = start // SEGMENT, (stop - 1) // SEGMENT
        if first != last:
            return bytes(self.piece(start, stop))
        if first != self._open[0]:  # small reads follow each other
            end = min(self.size, (first + 1) * SEGMENT)
            self._open = (first, bytes(self.piece(first * SEGMENT, end)))
        return self._open[1][start - first * SEGMENT : stop - first * SEGMENT]

    def piece(self, start: int, stop: int, *, before: int = 0, after: int = 0, wait: bool = True) -> memoryview:
        """Return a span, not empty, decrypted in place with room for what is sent before and after it.

        Args:
            start: where it begins in the file.
            stop: where it ends, within the file.
            before: bytes of room before it.
            after: bytes of room after it.
            wait: for the disk.

        Raises:
            BlockingIOError: not to be had without waiting.
            Damaged: a segment is not what was written.
        """
        first, last = start // SEGMENT, (stop - 1) // SEGMENT
        base = first * SEGMENT
        lead = max(0, before - (start - base))
        end = max(min(self.size, (last + 1) * SEGMENT), stop + after) - base
        room = memoryview(bytearray(lead + end))
        plain = room[lead:]
        inside = min(last, self._segments - 1)
        if first <= inside:
            sealed = memoryview(self._read(first, inside, wait=wait))
            for at, number in enumerate(range(first, inside + 1)):
                self._one(number, sealed[at * _SEALED : (at + 1) * _SEALED], plain[at * SEGMENT :])
        if last >= self._segments and self._held is not None:
            at = (last - first) * SEGMENT
            plain[at : at + len(self._held)] = self._held
        begin = lead + start - base
        return room[begin - before : begin + stop - start + after]

    def pieces(self, start: int, stop: int, room: Room, *, wait: bool = True) -> Iterator[memoryview]:
        """Yield a span of a file that is whole, not empty, in pieces that lie in ``room``: each is gone with the next.

        Args:
            start: where it begins in the file.
            stop: where it ends, within the file.
            room: nobody else's until the last piece was used.
            wait: for the disk.

        Raises:
            BlockingIOError: the next piece is not to be had without waiting.
            Damaged: a segment is not what was written.
        """
        number, last = start // SEGMENT, (stop - 1) // SEGMENT
        while number <= last:
            count = min(room.segments, last + 1 - number)
            at = number * _SEALED
            sealed = room.sealed[: min(count * _SEALED, self._stored - at)]
            self._fill(sealed, HEAD_BYTES + at, wait=wait)
            for i in range(count):
                self._one(number + i, sealed[i * _SEALED : (i + 1) * _SEALED], room.plain[i * SEGMENT :])
            base = number * SEGMENT
            yield room.plain[max(0, start - base) : min(count * SEGMENT, stop - base)]
            number += count

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    def _read(self, first: int, last: int, *, wait: bool) -> bytes | bytearray:
        at, size = HEAD_BYTES + first * _SEALED, (last - first + 1) * _SEALED
        if not wait:
            return _at_once(self._file, at, min(size, self._stored - first * _SEALED))
        self._file.seek(at)
        return self._file.read(size)

    def _fill(self, room: memoryview, at: int, *, wait: bool) -> None:
        if not wait:
            _read_at_once(self._file, room, at)
            return
        self._file.seek(at)
        while room and (done := cast("io.RawIOBase", self._file).readinto(room)):
            room = room[done:]
        if room:
            raise Damaged("the file is cut off")

    def _one(self, number: int, sealed: memoryview, plain: memoryview) -> None:
        last = self._held is None and number == self._segments - 1
        try:
            self._cipher.decrypt_into(_nonce(number, last=last), sealed, None, plain[: max(0, len(sealed) - TAG)])
        except (InvalidTag, ValueError) as exc:
            raise Damaged("a segment is not what was written") from exc


def _at_once(file: BinaryIO, at: int, size: int) -> bytearray:
    """Return bytes that are in memory already, so that an event loop may read them.

    Raises:
        BlockingIOError: they are not, or the file system cannot tell.
    """
    data = bytearray(size)
    _read_at_once(file, memoryview(data), at)
    return data


def _read_at_once(file: BinaryIO, room: memoryview, at: int) -> None:
    try:
        done = os.preadv(file.fileno(), [room], at, os.RWF_NOWAIT)
    except OSError as exc:
        raise BlockingIOError(*exc.args) from exc
    if done < len(room):
        raise BlockingIOError
