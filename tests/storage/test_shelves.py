"""Every medium does what the object store asks of it, and says what goes wrong as a disk would: disk, S3 and Azure alike."""

from __future__ import annotations

import hashlib
import io
import os
import time
from typing import TYPE_CHECKING

import pytest

from storage.keys import Keys
from storage.objects import ObjectStore, Place
from storage.sealed import SEGMENT
from storage.shelves import Bucket, shelf
from storage.tiers import COLD, copy_name
from tests.azure import azure_container
from tests.bucket import s3_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.shelves import Shelf

MASTER = b"m" * 32
PLACE = Place("north", "main", "1.2.3", "1.2.3.4", "1.2.3.4.5")


@pytest.fixture(scope="module", params=["disk", "s3", "azure"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the files of this module lie."""
    if request.param == "disk":
        yield tmp_path_factory.mktemp("shelf").as_uri()
    elif request.param == "s3":
        with s3_bucket() as found:
            yield found
    else:
        with azure_container(tmp_path_factory.mktemp("azure")) as found:
            yield found


@pytest.fixture
def medium(url: str, request: pytest.FixtureRequest) -> Shelf:
    """A part of it for each test."""
    return shelf(f"{url}/{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}")


def put(medium: Shelf, name: str, data: bytes, tmp_path: Path) -> None:
    """Settle a file, as ingest does; on a disk it lies on the same file system."""
    temporary = tmp_path / "temporary"
    temporary.write_bytes(data)
    medium.settle(temporary, name)
    assert not temporary.exists()


def test_a_file_is_there_as_a_whole_or_not_at_all(medium: Shelf, tmp_path: Path) -> None:
    name, data = "north/aa/study/one.dcm", os.urandom(700_000)
    with pytest.raises(FileNotFoundError):
        medium.open(name).read()
    put(medium, name, data, tmp_path)
    with medium.open(name) as file:
        assert file.read() == data
        for start, size in ((0, 10), (300_000, 7), (699_990, 100), (262_140, 9), (700_000, 1)):
            file.seek(start)
            assert file.read(size) == data[start : start + size]
        assert file.seek(0, io.SEEK_END) == len(data)
    put(medium, name, b"another", tmp_path)
    with medium.open(name) as file:
        assert file.read() == b"another"
    medium.remove(name)
    medium.remove(name)  # nothing to do when there is none
    with pytest.raises(FileNotFoundError):
        medium.open(name).read()


def test_a_small_file_is_made_once(medium: Shelf) -> None:
    with pytest.raises(FileNotFoundError):
        medium.read("north/aa/study/key")
    medium.create("north/aa/study/key", b"first")
    with pytest.raises(FileExistsError):
        medium.create("north/aa/study/key", b"second")
    assert medium.read("north/aa/study/key") == b"first"


def test_images_are_listed_with_when_they_were_written_and_keys_are_not(medium: Shelf, tmp_path: Path) -> None:
    began = time.time() - 2
    for name in ("north/aa/s/1.dcm", "north/bb/s/2.dcm", "northern/aa/s/3.dcm", "south/aa/s/4.dcm"):
        put(medium, name, name.encode(), tmp_path)
    medium.create("north/aa/s/key", b"key")
    found = dict(medium.listed("north"))
    assert set(found) == {"north/aa/s/1.dcm", "north/bb/s/2.dcm"}
    assert all(began <= at <= time.time() + 2 for at in found.values())
    assert abs(medium.written_at("north/aa/s/1.dcm") - found["north/aa/s/1.dcm"]) < 2
    with pytest.raises(FileNotFoundError):
        medium.written_at("north/aa/s/nothing.dcm")
    assert list(medium.listed("nobody")) == []


def test_a_file_set_aside_comes_back_unless_there_is_a_new_one(medium: Shelf, tmp_path: Path) -> None:
    name, aside = "north/aa/s/1.dcm", ".strays/north/aa/s/1.dcm"
    put(medium, name, b"one", tmp_path)
    medium.rename(name, aside)
    assert set(dict(medium.listed(".strays/north"))) == {aside}
    with pytest.raises(FileNotFoundError):
        medium.rename(name, aside)
    medium.give_back(aside, name)
    with medium.open(name) as file:
        assert file.read() == b"one"
    put(medium, name, b"two", tmp_path)
    medium.give_back(aside, name)
    with medium.open(name) as file:
        assert file.read() == b"two"
    medium.remove(aside)
    assert list(medium.listed(".strays")) == []


@pytest.mark.parametrize("size", [1, 3 * SEGMENT, 12 << 20])
def test_a_copy_is_taken_from_an_open_file(medium: Shelf, size: int) -> None:
    data = os.urandom(size)
    medium.take("north/aa/s/1.dcm", io.BytesIO(data))
    with medium.open("north/aa/s/1.dcm") as file:
        assert file.read() == data


def test_a_store_keeps_sealed_files_there_and_moves_them_as_they_are(
    url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    own = f"{url}/{request.node.name.partition('[')[0]}"
    bucket = None if url.startswith("file:") else own
    store = ObjectStore(tmp_path, MASTER, url=bucket, cold_url=f"{own}-cold")
    store.prepare()
    whole = os.urandom(3 * SEGMENT + 11)
    incoming = store.incoming(b"head")
    incoming.write(whole)
    name = incoming.settle(PLACE, hashlib.sha256(whole).digest()).path
    away = copy_name(name, "m1", cold=True)
    assert away.startswith(COLD)
    store.copy(name, away)
    store.remove(name)
    again = ObjectStore(tmp_path, MASTER, url=bucket, cold_url=f"{own}-cold")
    with again.open(away) as file:
        file.seek(4 + SEGMENT)
        assert file.read(9) == whole[SEGMENT : SEGMENT + 9]
        file.seek(0)
        assert file.read() == b"head" + whole
    for gone in (name, "north/aa/nothing/1.dcm", f"{COLD}north/aa/nothing/1.dcm"):
        with pytest.raises(FileNotFoundError):
            again.open(gone)
    makers = {Keys(MASTER, again.shelf).make("north/aa/study") for _ in range(3)}
    assert len(makers) == 1


@pytest.mark.parametrize("url", ["s3", "azure"], indirect=True)
def test_a_medium_that_is_away_is_told_like_a_full_disk(url: str, tmp_path: Path) -> None:
    away = f"{url.partition(':')[0]}://no-such-bucket/room"
    store = ObjectStore(tmp_path, MASTER, url=away)
    store.prepare()
    incoming = store.incoming(b"head")
    incoming.write(b"image")
    with pytest.raises(OSError, match="Error"):
        incoming.settle(PLACE, b"sum")
    incoming.discard()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(OSError, match="Error"):
        list(Bucket(away).listed("north"))
