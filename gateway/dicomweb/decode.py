"""Frames to arrays: native bytes and every compressed transfer syntax that imagecodecs reads (PS3.5 8.2, A.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from gateway.dicomweb.pixeldata import Unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.dicomweb.pixeldata import Shape

_JPEG = "1.2.840.10008.1.2.4."
BASELINE, LOSSLESS = frozenset({f"{_JPEG}50", f"{_JPEG}51"}), frozenset({f"{_JPEG}57", f"{_JPEG}70"})
JPEG_LS = frozenset({f"{_JPEG}80", f"{_JPEG}81"})
JPEG_2000 = frozenset({f"{_JPEG}90", f"{_JPEG}91", f"{_JPEG}92", f"{_JPEG}93"})
HTJ2K = frozenset({f"{_JPEG}201", f"{_JPEG}202", f"{_JPEG}203"})
RLE = "1.2.840.10008.1.2.5"
_MOST_PIXELS = 1 << 28
_RGB = 3


def decode(data: bytes, shape: Shape, transfer_syntax: str, *, encapsulated: bool) -> NDArray[Any]:
    """Return the stored values of a frame, ``(rows, columns)`` or ``(rows, columns, samples)``.

    Colours stay in the space that :func:`space` tells.

    Raises:
        Unreadable: it cannot be decoded.
    """
    if shape.rows * shape.columns * shape.samples > _MOST_PIXELS:
        raise Unreadable("the image is larger than we decode")
    if not encapsulated:
        return native(data, shape)
    try:
        found = _decompress(data, shape, transfer_syntax)
    except (RuntimeError, ValueError, TypeError) as exc:  # imagecodecs' errors are RuntimeErrors
        raise Unreadable(f"the frame does not decode: {type(exc).__name__}") from exc
    if found.size > _MOST_PIXELS:
        raise Unreadable("the frame is larger than we decode")
    return _typed(found, shape)


def space(shape: Shape, transfer_syntax: str, *, encapsulated: bool) -> str:
    """Return the photometric interpretation of what :func:`decode` returns."""
    if not encapsulated or shape.samples != _RGB:
        return shape.photometric
    converted = transfer_syntax in BASELINE or shape.photometric in ("YBR_RCT", "YBR_ICT")
    return "RGB" if converted else shape.photometric


def _decompress(data: bytes, shape: Shape, transfer_syntax: str) -> NDArray[Any]:
    found: NDArray[Any]
    if transfer_syntax == RLE:
        return _run_lengths(data, shape)
    if transfer_syntax in BASELINE | LOSSLESS:
        if shape.samples != _RGB:
            found = imagecodecs.jpeg_decode(data)
        else:
            colours = jpeg_space(data, shape) if transfer_syntax in BASELINE else "RGB"
            found = imagecodecs.jpeg_decode(data, colorspace=colours, outcolorspace="RGB")
    elif transfer_syntax in JPEG_LS:
        found = imagecodecs.jpegls_decode(data)
    elif transfer_syntax in JPEG_2000:
        found = imagecodecs.jpeg2k_decode(data)
    elif transfer_syntax in HTJ2K:
        found = imagecodecs.htj2k_decode(data, planar=False)  # also without a colour transformation
    else:
        raise Unreadable(f"frames in {transfer_syntax} are not decoded here")
    return found


def jpeg_space(data: bytes, shape: Shape) -> str:
    """Return the colour space of a JPEG stream: Adobe's marker, JFIF, component names, else what the header says."""
    at = 2
    names = b""
    while at + 4 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if marker == 0xEE and body[:5] == b"Adobe":  # noqa: PLR2004
            return "YCBCR" if body[11:12] in (b"\1", b"\2") else "RGB"
        if marker == 0xE0 and body[:4] == b"JFIF":  # noqa: PLR2004
            return "YCBCR"
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # noqa: PLR2004
            names = body[6::3][:3]
        if marker == 0xDA:  # noqa: PLR2004 - the scan begins
            break
        at += 2 + size
    return "RGB" if names == b"RGB" or not shape.photometric.startswith("YBR") else "YCBCR"


def _run_lengths(data: bytes, shape: Shape) -> NDArray[Any]:
    planes = np.frombuffer(imagecodecs.dicomrle_decode(data, f"<u{shape.allocated // 8}"), f"<u{shape.allocated // 8}")
    if shape.samples == 1:
        return planes.reshape(shape.rows, shape.columns)
    return planes.reshape(shape.samples, shape.rows, shape.columns).transpose(1, 2, 0)


def _typed(found: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """Return the array in the header's type: what a codec leaves unsigned is extended from its stored bits."""
    kind = np.dtype(f"{'i' if shape.signed else 'u'}{max(shape.allocated // 8, 1)}")
    if found.shape[:2] != (shape.rows, shape.columns):
        raise Unreadable("the frame has another size than its header says")
    if shape.signed and found.dtype.kind == "u":
        spare = kind.itemsize * 8 - shape.stored
        extended: NDArray[Any] = np.right_shift(np.left_shift(found.astype(kind), spare), spare)
        return extended
    return found.astype(kind, copy=False)


def native(data: bytes, shape: Shape) -> NDArray[Any]:
    """Return a native frame as an array; one cut short is padded with zeros (PS3.5 8.1.1, 8.2.1)."""
    rows, columns, samples = shape.rows, shape.columns, shape.samples
    need = -(-shape.bits // 8)
    if len(data) < need:
        data = data + bytes(need - len(data))
    if shape.allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[: rows * columns].reshape(rows, columns)
    if shape.floating:
        return np.frombuffer(data[:need], f"<f{shape.allocated // 8}").reshape(rows, columns)
    values = np.frombuffer(data[:need], f"<{'i' if shape.signed else 'u'}{shape.allocated // 8}")
    if samples == 1:
        return values.reshape(rows, columns)
    if shape.bits == rows * columns * 2 * shape.allocated:
        return _subsampled(values).reshape(rows, columns, samples)
    if shape.planar:
        return values.reshape(samples, rows, columns).transpose(1, 2, 0)
    return values.reshape(rows, columns, samples)


def _subsampled(values: NDArray[Any]) -> NDArray[Any]:
    """Return full pixels of 4:2:2 data, Y Y Cb Cr (PS3.3 C.7.6.3.1.2)."""
    pairs = values.reshape(-1, 4)
    full = np.empty((len(pairs), 2, 3), values.dtype)
    full[:, 0, 0], full[:, 1, 0] = pairs[:, 0], pairs[:, 1]
    full[:, :, 1], full[:, :, 2] = pairs[:, 2:3], pairs[:, 3:4]
    return full


def to_rgb(pixels: NDArray[Any], photometric: str, stored: int) -> NDArray[np.uint8]:
    """Return colour pixels of ``stored`` bits as 8 bits of red, green and blue (PS3.3 C.7.6.3.1.2)."""
    if stored > 8:  # noqa: PLR2004
        pixels = np.right_shift(pixels, stored - 8)
    if not photometric.startswith("YBR"):
        return pixels.astype(np.uint8, copy=False)
    y, cb, cr = (pixels[..., i].astype(np.float32) for i in range(3))
    cb, cr = cb - 128, cr - 128
    rgb = np.stack((y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb), axis=-1)
    shown: NDArray[np.uint8] = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return shown
