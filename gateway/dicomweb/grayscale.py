"""From stored values to what a screen shows: modality and VOI transformations, colour tables (PS3.3 C.11, C.7.6.3.1.5)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gateway.dicomweb.pixeldata import Shape

    Bulk = Callable[[str], bytes | None]

Header = dict[str, Any]

_SHARED, _PER_FRAME = "52009229", "52009230"
_VALUE_TRANSFORMATION, _FRAME_VOI = "00289145", "00289132"
_MODALITY_TABLE, _VOI_TABLE = "00283000", "00283010"
_DESCRIPTOR, _DATA = "00283002", "00283006"


@dataclass(frozen=True, slots=True)
class Window:
    """Centre, width and function of a VOI transformation (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: str = "LINEAR"

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values from 0 to 1."""
        center, width = self.center, max(self.width, 1e-6)
        out: NDArray[np.float32]
        if self.function == "SIGMOID":
            out = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -80, 80)))
        elif self.function == "LINEAR_EXACT":
            out = np.clip((values - center) / width + 0.5, 0, 1)
        else:
            out = np.clip((values - (center - 0.5)) / max(width - 1, 1e-6) + 0.5, 0, 1)
        return out


def values(header: Header, tag: str) -> list[Any]:
    """Return the values of an attribute, none when it is absent."""
    return [value for value in header.get(tag, {}).get("Value") or () if value is not None]


def _numbers(header: Header, tag: str) -> list[float]:
    return [float(value) for value in values(header, tag) if isinstance(value, int | float)]


def _group(header: Header, frame: int, sequence: str) -> Header:
    """Return the functional group of a frame, else the shared one, else the header itself (PS3.3 C.7.6.16)."""
    per_frame, shared = values(header, _PER_FRAME), values(header, _SHARED)
    for item in (*per_frame[frame - 1 : frame], *shared[:1]):
        found: list[Header] = values(item, sequence)
        if found:
            return found[0]
    return header


def _bytes(item: Header, tag: str, name: str, bulk: Bulk) -> bytes:
    """Return a binary value, from where it lies when the header leaves it out."""
    inline = item.get(tag, {}).get("InlineBinary")
    return base64.b64decode(inline) if inline else bulk(name) or b""


def _table(descriptor: list[float], raw: bytes | list[Any]) -> tuple[NDArray[np.float32], int, int]:
    """Return a look-up table's entries, first value mapped and bits (PS3.3 C.11.1.1)."""
    length, first, bits = (int(v) for v in descriptor[:3])
    length = length or 1 << 16
    if isinstance(raw, list):
        entries = np.asarray(raw, np.float32)
    elif len(raw) < 2 * length:
        entries = np.frombuffer(raw, np.uint8).astype(np.float32)
    else:
        entries = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2").astype(np.float32)
    return entries[:length], first, bits


def _look_up(pixels: NDArray[Any], entries: NDArray[np.float32], first: int) -> NDArray[np.float32]:
    index = np.clip(pixels.astype(np.int64) - first, 0, max(len(entries) - 1, 0))
    return entries[index]


def _sequence_table(header: Header, sequence: str, bulk: Bulk) -> tuple[NDArray[np.float32], int, int] | None:
    items = values(header, sequence)
    if not items or len(_numbers(items[0], _DESCRIPTOR)) < 3:  # noqa: PLR2004
        return None
    item = items[0]
    raw: bytes | list[Any] = _numbers(item, _DATA) or _bytes(item, _DATA, f"{sequence}/0/{_DATA}", bulk)
    table = _table(_numbers(item, _DESCRIPTOR), raw)
    return table if len(table[0]) else None


def modality(pixels: NDArray[Any], header: Header, frame: int, bulk: Bulk) -> NDArray[np.float32]:
    """Return stored values in the modality's units (PS3.3 C.11.1)."""
    table = _sequence_table(header, _MODALITY_TABLE, bulk)
    if table is not None:
        return _look_up(pixels, table[0], table[1])
    group = _group(header, frame, _VALUE_TRANSFORMATION)
    slope, intercept = _numbers(group, "00281053"), _numbers(group, "00281052")
    out = pixels.astype(np.float32)
    if slope and slope[0] not in (0, 1):
        out *= np.float32(slope[0])
    if intercept and intercept[0]:
        out += np.float32(intercept[0])
    return out


def _stored_window(header: Header, frame: int) -> Window | None:
    group = _group(header, frame, _FRAME_VOI)
    centers, widths = _numbers(group, "00281050"), _numbers(group, "00281051")
    if not centers or not widths or widths[0] <= 0:
        return None
    function = str((values(group, "00281056") or ["LINEAR"])[0])
    return Window(centers[0], widths[0], function)


def _whole_range(shown: NDArray[np.float32], pixels: NDArray[Any], header: Header) -> Window:
    """Return a window over what is there, padding left out (PS3.3 C.7.5.1.1.2)."""
    kept = shown
    padding = _numbers(header, "00280120")
    if padding:
        limit = (_numbers(header, "00280121") or padding)[0]
        low, high = sorted((padding[0], limit))
        inside = (pixels < low) | (pixels > high)
        kept = shown[inside] if inside.any() else shown
    finite = kept[np.isfinite(kept)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return Window((low + high) / 2, max(high - low, 1e-6), "LINEAR_EXACT")


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame's surroundings: its instance's header and shape, its number, and how to get what headers leave out."""

    header: Header
    shape: Shape
    frame: int
    bulk: Bulk


def gray(pixels: NDArray[Any], picture: Picture, window: Window | None) -> NDArray[np.uint8]:
    """Return a monochrome frame as 8 bits, black to white."""
    header, shape, bulk = picture.header, picture.shape, picture.bulk
    shown = modality(pixels, header, picture.frame, bulk)
    chosen = window or _stored_window(header, picture.frame)
    table = None if chosen else _sequence_table(header, _VOI_TABLE, bulk)
    if table is not None:
        entries, first, bits = table
        out = _look_up(np.rint(shown), entries, first) / max((1 << min(max(bits, 1), 16)) - 1, float(entries.max()), 1)
    elif chosen is None and shape.allocated == 1:
        out = shown
    else:
        out = (chosen or _whole_range(shown, pixels, header)).apply(shown)
    out = np.nan_to_num(out)
    inverse = shape.photometric == "MONOCHROME1" or values(header, "20500020")[:1] == ["INVERSE"]
    levels: NDArray[np.uint8] = np.rint((1 - out if inverse else out) * 255).astype(np.uint8)
    return levels


def palette(pixels: NDArray[Any], picture: Picture) -> NDArray[np.uint8]:
    """Return the colours that a frame's values stand for (PS3.3 C.7.9, C.7.6.3.1.5)."""
    planes, header, bulk = [], picture.header, picture.bulk
    for descriptor, data in (("00281101", "00281201"), ("00281102", "00281202"), ("00281103", "00281203")):
        entries, first, bits = _table(_numbers(header, descriptor) or [256, 0, 8], _bytes(header, data, data, bulk))
        if not len(entries):
            entries, bits = np.arange(256, dtype=np.float32), 8
        scale = 255 / 65535 if bits > 8 and float(entries.max()) > 255 else 1.0  # noqa: PLR2004 - some say 16 and write 8
        planes.append(np.clip(np.rint(_look_up(pixels, entries, first) * scale), 0, 255).astype(np.uint8))
    return np.stack(planes, axis=-1)
