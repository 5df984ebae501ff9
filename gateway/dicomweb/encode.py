"""Arrays to frames of another transfer syntax: every lossless one that imagecodecs writes, and baseline JPEG (PS3.5 8.2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from gateway.dicomweb.decode import RLE, to_rgb
from gateway.dicomweb.pixeldata import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gateway.dicomweb.pixeldata import Shape

_JPEG = "1.2.840.10008.1.2.4."
BASELINE, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K = (f"{_JPEG}{end}" for end in ("50", "70", "80", "90", "201"))
HTJ2K_RPCL, HTJ2K_ANY = f"{_JPEG}202", f"{_JPEG}203"
LOSSLESS = frozenset({JPEG_LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K, HTJ2K_RPCL, HTJ2K_ANY, RLE})
QUALITY = 90
_BITS = {  # allocated bits that each can hold
    BASELINE: (8,),
    JPEG_LOSSLESS: (8, 16),
    JPEG_LS: (8, 16),
    JPEG_2000: (8, 16),
    HTJ2K: (8, 16, 32),
    HTJ2K_RPCL: (8, 16, 32),
    HTJ2K_ANY: (8, 16, 32),
    RLE: (8, 16, 32),
}
_COLOURS = 3
_RLE_SEGMENTS = 15
_THUMBNAIL_BITS = 6  # 64 pixels


def writable(shape: Shape, transfer_syntax: str) -> bool:
    """Whether frames of this shape can be written in a transfer syntax."""
    if shape.floating or shape.allocated not in _BITS.get(transfer_syntax, ()) or shape.samples not in (1, _COLOURS):
        return False
    if transfer_syntax == BASELINE:
        return not shape.signed and shape.stored == shape.allocated and shape.photometric != "PALETTE COLOR"
    return True


def encode(pixels: NDArray[Any], shape: Shape, photometric: str, transfer_syntax: str) -> bytes:
    """Return a frame of even length.

    Args:
        pixels: stored values, ``(rows, columns)`` or ``(rows, columns, samples)``, in the header's type.
        shape: as the header says.
        photometric: the colour space of ``pixels``; lossless ones keep it, baseline JPEG makes it YBR_FULL_422.
        transfer_syntax: what to write.

    Raises:
        Unreadable: it holds no such pixels.
    """
    if not writable(shape, transfer_syntax):
        raise Unreadable(
            f"{shape.allocated} bits of {shape.photometric or 'no colours'} have no form in {transfer_syntax}"
        )
    pixels = np.ascontiguousarray(pixels)
    try:
        data = (
            _baseline(pixels, shape, photometric) if transfer_syntax == BASELINE else _WRITERS[transfer_syntax](pixels)
        )
    except (RuntimeError, ValueError, TypeError) as exc:  # imagecodecs' errors are RuntimeErrors
        raise Unreadable(f"the frame is not taken by {transfer_syntax}: {type(exc).__name__}") from exc
    return data + b"\0" * (len(data) % 2)


def _baseline(pixels: NDArray[Any], shape: Shape, photometric: str) -> bytes:
    if pixels.ndim == _COLOURS:
        shown = np.ascontiguousarray(to_rgb(pixels, photometric, shape.stored))
        return bytes(imagecodecs.jpeg8_encode(shown, level=QUALITY, subsampling="422"))
    return bytes(imagecodecs.jpeg8_encode(pixels, level=QUALITY))


def _unsigned(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the same bits without a sign, for streams that know none; readers get it from the header (PS3.5 8.2.1)."""
    return pixels.view(f"u{pixels.dtype.itemsize}")


def _run_lengths(pixels: NDArray[Any]) -> bytes:
    """Return RLE segments, the most significant byte of each sample first, each row by itself (PS3.5 G)."""
    size = pixels.dtype.itemsize
    planes = np.moveaxis(pixels.reshape(*pixels.shape[:2], -1), 2, 0)  # samples, rows, columns
    octets = np.ascontiguousarray(planes, pixels.dtype.newbyteorder("<")).view(np.uint8).reshape(*planes.shape, size)
    segments = []
    for sample in octets:
        for place in reversed(range(size)):
            packed = b"".join(imagecodecs.packbits_encode(row.tobytes()) for row in sample[:, :, place])
            segments.append(packed + b"\0" * (len(packed) % 2))
    if len(segments) > _RLE_SEGMENTS:
        raise ValueError("more segments than a header names")
    starts, at = [], 64
    for segment in segments:
        starts.append(at)
        at += len(segment)
    head = struct.pack("<16I", len(segments), *starts, *(0 for _ in range(_RLE_SEGMENTS - len(segments))))
    return head + b"".join(segments)


def _high_throughput(pixels: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.htj2k_encode(pixels, reversible=True, rgb=False))


def _by_resolution(pixels: NDArray[Any]) -> bytes:
    """Return a stream whose smallest image has at most 64 rows and columns, a part a resolution (PS3.5 10.18).

    OpenJPH always writes them in the order of resolutions (RPCL).
    """
    halvings = max(max(pixels.shape[:2]) - 1, 1).bit_length() - _THUMBNAIL_BITS
    made = imagecodecs.htj2k_encode(
        pixels,
        reversible=True,
        rgb=False,
        resolutions=max(halvings, 1),
        tlm=True,
        tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS,
    )
    return bytes(made)


_WRITERS: dict[str, Callable[[NDArray[Any]], bytes]] = {
    JPEG_LOSSLESS: lambda pixels: bytes(imagecodecs.jpeg8_encode(_unsigned(pixels), lossless=True, predictor=1)),
    JPEG_LS: lambda pixels: bytes(imagecodecs.jpegls_encode(_unsigned(pixels))),
    JPEG_2000: lambda pixels: bytes(
        imagecodecs.jpeg2k_encode(pixels, codecformat="J2K", reversible=True, level=0, mct=False)
    ),
    HTJ2K: _high_throughput,
    HTJ2K_RPCL: _by_resolution,
    HTJ2K_ANY: _high_throughput,  # which may lose; ours does not
    RLE: _run_lengths,
}
