"""The object store on local disk: one file an instance as received, complete or not there at all.

A file is written under a temporary name, synced, then renamed; its directory is synced too, so a name that a
row refers to survives a power cut. Names follow from what is stored, so a resend after a crash takes the place
of what the crash left behind: ``TENANT/aa/STUDY/INSTANCE.dcm``, the last two digests. Files are sealed
(:mod:`storage.sealed`) unless the store has no key; what lies there plain stays readable.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias, cast

from storage.keys import Keys
from storage.sealed import HEAD_BYTES, MAGIC, Sealer, Unsealed, file_key
from storage.shelves import INCOMING, STALE_S, Bucket, Disk, shelf
from storage.tiers import Tiers, home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storage.sealed import Room

Buffer: TypeAlias = "bytes | bytearray | memoryview"

_META_LENGTH = slice(140, 144)  # value of (0002,0000), File Meta Information Group Length (PS3.10 7.1)
_CHUNK = 1 << 20
_PARTS = 512  # of one system call


class Settings(Protocol):
    """What the store needs to know of an instance."""

    @property
    def objects(self) -> Path: ...

    @property
    def objects_key(self) -> bytes | None: ...

    @property
    def objects_url(self) -> str | None: ...

    @property
    def objects_cold_url(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """What decides where an instance lies."""

    tenant_id: str
    site_id: str
    study_uid: str
    series_uid: str
    sop_uid: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance on disk; ``sha256`` is that of the data set, without the Part 10 header."""

    path: str  # below the store
    size: int  # as received, in Part 10
    sha256: bytes


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


class ObjectStore:
    """Files of instances below ``root``.

    Args:
        root: a directory of ours, on one file system; files that are being received lie there in any case.
        key: the instance's, of 32 bytes or more; None leaves files as they are.
        url: where files go instead once they are there, see :class:`~storage.shelves.Bucket`.
        cold_url: where those of studies closed long ago may lie, see :func:`~storage.shelves.shelf`.
        sync: off only in benchmarks that compare with servers that do not sync.
    """

    def __init__(
        self,
        root: Path,
        key: bytes | None = None,
        *,
        url: str | None = None,
        cold_url: str | None = None,
        sync: bool = True,
    ) -> None:
        self.root, self.sync = root, sync
        self.shelf = Tiers(Bucket(url) if url else Disk(root, sync=sync), shelf(cold_url) if cold_url else None)
        self.keys = None if key is None else Keys(key, self.shelf)
        self._incoming = root / INCOMING
        self._numbers = itertools.count()

    def prepare(self) -> None:
        """Make the directories, and remove temporary files of processes long gone."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        for part in self._incoming.iterdir():
            owner = part.name.partition("-")[0]
            with suppress(FileNotFoundError):
                if not Path(f"/proc/{owner}").exists() or time.time() - part.stat().st_mtime > STALE_S:
                    part.unlink()

    def incoming(self, head: bytes) -> Incoming:
        """Begin a file with its Part 10 header; raises OSError when the disk is full or away."""
        return Incoming(self, self._incoming / f"{os.getpid()}-{next(self._numbers)}", head)

    def name(self, place: Place, sha256: bytes) -> str:
        """Return where an instance with this content lies, below the root."""
        study = _digest(place.site_id, place.study_uid)
        instance = _digest(place.series_uid, place.sop_uid, sha256.hex())
        return f"{place.tenant_id}/{study[:2]}/{study}/{instance}.dcm"

    def open(self, name: str, *, study: str | None = None) -> BinaryIO:
        """Open a stored file for reading, as it was received; ``study`` says whose key it has when it lies elsewhere.

        Raises:
            OSError: it is not there; :class:`~storage.sealed.Damaged` here or while reading: it is not what was written.
        """
        file = self.shelf.open(_checked(name))
        head = file.read(HEAD_BYTES)
        file.seek(0)
        if not head.startswith(MAGIC) or self.keys is None:
            return file
        try:
            return cast("BinaryIO", Unsealed(file, file_key(head, self.keys.of(study or home(name)))))
        except OSError:
            file.close()
            raise

    def piece(
        self, name: str, span: tuple[int, int], *, before: int = 0, after: int = 0, wait: bool = True
    ) -> memoryview:
        """Return bytes of a stored file, fewer at its end, with room around them: one buffer, ready to be sent.

        Args:
            name: the file's.
            span: where they begin in it, and how many.
            before: bytes of room before them.
            after: bytes of room after them.
            wait: for the disk; off where an event loop would wait with it.

        Raises:
            BlockingIOError: not to be had without waiting.
            OSError: as :meth:`open`.
        """
        start, size = span
        with self.open(name) as file:
            if isinstance(file, Unsealed) and start < min(file.size, start + size):
                return file.piece(start, min(file.size, start + size), before=before, after=after, wait=wait)
            if not wait:
                raise BlockingIOError
            file.seek(start)
            return memoryview(bytearray(before) + file.read(size) + bytes(after))

    def pieces(
        self, file: BinaryIO, span: tuple[int, int], room: Room, *, wait: bool = True
    ) -> Iterator[memoryview] | None:
        """Return :meth:`~storage.sealed.Unsealed.pieces` of an open file; None when it is not sealed, or ends before."""
        start, stop = span[0], sum(span)
        if isinstance(file, Unsealed) and start < stop <= file.size:
            return file.pieces(start, stop, room, wait=wait)
        return None

    def verify(self, name: str, sha256: bytes) -> bool:
        """Whether the data set on disk is still what was received."""
        seen = hashlib.sha256()
        with self.open(name) as file:
            head = file.read(_META_LENGTH.stop)
            file.seek(int.from_bytes(head[_META_LENGTH], "little") + len(head))
            while chunk := file.read(_CHUNK):
                seen.update(chunk)
        return seen.digest() == sha256

    def copy(self, name: str, to: str) -> None:
        """Copy a stored file as it lies, sealed with the key it has; raises OSError when a shelf is away or full."""
        with self.shelf.open(_checked(name)) as file:
            self.shelf.take(_checked(to), file)

    def settle(self, temporary: Path, name: str) -> None:
        """Give a synced file its name, durably."""
        self.shelf.settle(temporary, _checked(name))

    def remove(self, name: str) -> None:
        """Remove a stored file, or a study's key; nothing to do when it is gone. Raises OSError when the disk is away."""
        self.shelf.remove(_checked(name))


