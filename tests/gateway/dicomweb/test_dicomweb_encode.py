"""What is lossless is: every array comes back from every syntax as it went in, by our reader and by pydicom's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from gateway.dicomweb import encode
from gateway.dicomweb.decode import decode, space
from gateway.dicomweb.pixeldata import Shape, Unreadable


def shape_of(pixels: np.ndarray[Any, Any], stored: int, photometric: str) -> Shape:
    rows, columns, *samples = pixels.shape
    return Shape(
        rows, columns, samples[0] if samples else 1, 1, pixels.dtype.itemsize * 8, stored, pixels.dtype.kind == "i",
        planar=False, photometric=photometric,
    )  # fmt: skip


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], Shape]:
    """Draw pixels of any type, size, samples and stored bits."""
    kind = draw(st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4"]))
    size = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    colours = draw(st.sampled_from(["MONOCHROME2", "RGB", "YBR_FULL", "PALETTE COLOR"]))
    full = np.dtype(kind).itemsize * 8
    stored = draw(st.integers(max(full - 7, 1), full))
    low, high = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if kind[0] == "i" else (0, (1 << stored) - 1)
    whole = (*size, 3) if colours in ("RGB", "YBR_FULL") else size
    if draw(st.booleans()):
        pixels = draw(arrays(kind, whole, elements=st.integers(low, high)))
    else:  # like a picture: slopes, runs and a little noise
        grid = np.add.outer(np.arange(size[0]), np.arange(size[1])) * draw(st.integers(0, 9))
        noise = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 1 + draw(st.integers(0, 30)), whole)
        pixels = ((grid[..., None] if len(whole) == 3 else grid) + noise).clip(low, high).astype(kind)
    return pixels, shape_of(pixels, stored, colours)


@pytest.mark.parametrize("syntax", sorted(encode.LOSSLESS))
@given(drawn=images())
def test_what_is_lossless_comes_back_as_it_was(syntax: str, drawn: tuple[np.ndarray[Any, Any], Shape]) -> None:
    pixels, shape = drawn
    if not encode.writable(shape, syntax):
        with pytest.raises(Unreadable):
            encode.encode(pixels, shape, shape.photometric, syntax)
        return
    data = encode.encode(pixels, shape, shape.photometric, syntax)
    assert len(data) % 2 == 0
    back = decode(data, shape, syntax, encapsulated=True)
    assert back.dtype == pixels.dtype
    assert np.array_equal(back, pixels)
    assert space(shape, syntax, encapsulated=True) == shape.photometric


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 3), (512, 400), (1000, 128), (2049, 5)])
@pytest.mark.parametrize("samples", [1, 3])
def test_resolutions_come_in_order_with_their_lengths_down_to_a_thumbnail(size: tuple[int, int], samples: int) -> None:
    whole = size if samples == 1 else (*size, samples)
    pixels = np.random.default_rng(3).integers(0, 4000, whole).astype("u2")
    shape = shape_of(pixels, 12, "RGB" if samples == 3 else "MONOCHROME2")
    data = encode.encode(pixels, shape, shape.photometric, encode.HTJ2K_RPCL)
    markers, at = {}, 2
    while data[at : at + 2] != b"\xff\x90":  # SOT: the first part
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        markers[data[at + 1]] = data[at + 4 : at + 2 + length]
        at += 2 + length
    order, halvings = markers[0x52][1], markers[0x52][5]  # COD (ISO/IEC 15444-1 A.6.1)
    assert order == 2  # RPCL
    assert max(-(-side // 2**halvings) for side in size) <= 64
    assert len(markers[0x55]) >= 2 + 4 * (halvings + 1)  # TLM: a length a resolution
    assert np.array_equal(decode(data, shape, encode.HTJ2K_RPCL, encapsulated=True), pixels)


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4"])
@pytest.mark.parametrize("samples", [1, 3])
def test_pydicom_reads_our_run_lengths(kind: str, samples: int) -> None:
    rng = np.random.default_rng(7)
    size = (33, 47) if samples == 1 else (33, 47, samples)
    pixels = (rng.integers(0, 4, size) * 40).astype(kind)
    shape = shape_of(pixels, pixels.dtype.itemsize * 8, "RGB" if samples == 3 else "MONOCHROME2")
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.5")
    image.Rows, image.Columns, image.SamplesPerPixel = 33, 47, samples
    image.BitsAllocated = image.BitsStored = shape.allocated
    image.HighBit, image.PixelRepresentation = shape.allocated - 1, int(shape.signed)
    image.PhotometricInterpretation, image.PlanarConfiguration = shape.photometric, 0
    image.PixelData = encapsulate([encode.encode(pixels, shape, shape.photometric, "1.2.840.10008.1.2.5")])
    assert np.array_equal(image.pixel_array, pixels)


@given(drawn=images())
def test_baseline_jpeg_is_near_for_eight_bits_and_refused_else(drawn: tuple[np.ndarray[Any, Any], Shape]) -> None:
    pixels, shape = drawn
    if not encode.writable(shape, encode.BASELINE):
        with pytest.raises(Unreadable):
            encode.encode(pixels, shape, shape.photometric, encode.BASELINE)
        return
    assert (shape.allocated, shape.stored, shape.signed) == (8, 8, False)
    flat = np.full_like(pixels, 77)
    back = decode(encode.encode(flat, shape, "RGB", encode.BASELINE), shape, encode.BASELINE, encapsulated=True)
    assert back.shape == pixels.shape
    assert np.abs(back.astype(int) - 77).max() <= 2
