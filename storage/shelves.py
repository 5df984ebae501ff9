"""Where settled files lie: a local disk, or an object store of S3, Google or Azure reached by obstore."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions
from obstore.store import from_url

from storage.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Iterator


_RETRY: Any = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=10),
}  # ingest tells its sender; the sender tries again
_PIECE = 1 << 18  # bytes fetched at once, at least: a round trip costs more than they do
_COPIED = 1 << 20  # bytes copied at once
STALE_S = 6 * 3600  # nobody works on a temporary file for so long
INCOMING = ".incoming"  # below a disk's root: files that are not yet whole


class Shelf(Protocol):
    """Files by name, complete or not there at all. Every method raises OSError when the medium is away."""

    def settle(self, temporary: Path, name: str) -> None:
        """Give a synced local file its name, durably; the local file is gone afterwards."""

    def take(self, name: str, source: BinaryIO) -> None:
        """Write a file from one that is open, durably."""

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; raises FileNotFoundError when there is none."""

    def create(self, name: str, data: bytes) -> None:
        """Write a small file; raises FileExistsError when there is one of that name."""

    def read(self, name: str) -> bytes:
        """Return a small file; raises FileNotFoundError when there is none."""

    def remove(self, name: str) -> None:
        """Remove a file durably; nothing to do when there is none."""

    def listed(self, directory: str) -> Iterator[tuple[str, float]]:
        """Yield the images below a directory, each with the Unix time it was written."""

    def written_at(self, name: str) -> float:
        """Return the Unix time a file was written; raises FileNotFoundError when there is none."""

    def rename(self, name: str, to: str) -> None:
        """Give a file another name; raises FileNotFoundError when there is none."""

    def give_back(self, aside: str, name: str) -> None:
        """Give a file that was set aside its name again, unless there is one of that name; it stays aside too."""


class Disk:
    """A directory of ours, on one file system.

    Args:
        root: the directory.
        sync: off only in tests and in benchmarks that compare with servers that do not sync.
    """

    def __init__(self, root: Path, *, sync: bool = True) -> None:
        self._root, self._sync = root, sync

    def settle(self, temporary: Path, name: str) -> None:
        target = f"{self._root}/{name}"  # no Path, as this is done for every image
        directory = target.rpartition("/")[0]
        try:
            os.rename(temporary, target)  # noqa: PTH104
        except FileNotFoundError:
            self._make(Path(directory))
            temporary.rename(target)
        if self._sync:
            _sync(directory)

    def take(self, name: str, source: BinaryIO) -> None:
        incoming = self._root / INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        for left in incoming.iterdir():  # by a crash
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > STALE_S:
                    left.unlink()
        temporary = incoming / f"{os.getpid()}-{os.urandom(8).hex()}"
        try:
            with temporary.open("xb") as file:
                shutil.copyfileobj(source, file, _COPIED)
                if self._sync:
                    file.flush()
                    os.fsync(file.fileno())
            self.settle(temporary, name)
        finally:
            temporary.unlink(missing_ok=True)

    def open(self, name: str) -> BinaryIO:
        return cast("BinaryIO", (self._root / name).open("rb", buffering=0))

    def create(self, name: str, data: bytes) -> None:
        target = self._root / name
        self._make(target.parent)
        fresh = target.with_name(f".{target.name}-{os.urandom(8).hex()}")
        try:
            with fresh.open("xb") as file:
                file.write(data)
                if self._sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.link(fresh, target)
        finally:
            fresh.unlink(missing_ok=True)
        if self._sync:
            _sync(target.parent)

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def remove(self, name: str) -> None:
        target = self._root / name
        target.unlink(missing_ok=True)
        if self._sync and target.parent.is_dir():
            _sync(target.parent)
        with suppress(OSError):  # something else lies there, or it is gone
            target.parent.rmdir()

    def listed(self, directory: str) -> Iterator[tuple[str, float]]:
        for path in (self._root / directory).glob("??/*/*.dcm"):
            with suppress(FileNotFoundError):
                yield str(path.relative_to(self._root)), path.stat().st_mtime

    def written_at(self, name: str) -> float:
        return (self._root / name).stat().st_mtime

    def rename(self, name: str, to: str) -> None:
        target = self._root / to
        target.parent.mkdir(parents=True, exist_ok=True)
        (self._root / name).rename(target)

    def give_back(self, aside: str, name: str) -> None:
        with suppress(FileExistsError, FileNotFoundError):
            os.link(self._root / aside, self._root / name)

    def _make(self, directory: Path) -> None:
        fresh = [d for d in (directory, *directory.parents) if not d.exists()]
        directory.mkdir(parents=True, exist_ok=True)
        if self._sync:
            for made in fresh:
                _sync(made.parent)


