"""A file of known size that is read span by span: what reading from a position has in common."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Spans(io.RawIOBase):
    """Reads what :meth:`span` gives; a subclass says how large it is."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._at = 0

    @abstractmethod
    def span(self, start: int, stop: int) -> bytes:
        """Return the bytes of a span that lies within the file and is not empty."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        stop = self.size if size < 0 else min(self.size, self._at + size)
        if self._at >= stop:
            return b""
        data = self.span(self._at, stop)
        self._at = stop
        return data

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)
