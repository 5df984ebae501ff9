"""What only a whole parse can do, by pydicom, in a thread: single values, and a study's other UID."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import pydicom

from gateway.dicomweb.problem import NotAcceptable
from gateway.ingest.header import slow

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import Dataset


def value(file: BinaryIO, name: str) -> bytes | None:
    """Return the bytes of an element, ``TAG`` or ``TAG/ITEM/TAG``, items from 0; None when there is none."""
    with slow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data: Dataset = pydicom.dcmread(file, force=True)
        steps = name.split("/")
        try:
            for tag, item in zip(steps[:-1:2], steps[1::2], strict=True):
                data = data[int(tag, 16)].value[int(item)]
            found = data[int(steps[-1], 16)].value
        except (KeyError, IndexError, TypeError):
            return None
        if found is None:
            return b""
        if not isinstance(found, bytes):
            raise NotAcceptable("This value is in the metadata.")
        return found


def renamed(file: BinaryIO, study_uid: str) -> bytes:
    """Return a file under another Study Instance UID; nothing else in it changes."""
    with slow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(file, force=True)
        data.StudyInstanceUID = study_uid
        out = io.BytesIO()
        data.save_as(out, enforce_file_format=False)
        return out.getvalue()
