"""In which form an instance goes to a peer: as received where the peer takes that, else native little endian."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from actors.domain.errors import ReadingRoomError
from gateway.dicomweb import bulk, transcode
from gateway.dicomweb.frames import Images
from gateway.dicomweb.pixeldata import Unreadable
from gateway.ingest import part10
from gateway.ingest.header import slow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.ingest.negotiation import Context
    from storage.dicom import Stored
    from storage.objects import ObjectStore

NATIVE = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
_HEAD = 1 << 12


class NoForm(Exception):
    """The peer takes this instance in no form that we can make."""


def choose(contexts: Mapping[int, Context], place: Stored) -> tuple[int, str]:
    """Return the context for an instance and its transfer syntax: the stored one first.

    Raises:
        NoForm: none was accepted.
    """
    found = {c.transfer_syntax: n for n, c in contexts.items() if c.abstract_syntax == place.sop_class}
    for syntax in (place.transfer_syntax, *NATIVE):
        if syntax in found:
            return found[syntax], syntax
    raise NoForm("no presentation context for it")


def data_set(store: ObjectStore, place: Stored, transfer_syntax: str) -> bytes | memoryview:
    """Return the data set of an instance in this transfer syntax, under our Study Instance UID (blocking).

    Raises:
        NoForm: it cannot be made.
        OSError: the file is not there.
    """
    if transfer_syntax != place.transfer_syntax:
        return _native(store, place, transfer_syntax)
    if place.study_uid != place.header_study_uid:
        with store.open(place.path) as file:
            return memoryview(renamed := bulk.renamed(file, place.study_uid))[part10.meta(renamed[:_HEAD]).end :]
    with store.open(place.path) as file:
        whole = file.read()
    return memoryview(whole)[part10.meta(whole[:_HEAD]).end :]


def _native(store: ObjectStore, place: Stored, transfer_syntax: str) -> bytes:
    """Return the data set with its pixels decoded, if they are encoded, in little endian."""
    try:
        whole = transcode.instance(Images(store), store, place, NATIVE[0])
        if transfer_syntax == NATIVE[1]:
            whole = _implicit(whole)
    except (ReadingRoomError, Unreadable, AttributeError, ValueError, KeyError, TypeError, RuntimeError) as exc:
        raise NoForm(f"it cannot be made native: {type(exc).__name__}") from exc
    return whole[part10.meta(whole[:_HEAD]).end :]


def _implicit(explicit: bytes) -> bytes:
    with slow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(io.BytesIO(explicit))
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        out = io.BytesIO()
        pydicom.dcmwrite(out, data, implicit_vr=True, little_endian=True, enforce_file_format=True)
        return out.getvalue()