def _sync(directory: Path | str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Bucket:
    """A bucket or container, or a part of one.

    Args:
        url: ``s3://BUCKET/PREFIX``, ``gs://…`` or ``az://…``; credentials and endpoint come from the environment, as the
            providers name them (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS``, …).
    """

    def __init__(self, url: str) -> None:
        self._store: Any = from_url(url, retry_config=_RETRY)

    def settle(self, temporary: Path, name: str) -> None:
        with _as_os_errors():
            obstore.put(self._store, name, temporary)
        temporary.unlink()

    def take(self, name: str, source: BinaryIO) -> None:
        with _as_os_errors():
            obstore.put(self._store, name, source)

    def open(self, name: str) -> BinaryIO:
        return cast("BinaryIO", Ranged(self._store, name))

    def create(self, name: str, data: bytes) -> None:
        with _as_os_errors():
            obstore.put(self._store, name, data, mode="create")

    def read(self, name: str) -> bytes:
        with _as_os_errors():
            return bytes(obstore.get(self._store, name).bytes())

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), _as_os_errors():
            obstore.delete(self._store, name)

    def listed(self, directory: str) -> Iterator[tuple[str, float]]:
        with _as_os_errors():
            for some in obstore.list(self._store, prefix=directory):
                for one in some:
                    if one["path"].endswith(".dcm"):
                        yield one["path"], one["last_modified"].timestamp()

    def written_at(self, name: str) -> float:
        with _as_os_errors():
            return float(obstore.head(self._store, name)["last_modified"].timestamp())

    def rename(self, name: str, to: str) -> None:
        with _as_os_errors():
            obstore.rename(self._store, name, to)

    def give_back(self, aside: str, name: str) -> None:
        with suppress(FileExistsError, FileNotFoundError):
            self.create(name, self.read(aside))


def shelf(url: str) -> Shelf:
    """Return the shelf that a URL names: ``file:///DIRECTORY``, or a bucket (:class:`Bucket`).

    Raises:
        ValueError: it names none.
    """
    if not url.startswith("file:"):
        return Bucket(url)
    parts = urlsplit(url)
    if parts.netloc or not parts.path.startswith("/"):
        msg = f"{url!r} names no directory of this machine: file:///mnt/cold does"
        raise ValueError(msg)
    return Disk(Path(unquote(parts.path)))


class Ranged(Spans):
    """An object read by ranges; the piece read last is kept."""

    def __init__(self, store: Any, name: str) -> None:
        super().__init__()
        self._store, self._name = store, name
        with _as_os_errors():
            found = obstore.get(store, name, options={"range": (0, _PIECE)})
            self.size = int(found.meta["size"])
            self._piece, self._from = bytes(found.bytes()), 0

    def span(self, start: int, stop: int) -> bytes:
        if start < self._from or stop > self._from + len(self._piece):
            with _as_os_errors():
                end = min(self.size, max(stop, start + _PIECE))
                self._piece = bytes(obstore.get_range(self._store, self._name, start=start, end=end))
                self._from = start
        return self._piece[start - self._from : stop - self._from]


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Say what went wrong as a disk would."""
    try:
        yield
    except (FileNotFoundError, exceptions.NotFoundError) as exc:
        raise FileNotFoundError(type(exc).__name__) from exc
    except exceptions.AlreadyExistsError as exc:
        raise FileExistsError(type(exc).__name__) from exc
    except exceptions.BaseError as exc:
        raise OSError(f"object store: {type(exc).__name__}") from exc
