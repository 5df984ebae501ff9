"""Rendered images look as the standard says they should: windows, inversion, colours, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing, pixel_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    Make = Callable[..., FileDataset]
    At = Callable[..., str]

PNG = "image/png"


async def _picture(dicomweb: Any, path: str, accept: str = PNG) -> Any:
    async with dicomweb.get(path, accept=accept) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == accept
        data = await answer.read()
    return imagecodecs.png_decode(data) if accept == PNG else imagecodecs.jpeg_decode(data)


async def test_the_stored_window_is_applied(dicomweb: Any, make: Make, at: At) -> None:
    image = make(WindowCenter=40, WindowWidth=400)
    await dicomweb.store(image)
    want = apply_windowing(apply_modality_lut(image.pixel_array, image), image)
    want = (want - want.min()) / (want.max() - want.min()) * 255
    got = await _picture(dicomweb, f"{at(image)}/rendered")
    assert np.abs(got.astype(float) - want).max() <= 1


async def test_a_window_may_be_asked_for(dicomweb: Any, make: Make, at: At) -> None:
    image = make()
    await dicomweb.store(image)
    values = apply_modality_lut(image.pixel_array, image)
    hard = await _picture(dicomweb, f"{at(image)}/rendered?window=100,2,linear-exact")
    assert np.array_equal(hard > 127, values >= 100)
    soft = await _picture(dicomweb, f"{at(image)}/rendered?window=100,400,sigmoid")
    assert np.abs(soft - 255 / (1 + np.exp(-4 * (values - 100) / 400))).max() <= 1


async def test_monochrome1_is_white_where_it_is_low(dicomweb: Any, make: Make, at: At) -> None:
    image, inverse = make("MR_small.dcm"), make("MR_small.dcm", PhotometricInterpretation="MONOCHROME1")
    await dicomweb.store(image, inverse)
    one, other = [await _picture(dicomweb, f"{at(i)}/rendered") for i in (image, inverse)]
    assert np.abs(255 - one.astype(int) - other).max() <= 1


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
async def test_compression_does_not_change_the_picture(dicomweb: Any, make: Make, at: At, name: str) -> None:
    plain, packed = make("MR_small.dcm"), make(name)
    await dicomweb.store(plain, packed)
    one, other = [await _picture(dicomweb, f"{at(i)}/rendered") for i in (plain, packed)]
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit_2frame.dcm", "SC_ybr_full_422_uncompressed.dcm",
    ],
)  # fmt: skip
async def test_red_is_red_in_every_encoding(dicomweb: Any, make: Make, at: At, name: str) -> None:
    image = make(name)
    await dicomweb.store(image)
    got = await _picture(dicomweb, f"{at(image)}/frames/1/rendered")
    assert np.abs(got[5, 50].astype(int) - [255, 0, 0]).max() <= 8


async def test_planes_and_odd_sizes(dicomweb: Any, make: Make, at: At) -> None:
    for name in ("ExplVR_BigEnd.dcm", "SC_rgb_small_odd_big_endian.dcm", "examples_rgb_color.dcm"):
        image = make(name)
        await dicomweb.store(image)
        got = await _picture(dicomweb, f"{at(image)}/rendered")
        assert np.array_equal(got, image.pixel_array), name


async def test_palette_colours(dicomweb: Any, make: Make, at: At) -> None:
    image = make("examples_palette.dcm")
    await dicomweb.store(image)
    want = apply_color_lut(image.pixel_array, image).astype(float) / 257
    got = await _picture(dicomweb, f"{at(image)}/rendered")
    assert np.abs(got - want).max() <= 1


async def test_single_bits_and_doses_are_shown(dicomweb: Any, make: Make, at: At) -> None:
    liver, dose = make("liver_1frame.dcm"), make("rtdose.dcm")
    await dicomweb.store(liver, dose)
    got = await _picture(dicomweb, f"{at(liver)}/rendered")
    assert np.array_equal(got, liver.pixel_array * 255)
    frames = [await _picture(dicomweb, f"{at(dose)}/frames/{n}/rendered") for n in (1, 8, 15)]
    assert all(frame.shape == (10, 10) for frame in frames)
    middle = await _picture(dicomweb, f"{at(dose)}/rendered")
    assert np.array_equal(middle, frames[1])


async def test_enhanced_images_take_their_frames_window(dicomweb: Any, make: Make, at: At) -> None:
    image = make("MR_small.dcm", NumberOfFrames=2)
    image.PixelData = image.PixelData * 2
    for keyword in ("WindowCenter", "WindowWidth"):
        if keyword in image:
            delattr(image, keyword)
    groups = []
    for center in (500, 1500):
        window, group = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = center, 200
        group.FrameVOILUTSequence = [window]
        groups.append(group)
    image.PerFrameFunctionalGroupsSequence = groups
    await dicomweb.store(image)
    one, two = [await _picture(dicomweb, f"{at(image)}/frames/{n}/rendered") for n in (1, 2)]
    pixels = pixel_array(image)[0]
    assert one[pixels > 600].min() == 255
    assert two[pixels < 1399].max() == 0


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ("viewport=64,64", (64, 64)),
        ("viewport=64,256", (64, 64)),
        ("viewport=256,256", (256, 256)),
        ("viewport=32,32,0,0,64,32", (16, 32)),
        ("viewport=64,64,,,,", (64, 64)),
    ],
)
async def test_a_viewport_keeps_the_aspect(
    dicomweb: Any, make: Make, at: At, query: str, shape: tuple[int, int]
) -> None:
    image = make()
    await dicomweb.store(image)
    assert (await _picture(dicomweb, f"{at(image)}/rendered?{query}")).shape == shape


async def test_ohif_thumbnails(dicomweb: Any, make: Make, at: At) -> None:
    image = make()
    await dicomweb.store(image)
    whole = await _picture(dicomweb, f"{at(image)}/rendered", "image/jpeg")
    assert whole.shape == (128, 128)
    small = await _picture(dicomweb, f"{at(image)}/rendered?viewport=64,64", "image/jpeg")
    assert np.abs(small.astype(float) - whole.reshape(64, 2, 64, 2).mean(axis=(1, 3))).mean() < 8
    for level in ("study", "series", "instance"):
        assert (await _picture(dicomweb, f"{at(image, level=level)}/thumbnail", "image/jpeg")).shape == (256, 256)
        assert (await _picture(dicomweb, f"{at(image, level=level)}/rendered", PNG)).shape == (128, 128)


@pytest.mark.parametrize(
    "query",
    ["viewport=0,1", "viewport=x,1", "viewport=1", "viewport=9,9,500,500,9,9", "window=1", "window=a,b,linear",
     "window=1,0", "window=1,2,cubic", "quality=101", "quality=x"],
)  # fmt: skip
async def test_a_wrong_look_is_refused(dicomweb: Any, make: Make, at: At, query: str) -> None:
    image = make()
    await dicomweb.store(image)
    assert await dicomweb.refusal(f"{at(image)}/rendered?{query}") == (400, "bad_payload")


async def test_what_does_not_decode_is_refused(dicomweb: Any, make: Make, at: At) -> None:
    image = make("MR_small_jp2klossless.dcm")
    image.PixelData = image.PixelData[:200] + bytes(100) + image.PixelData[300:]
    spoiled = make("JPGExtended.dcm", Rows=7)
    await dicomweb.store(image, spoiled)
    assert await dicomweb.refusal(f"{at(spoiled)}/rendered") == (406, "not_acceptable")
    assert (await dicomweb.refusal(f"{at(image)}/frames/9"))[0] == 404