def _checked(name: str) -> str:
    """Return a stored name.

    Raises:
        ValueError: it leads out of the store.
    """
    if name.startswith("/") or ".." in name.split("/"):
        msg = "not a name of this store"
        raise ValueError(msg)
    return name


class Incoming:
    """A file being received; nothing is visible until :meth:`settle`; :meth:`discard` always follows."""

    def __init__(self, store: ObjectStore, temporary: Path, head: bytes) -> None:
        self._store, self.temporary, self._head = store, temporary, head
        self._sealer = None if store.keys is None else Sealer()
        self._fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.size = 0

    def discard(self) -> None:
        """Remove the temporary file; nothing to do once it is settled."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            with suppress(FileNotFoundError):
                self.temporary.unlink()

    def write(self, data: Buffer) -> None:
        """Append to the file; raises OSError when the disk is full."""
        parts: list[Buffer] = [data] if self.size else [self._head, data]
        first = self.size == 0
        self.size += sum(len(part) for part in parts)
        if self._sealer is None:
            _write(self._fd, parts)
            return
        if first:
            _write(self._fd, [bytes(HEAD_BYTES)])  # the key is wrapped when its study is known
        for part in parts:
            for sealed in self._sealer.seal(part):
                _write(self._fd, [sealed])

    def reader(self) -> BinaryIO:
        """Open what was written so far for reading, as it was received."""
        file = self.temporary.open("rb", buffering=0)
        if self._sealer is None:
            return cast("BinaryIO", file)
        return cast("BinaryIO", Unsealed(file, self._sealer.key, self._sealer.held))

    def settle(self, place: Place, sha256: bytes) -> Stored:
        """Sync the file and give it its name; raises OSError when the disk fails."""
        name = self._store.name(place, sha256)
        if self._sealer is not None and self._store.keys is not None:
            study_key = self._store.keys.make(name.rpartition("/")[0])
            _write(self._fd, [self._sealer.finish()])
            os.pwrite(self._fd, self._sealer.head(study_key), 0)
        if self._store.sync:
            os.fsync(self._fd)
        self._store.settle(self.temporary, name)
        os.close(self._fd)
        self._fd = -1
        return Stored(name, self.size, sha256)


def _write(fd: int, parts: Sequence[Buffer]) -> None:
    for at in range(0, len(parts), _PARTS):
        some = parts[at : at + _PARTS]
        total = sum(len(part) for part in some)
        done = os.writev(fd, some)
        rest = memoryview(b"".join(some))[done:] if done < total else memoryview(b"")
        while rest:
            rest = rest[os.write(fd, rest) :]


def object_store(settings: Settings, *, sync: bool = True) -> ObjectStore:
    """Return the store of an instance."""
    return ObjectStore(
        settings.objects,
        settings.objects_key,
        url=settings.objects_url,
        cold_url=settings.objects_cold_url,
        sync=sync,
    )
