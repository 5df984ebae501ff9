"""What an instance says of itself: DICOM JSON for the rows, and the few values that ingest decides by."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.datadict import tag_for_keyword

from gateway.ingest import dicom_json, part10
from gateway.ingest.walk import UNDEFINED, Odd, walk

if TYPE_CHECKING:
    from typing import BinaryIO

    from gateway.ingest.dicom_json import DataSet
    from gateway.ingest.trail import Trail
    from storage.objects import Buffer

IMPLICIT = "1.2.840.10008.1.2"
# Big endian, and those whose whole data set is deflated (PS3.5 A.3, A.5; PS3.6 A).
_NOT_PLAIN = frozenset({
    "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205",
})  # fmt: skip
_USUAL_HEADER = 1 << 15
_NAMING = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_UID = re.compile(r"[0-9.]{1,64}")
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
# What pydicom finds odd is said by the answer; its own log may quote values.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
slow = threading.Lock()  # pydicom warns through a filter that all threads share


class Unparsable(Exception):
    """Not a data set, or not one that can be told from others (C-STORE status C000)."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header, read once; ``data`` is the DICOM JSON model without bulk data."""

    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    data: DataSet

    def first(self, keyword: str) -> str:
        """Return the first value of an attribute as text, empty when there is none."""
        return dicom_json.first(self.data, _tag(keyword))

    def name(self, keyword: str) -> str:
        """Return a person's name in all its scripts, with ``=`` between them (PS3.5 6.2.1)."""
        return dicom_json.whole_name(self.data, _tag(keyword))

    def nested(self, sequence: str, keyword: str) -> str:
        """Return the first non-empty value of an attribute in a sequence's items."""
        items = self.data.get(_tag(sequence), {}).get("Value") or []
        return next((found for item in items if (found := dicom_json.first(item, _tag(keyword)))), "")


@cache
def _tag(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{tag:08X}"


def read(
    data: Buffer,
    transfer_syntax: str,
    *,
    whole: bool = True,
    file: BinaryIO | None = None,
    trail: Trail | None = None,
) -> Header:
    """Read the header of a data set.

    Args:
        data: the data set without Part 10 header, or its beginning.
        transfer_syntax: what it was sent in.
        whole: whether ``data`` is all of it.
        file: where all of it is, as a Part 10 file, when ``data`` is not.
        trail: of the headers that came before it in the same way.

    Raises:
        Unparsable: no data set, truncated, or without the UIDs that name it.
    """
    parsed: DataSet | None = None
    if transfer_syntax not in _NOT_PLAIN:
        parsed = _fast(data, explicit=transfer_syntax != IMPLICIT, whole=whole, trail=trail)
    if parsed is None:
        parsed = careful(bytes(data) if whole or file is None else file, transfer_syntax)
    return _header(parsed)


def _fast(data: Buffer, *, explicit: bool, whole: bool, trail: Trail | None = None) -> DataSet | None:
    """Return the header, or None when it is not for the fast way."""
    for head in (bytes(data[:_USUAL_HEADER]), data):
        try:
            parsed, pixels = (trail.walk if trail else walk)(bytes(head), explicit=explicit)
        except Odd:
            if len(head) == len(data):
                return None
            continue
        if pixels is None:
            if len(head) < len(data):
                continue  # it happened to end where the piece does
            return parsed if whole else None
        offset, length = pixels
        if whole and length != UNDEFINED and offset + length > len(data):
            raise Unparsable("the pixel data are shorter than they say")
        return parsed
    return None


def careful(source: bytes | BinaryIO, transfer_syntax: str) -> DataSet:
    """Return the header as pydicom reads it."""
    with slow, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file = part10.file(source, transfer_syntax) if isinstance(source, bytes) else source
            data = pydicom.dcmread(file, stop_before_pixels=True)
            foreign = any(tag.group < 8 for tag in data.keys())  # noqa: SIM118, PLR2004 - keys() decodes no element
            told = data.to_json_dict(
                bulk_data_threshold=dicom_json.BULK_BYTES,
                bulk_data_element_handler=lambda _: "",
                suppress_invalid_tags=True,
            )
        except Exception as exc:  # whatever a broken data set makes pydicom raise
            raise Unparsable(f"not a data set: {type(exc).__name__}") from exc
    if foreign:
        raise Unparsable("a group that no data set has")
    return _clean(told)


def _clean(told: dict[str, Any]) -> DataSet:
    """Drop group lengths, bulk data and what JSON or the database cannot hold."""
    out: DataSet = {}
    for tag, element in told.items():
        if tag.endswith("0000"):
            continue
        if "BulkDataURI" in element or (element["vr"] in _BULK and not element.get("InlineBinary")):
            out[tag] = {"vr": element["vr"]}
        elif "Value" in element:
            out[tag] = {"vr": element["vr"], "Value": [_value(value) for value in element["Value"]]}
        else:
            out[tag] = element
    return out


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, float) and not -1e308 < value < 1e308:  # noqa: PLR2004 - NaN and the infinities
        return None
    if isinstance(value, dict):
        nested = any(isinstance(inner, dict) for inner in value.values())
        return _clean(value) if nested else {key: _value(inner) for key, inner in value.items()}
    return value


def _header(data: DataSet) -> Header:
    uids = {name: dicom_json.first(data, _tag(name)) for name in _NAMING}
    for name, uid in uids.items():
        if not _UID.fullmatch(uid):
            raise Unparsable(f"{name} is {'not a UID' if uid else 'missing'}")
    if "00080005" in data:
        data["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8 (PS3.18 F.2)
    sop_class, sop_uid, study_uid, series_uid = uids.values()
    return Header(sop_class, sop_uid, study_uid, series_uid, data)
