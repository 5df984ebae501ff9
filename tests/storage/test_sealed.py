"""Sealed files: what is read is what was written, part by part, and nothing else is ever read."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.keys import Keys
from storage.objects import ObjectStore, Place
from storage.sealed import HEAD_BYTES, SEGMENT, TAG, Damaged
from storage.shelves import Disk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MASTER = b"m" * 32
PLACE = Place("north", "main", "1.2.3", "1.2.3.4", "1.2.3.4.5")
LENGTHS = st.sampled_from([0, 1, 7, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 3 * SEGMENT + 11])
PATIENT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _store(root: Path, master: bytes | None = MASTER) -> ObjectStore:
    store = ObjectStore(root, master, sync=False)
    store.prepare()
    return store


def _put(store: ObjectStore, pieces: Sequence[bytes], place: Place = PLACE) -> str:
    incoming = store.incoming(b"head")
    for piece in pieces:
        incoming.write(piece)
    return incoming.settle(place, hashlib.sha256(b"".join(pieces)).digest()).path


@PATIENT
@given(
    lengths=st.lists(LENGTHS, min_size=1, max_size=4), at=st.integers(0, 4 * SEGMENT), size=st.integers(-1, SEGMENT * 2)
)
def test_any_part_reads_as_it_was_written(tmp_path: Path, lengths: list[int], at: int, size: int) -> None:
    store = _store(tmp_path)
    pieces = [os.urandom(length) for length in lengths]
    whole = b"head" + b"".join(pieces)
    name = _put(store, pieces)
    with store.open(name) as file:
        assert file.read() == whole
        file.seek(at)
        assert file.read(size) == (whole[at:] if size < 0 else whole[at : at + size])
        assert file.tell() == max(at, min(at + size, len(whole))) if size >= 0 else True
    segments = max(1, -(-len(whole) // SEGMENT))
    assert (store.root / name).stat().st_size == HEAD_BYTES + len(whole) + TAG * segments


@PATIENT
@given(
    length=LENGTHS, at=st.integers(0, 3 * SEGMENT), size=st.integers(1, 4 * SEGMENT), before=st.integers(0, 300),
    after=st.integers(0, 300), sealed=st.booleans(), wait=st.booleans(),
)  # fmt: skip
def test_a_piece_comes_with_room_around_it(
    tmp_path: Path, *, length: int, at: int, size: int, before: int, after: int, sealed: bool, wait: bool
) -> None:
    store = _store(tmp_path, MASTER if sealed else None)
    data = os.urandom(length)
    name = _put(store, [data])
    with suppress(BlockingIOError):  # a file system may not tell what it holds in memory
        piece = store.piece(name, (at, size), before=before, after=after, wait=wait)
        assert piece[before : len(piece) - after] == (b"head" + data)[at : at + size]
        assert len(piece) >= before + after


def test_a_piece_of_a_file_that_was_changed_is_never_shown(tmp_path: Path) -> None:
    store = _store(tmp_path)
    name = _put(store, [os.urandom(3 * SEGMENT)])
    path = store.root / name
    changed = bytearray(path.read_bytes())
    changed[HEAD_BYTES + SEGMENT + TAG + 5] ^= 1
    path.write_bytes(changed)
    with pytest.raises(Damaged):
        store.piece(name, (0, 3 * SEGMENT), before=100)


@PATIENT
@given(lengths=st.lists(LENGTHS, min_size=1, max_size=4))
def test_what_is_still_coming_can_be_read_too(tmp_path: Path, lengths: list[int]) -> None:
    incoming, whole = _store(tmp_path).incoming(b"head"), b"head"
    for length in lengths:
        incoming.write(piece := os.urandom(length))
        whole += piece
        with incoming.reader() as file:
            assert file.read() == whole
    incoming.discard()


def test_nothing_of_it_lies_on_disk_in_the_clear(tmp_path: Path) -> None:
    store = _store(tmp_path)
    name = _put(store, [b"PHANTOM^Iris" * 10_000])
    assert b"PHANTOM" not in (store.root / name).read_bytes()


@pytest.mark.parametrize(
    "at", [0, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + SEGMENT, HEAD_BYTES + SEGMENT + TAG + 5, -1]
)
def test_a_changed_byte_is_seen(tmp_path: Path, at: int) -> None:
    store = _store(tmp_path)
    name = _put(store, [b"x" * (2 * SEGMENT)])
    data = bytearray((store.root / name).read_bytes())
    data[at] ^= 1
    (store.root / name).write_bytes(data)
    if at == 0:  # no longer sealed to the eye: it is no Part 10 file either
        assert not store.verify(name, b"")
        return
    with pytest.raises(Damaged), store.open(name) as file:
        file.read()


@pytest.mark.parametrize("cut", [1, TAG, 5 + TAG, SEGMENT, SEGMENT + TAG, 2 * (SEGMENT + TAG)])
def test_a_cut_off_file_is_seen(tmp_path: Path, cut: int) -> None:
    store = _store(tmp_path)
    name = _put(store, [b"x" * (2 * SEGMENT)])
    whole = (store.root / name).read_bytes()
    (store.root / name).write_bytes(whole[:-cut])
    with pytest.raises(Damaged), store.open(name) as file:
        file.read()


def test_segments_that_changed_places_are_seen(tmp_path: Path) -> None:
    store = _store(tmp_path)
    name = _put(store, [b"x" * (3 * SEGMENT)])
    data, sealed = (store.root / name).read_bytes(), SEGMENT + TAG
    first, second = data[HEAD_BYTES : HEAD_BYTES + sealed], data[HEAD_BYTES + sealed : HEAD_BYTES + 2 * sealed]
    (store.root / name).write_bytes(data[:HEAD_BYTES] + second + first + data[HEAD_BYTES + 2 * sealed :])
    with pytest.raises(Damaged), store.open(name) as file:
        file.read()


def test_another_instances_key_opens_nothing(tmp_path: Path) -> None:
    name = _put(_store(tmp_path), [b"x"])
    with pytest.raises(Damaged):
        _store(tmp_path, b"another" * 5).open(name)


def test_one_study_has_one_key_however_many_begin_it(tmp_path: Path) -> None:
    makers = [Keys(MASTER, Disk(tmp_path, sync=False)) for _ in range(4)]
    assert len({keys.make("north/aa/study") for keys in makers}) == 1
    assert makers[0].make("north/aa/other") != makers[0].make("north/aa/study")
    assert [path.name for path in (tmp_path / "north/aa/study").iterdir()] == ["key"]


def test_without_its_key_a_study_is_gone(tmp_path: Path) -> None:
    store = _store(tmp_path)
    name = _put(store, [b"x"])
    ((store.root / name).parent / "key").unlink()
    with pytest.raises(FileNotFoundError):
        _store(tmp_path).open(name)


def test_files_from_before_encryption_stay_readable(tmp_path: Path) -> None:
    name = _put(_store(tmp_path, None), [b"plain"])
    with _store(tmp_path).open(name) as file:
        assert file.read() == b"headplain"
