"""In which form an instance goes to a peer: as received where the peer takes that, else native little endian."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from actors.domain.errors import ReadingRoomError
from gateway.dicomweb import bulk
from gateway.dicomweb.decode import space
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
    with slow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with store.open(place.path) as file:
                data = pydicom.dcmread(file)
            if "PixelData" in data and place.transfer_syntax not in _UNENCODED:
                images = Images(store)
                layout = images.layout(place)
                frames = images.frames(place, range(1, layout.count + 1), stored=False)
                pixels = b"".join(frames)
                data.PixelData = pixels + b"\0" * (len(pixels) % 2)
                data["PixelData"].VR = "OB" if layout.shape.allocated <= 8 else "OW"  # noqa: PLR2004 - PS3.5 A.2
                if layout.shape.samples > 1:
                    data.PlanarConfiguration = 0
                    data.PhotometricInterpretation = space(layout.shape, place.transfer_syntax, encapsulated=True)
            data.StudyInstanceUID = place.study_uid
            data.file_meta.TransferSyntaxUID = pydicom.uid.UID(transfer_syntax)
            out = io.BytesIO()
            pydicom.dcmwrite(
                out, data, implicit_vr=transfer_syntax == NATIVE[1], little_endian=True, enforce_file_format=True
            )
        except (ReadingRoomError, Unreadable, AttributeError, ValueError, KeyError, TypeError, RuntimeError) as exc:
            raise NoForm(f"it cannot be made native: {type(exc).__name__}") from exc
    whole = out.getvalue()
    return whole[part10.meta(whole[:_HEAD]).end :]


_UNENCODED = frozenset({*NATIVE, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})
