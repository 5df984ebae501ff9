"""Values of data elements as the DICOM JSON model has them (PS3.18 F.2)."""

from __future__ import annotations

import math
import struct
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from gateway.ingest.text import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ingest.text import Encodings

Element = dict[str, Any]
DataSet = dict[str, Element]

BULK_BYTES = 4096  # longer binary values are left to bulk data requests
TEXT_BYTES = 1 << 16

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_STRUCTS = {vr: struct.Struct(f"<{code}") for vr, code in _NUMBERS.items()}
_PN_PARTS = ("Alphabetic", "Ideographic", "Phonetic")


def _numbers(vr: str, raw: bytes, _: Encodings) -> list[Any]:
    one = _STRUCTS[vr]
    if len(raw) == one.size:
        return list(one.unpack(raw))
    count = len(raw) // one.size
    return list(struct.unpack_from(f"<{count}{_NUMBERS[vr]}", raw))


def _floats(vr: str, raw: bytes, codecs: Encodings) -> list[Any]:
    return [value if math.isfinite(value) else None for value in _numbers(vr, raw, codecs)]


def _strings(_: str, raw: bytes, codecs: Encodings) -> list[Any]:
    text = decode(raw, codecs)
    if "\\" not in text:
        return [text]
    return [part.rstrip(" ") or None for part in text.split("\\")]


def _codes(_: str, raw: bytes, __: Encodings) -> list[Any]:
    text = raw.decode("latin-1").replace("\0", "").strip()
    if "\\" not in text:
        return [text]
    return [part.strip() or None for part in text.split("\\")]


def _text(_: str, raw: bytes, codecs: Encodings) -> list[Any]:
    return [decode(raw, codecs)]


def _decimal(text: str) -> float | str | None:
    try:
        value = float(text)
    except ValueError:
        return text or None
    return value if math.isfinite(value) else text


def _integer(text: str) -> float | str | None:
    try:
        return int(text)
    except ValueError:
        return _decimal(text)


def _decimals(_: str, raw: bytes, __: Encodings) -> list[Any]:
    return [_decimal(part.strip()) for part in raw.decode("latin-1").replace("\0", "").split("\\")]


def _integers(_: str, raw: bytes, __: Encodings) -> list[Any]:
    return [_integer(part.strip()) for part in raw.decode("latin-1").replace("\0", "").split("\\")]


def _names(_: str, raw: bytes, codecs: Encodings) -> list[Any]:
    names = (part.split("=") for part in decode(raw, codecs, name=True).split("\\"))
    return [{kind: text.strip() for kind, text in zip(_PN_PARTS, name, strict=False) if text.strip()} for name in names]


def _tags(_: str, raw: bytes, __: Encodings) -> list[Any]:
    words = struct.unpack_from(f"<{len(raw) // 2}H", raw)
    return [f"{group:04X}{element:04X}" for group, element in zip(words[::2], words[1::2], strict=False)]


_VALUES: dict[str, Callable[[str, bytes, Encodings], list[Any]]] = {
    **dict.fromkeys(("US", "SS", "UL", "SL", "UV", "SV"), _numbers),
    **dict.fromkeys(("FL", "FD"), _floats),
    **dict.fromkeys(("LO", "SH", "UC"), _strings),
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI"), _codes),
    **dict.fromkeys(("LT", "ST", "UT", "UR"), _text),
    "DS": _decimals,
    "IS": _integers,
    "PN": _names,
    "AT": _tags,
}
BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
KNOWN = frozenset(_VALUES) | BINARY | {"SQ"}


def element(vr: str, raw: bytes, codecs: Encodings) -> Element:
    """Return the JSON object of a data element; long binary values have no value here."""
    if not raw:
        return {"vr": vr}
    of = _VALUES.get(vr)
    if of is None:
        return {"vr": vr} if len(raw) > BULK_BYTES else {"vr": vr, "InlineBinary": b64encode(raw).decode("ascii")}
    if len(raw) > TEXT_BYTES:
        return {"vr": vr}
    values = of(vr, raw, codecs)
    if len(values) == 1 and values[0] in ("", None, {}):
        return {"vr": vr}
    return {"vr": vr, "Value": values}


def whole_name(data: DataSet, tag: str) -> str:
    """Return a person's name in all its scripts, as the data set has it: alphabetic=ideographic=phonetic."""
    values = data.get(tag, {}).get("Value")
    if not values or not isinstance(values[0], dict):
        return first(data, tag)
    return "=".join(values[0].get(part, "") for part in _PN_PARTS).rstrip("=")


def first(data: DataSet, tag: str) -> str:
    """Return the first value of an element as text, empty when there is none; of a name, its alphabetic part."""
    values = data.get(tag, {}).get("Value")
    if not values or values[0] is None:
        return ""
    value = values[0]
    if isinstance(value, dict):
        value = next((value[part] for part in _PN_PARTS if value.get(part)), "")
    return str(value).strip()
