"""Samples of 9 to 16 bits: read exactly, written exactly, and what else becomes of samples."""

from __future__ import annotations

import dataclasses
import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from quantal import media
from quantal.errors import ArgumentError, MediaError, QuantalWarning
from quantal.media import _deep_png
from quantal.media._picture import Deep

from .conftest import encoded, photo
from .pngs import chunk, png
from .tiffs import tiff_of

ORIENTATION = 0x0112
#: What a stored array becomes, by its orientation (EXIF 2.32, 4.6.5.1.6).
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def noise(channels: int, depth: int = 16, height: int = 11, width: int = 7) -> Deep:
    top = (1 << depth) - 1
    samples = np.random.default_rng(channels).integers(0, top + 1, (height, width, channels))
    samples[0, 0], samples[-1, -1] = 0, top
    return samples.astype(np.uint16)


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


# -- the picture ----------------------------------------------------------------------------------


@given(
    hnp.arrays(
        np.uint16,
        st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4)),
        elements=st.integers(0, 65535),
    )
)
def test_arrays_round_trip_through_png(array: npt.NDArray[np.uint16]) -> None:
    picture = media.from_array(array)
    again = media.read(media.write(picture, "png"))
    assert picture.deep is not None and np.shares_memory(picture.deep, array)
    for one in (picture, again):
        assert one.deep is not None and np.array_equal(one.deep, array)
        assert (one.depth, one.grey, one.warnings, one.altered) == (
            16,
            array.shape[2] < 3,
            (),
            (),
        )
    eight = np.rint(array / 257)
    assert np.abs(picture.pixels - eight[:, :, : 1 if picture.grey else 3]).max() == 0
    assert (picture.alpha is not None) == (array.shape[2] in (2, 4))
    if picture.alpha is not None:
        assert np.array_equal(picture.alpha, eight[:, :, -1])


@pytest.mark.parametrize("depth", range(9, 17))
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_fewer_bits_keep_their_depth_and_show_right_everywhere(depth: int, channels: int) -> None:
    array = noise(channels, depth)
    picture = media.from_array(array, depth)
    data = media.write(picture, "png")
    again = media.read(data)
    assert again.depth == depth
    assert again.warnings == ()
    assert again.deep is not None and np.array_equal(again.deep, array)
    assert np.array_equal(again.pixels, picture.pixels)
    with Image.open(io.BytesIO(data)) as image:  # which heeds no sBIT
        assert image.getpixel((6, 10)) in (65535, (255, 255, 255), (255, 255, 255, 255))


def test_bits_that_mean_nothing_are_kept_where_they_are_not_those_of_fewer() -> None:
    array = noise(1)
    data = png(array, 0, 16, chunk(b"sBIT", b"\x0c"))
    picture = media.read(data)
    assert picture.depth == 16
    assert picture.deep is not None and np.array_equal(picture.deep, array)
    assert picture.warnings == ("not carried: the chunk sBIT",)


def test_a_flat_array_and_one_of_the_other_byte_order_are_taken() -> None:
    array = noise(1)[:, :, 0]
    for given_array in (array, array.astype(">u2"), array[::-1][::-1]):
        deep = media.from_array(given_array).deep
        assert deep is not None and deep.dtype == np.uint16
        assert np.array_equal(deep[:, :, 0], array)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"deep": np.zeros((11, 7, 3), np.uint8)}, MediaError, "expected uint16"),
        ({"deep": np.zeros((11, 7), np.uint16)}, MediaError, r"expected uint16 \[11, 7, 3\]"),
        ({"deep": np.zeros((11, 8, 3), np.uint16)}, MediaError, r"\[11, 8, 3\] found"),
        ({"alpha": np.zeros((11, 7), np.uint8)}, MediaError, r"expected uint16 \[11, 7, 4\]"),
        ({"grey": True}, MediaError, r"expected uint16 \[11, 7, 1\]"),
        ({"deep": [[1]]}, ArgumentError, "deep"),
        ({"depth": 8}, ArgumentError, "depth must be 9..16"),
        ({"depth": 15}, MediaError, "at most 32767 with 15 bits"),
        ({"deep": None}, ArgumentError, "depth must be 8 without"),
    ],
)
def test_deep_samples_have_to_fit(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dataclasses.replace(media.from_array(noise(3)), **change)


@pytest.mark.parametrize("depth", [8, 17, 1.5])
def test_an_array_has_an_impossible_depth(depth: int) -> None:
    with pytest.raises(ArgumentError, match="depth"):
        media.from_array(noise(1), depth)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 65536), (2, 2, 5), (2,)])
def test_impossible_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MediaError):
        media.from_array(np.zeros(shape, np.uint16))


def test_a_shallow_picture_says_what_it_lost() -> None:
    picture = dataclasses.replace(media.from_array(noise(4, 12), 12), warnings=("first",))
    shallow = picture.shallow()
    assert (shallow.deep, shallow.depth, shallow.reduction) == (None, 8, None)
    assert shallow.warnings == ("first", "12-bit samples were reduced to 8 bits")
    assert shallow.altered == ("12-bit samples were reduced to 8 bits",)
    assert np.array_equal(shallow.pixels, picture.pixels)
    assert shallow.shallow() is shallow


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", [0, 2, 4, 6])
def test_a_turned_png_is_upright(kind: int, orientation: int) -> None:
    array = noise({0: 1, 2: 3, 4: 2, 6: 4}[kind])
    exif = exif_of(orientation).removeprefix(b"Exif\0\0")
    picture = media.read(png(array, kind, 16, chunk(b"eXIf", exif)))
    assert picture.deep is not None and picture.deep.flags.c_contiguous
    assert np.array_equal(picture.deep, TURNS[orientation](array))
    assert np.abs(picture.pixels - picture.deep[:, :, : 3 if kind in (2, 6) else 1] / 257).max() < 1


@pytest.mark.parametrize("passes", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (8, 1), (9, 13)])
def test_grey_with_alpha_is_exact_in_every_pass(size: tuple[int, int], passes: bool) -> None:
    array = noise(2, height=size[0], width=size[1])
    data = interlaced(array) if passes else png(array, 4, 16)
    picture = media.read(data)
    assert picture.deep is not None and np.array_equal(picture.deep, array)


def interlaced(array: Deep) -> bytes:
    """Return an interlaced PNG of grey and alpha."""
    height, width, _ = array.shape
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    raw = b""
    for top, left, down, right in [*passes, (1, 0, 2, 1)]:
        part = array[top::down, left::right]
        raw += b"".join(b"\0" + row.astype(">u2").tobytes() for row in part if row.size)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("stored", ["<", ">", "< zlib", "> zlib", "lzw"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_tiff_is_exact_and_upright(channels: int, stored: str, orientation: int) -> None:
    array = noise(channels)
    if stored == "lzw":
        data = by_libtiff(array, orientation)
    else:
        order, _, compression = stored.partition(" ")
        data = by_tifffile(array, order, compression or None, orientation)
    for picture in (media.read(data), media.from_image(Image.open(io.BytesIO(data)))):
        assert picture.deep is not None
        assert np.array_equal(picture.deep, TURNS[orientation](array))
        assert (picture.depth, picture.altered, picture.warnings) == (16, (), ())


def by_tifffile(array: Deep, order: str, compression: str | None, orientation: int) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        array if array.shape[2] > 1 else array[:, :, 0],
        photometric="rgb" if array.shape[2] > 1 else "minisblack",
        extrasamples=["unassalpha"] if array.shape[2] == 4 else None,
        byteorder=order,
        compression=compression,
        metadata=None,
        extratags=[(274, "H", 1, orientation, False)],
    )
    return file.getvalue()


def by_libtiff(array: Deep, orientation: int) -> bytes:
    """Return a TIFF with LZW, which tifffile alone can't read.

    Pillow writes no RGB of 16 bits. Its strip of grey, three or four times as wide, is that of RGB.
    """
    height, width, channels = array.shape
    grey = Image.fromarray(array.reshape(height, width * channels))
    data = encoded(grey, "TIFF", compression="tiff_lzw")
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        (start,), (size,) = page.dataoffsets, page.databytecounts
    layout = {"t259": (5,), "t274": (orientation,), "t279": (size,)}
    extras = (2,) if channels == 4 else ()
    whole = tiff_of(array, 16, 2 if channels > 1 else 1, extras=extras, **layout)
    return whole[: -array.nbytes] + data[start : start + size]


@pytest.mark.parametrize("photometric", [0, 1, 2])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_tiff_of_any_depth_is_exact(bits: int, photometric: int) -> None:
    array = noise(3 if photometric == 2 else 1, bits)
    try:
        picture = media.read(tiff_of(array, bits, photometric))
    except MediaError:
        assert bits != 16
        return
    expected = (1 << bits) - 1 - array if photometric == 0 else array
    assert picture.deep is not None and np.array_equal(picture.deep, expected)
    assert picture.depth == bits
    assert picture.altered == ()


def test_white_is_zero_leaves_alpha_as_it_is() -> None:
    array = noise(2)
    deep = media.read(tiff_of(array, 16, 0, extras=(2,))).deep
    assert deep is not None
    assert np.array_equal(deep[:, :, 0], 65535 - array[:, :, 0])
    assert np.array_equal(deep[:, :, 1], array[:, :, 1])


def test_integers_of_more_bits_are_deep_where_16_hold_them() -> None:
    for dtype in (np.uint32, np.int32, np.int16):
        array = np.array([[0, 256, 30000]], dtype)
        file = io.BytesIO()
        tifffile.imwrite(file, array, photometric="minisblack", metadata=None)
        picture = media.read(file.getvalue())
        assert picture.deep is not None and picture.deep[0, :, 0].tolist() == [0, 256, 30000]
        assert picture.altered == ()


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_images_in_memory_are_exact(mode: str) -> None:
    array = noise(1)[:, :, 0]
    stored = array.astype(">u2" if mode == "I;16B" else "<u2")
    image = Image.frombytes(mode, (7, 11), stored.tobytes())
    image.info["exif"] = exif_of(6)
    picture = media.from_image(image)
    assert picture.deep is not None
    assert np.array_equal(picture.deep[:, :, 0], np.rot90(array, -1))


# -- what makes samples others --------------------------------------------------------------------


def float_tiff() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.full((2, 3), 0.5, np.float32), metadata=None)
    return file.getvalue()


def wide_tiff() -> bytes:
    return tiff_of(np.full((2, 3, 1), 1 << 20), 32, 1)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (lambda: encoded(Image.new("CMYK", (9, 9), 77), "JPEG"), "CMYK was converted to RGB"),
        (lambda: encoded(Image.new("CMYK", (9, 9), 77), "TIFF"), "CMYK was converted to RGB"),
        (float_tiff, "floating-point samples were reduced to 8 bits"),
        (wide_tiff, "24-bit samples were reduced to 8 bits"),
        (lambda: tiff_of(noise(4), 16, 5), "16-bit samples were reduced to 8 bits"),
        (lambda: tiff_of(noise(4), 16, 2, extras=(1,)), "colours were divided by alpha"),
        (lambda: tiff_of(noise(4) >> 8, 8, 2, extras=(1,)), "colours were divided by alpha"),
        (lambda: tiff_of(noise(5) >> 8, 8, 2, extras=(0, 0)), "2 further bands (of 5)"),
        (lambda: tiff_of(noise(5), 16, 2, extras=(0, 0)), "2 further bands (of 5)"),
        (lambda: palette_tiff(300), "colours of 16 bits in its palette"),
    ],
)
def test_what_makes_samples_others_is_named(data: Any, sentence: str) -> None:
    altered = media.read(data()).altered
    assert any(sentence in one for one in altered), altered


def palette_tiff(factor: int) -> bytes:
    colours = np.arange(3 * 256).reshape(3, 256) % 200 * factor
    return tiff_of(noise(1) >> 8, 8, 3, colours=colours)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "WEBP", "GIF", "JPEG"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_pictures_of_8_bits_are_not_altered(mode: str, format: str) -> None:
    image = Image.open(photo("coffee.png")).resize((31, 17)).convert(mode)
    if format == "JPEG":
        image = image.convert("L" if mode in ("1", "L") else "RGB")
    try:
        data = encoded(image, format)
    except OSError:
        return  # the format has no such mode
    assert media.read(data).altered == ()
    assert media.read(data).deep is None


@pytest.mark.parametrize("factor", [256, 257])
def test_palettes_of_8_bits_are_not_altered(factor: int) -> None:
    assert media.read(palette_tiff(factor)).altered == ()


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_images_are_altered_without_a_warning(mode: str) -> None:
    picture = media.from_image(Image.new(mode, (2, 2)))
    assert picture.warnings == ()
    assert "divided by alpha" in picture.altered[0]


# -- writing --------------------------------------------------------------------------------------


def test_metadata_stands_beside_deep_samples() -> None:
    whole = media.read(photo("coffee.png"))
    picture = dataclasses.replace(
        media.from_array(noise(4)),
        icc=Image.open(io.BytesIO(profiled())).info["icc_profile"],
        exif=exif_of(1).removeprefix(b"Exif\0\0"),
        xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
    )
    again = media.read(media.write(picture, "png"))
    assert whole.deep is None
    assert (again.icc, again.exif, again.xmp) == (picture.icc, picture.exif, picture.xmp)
    assert again.warnings == ()


def profiled() -> bytes:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(Image.new("RGB", (2, 2)), "PNG", icc_profile=profile)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_grey_picture_with_a_profile_of_rgb_becomes_rgb(channels: int) -> None:
    icc = Image.open(io.BytesIO(profiled())).info["icc_profile"]
    array = noise(channels)
    picture = dataclasses.replace(media.from_array(array), icc=icc)
    again = media.read(media.write(picture, "png"))
    assert again.deep is not None
    assert np.array_equal(again.deep[:, :, :3], array[:, :, :1].repeat(3, 2))
    assert np.array_equal(again.deep[:, :, 3:], array[:, :, 1:])


def test_strips_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.meshgrid(np.arange(40), np.arange(50))
    array = (np.stack([x * y * 30, x * 1000, y * 1000 + x], 2) & 65535).astype(np.uint16)
    whole = media.write(media.from_array(array), "png")
    monkeypatch.setattr(_deep_png, "_STRIP_PIXELS", 120)
    data = media.write(media.from_array(array), "png")
    again = media.read(data).deep
    assert again is not None and np.array_equal(again, array)
    assert data == whole
    assert len(data) < array.nbytes / 4  # filters find that it is smooth


def test_pillow_reads_what_is_written() -> None:
    for channels in (1, 2, 3, 4):
        array = noise(channels)
        with Image.open(io.BytesIO(media.write(media.from_array(array), "png"))) as image:
            found = np.asarray(image)
        if channels == 1:
            assert np.array_equal(found, array[:, :, 0])
        else:  # of which Pillow shows the upper bytes
            upper = array >> 8
            upper = upper[:, :, [0, 0, 0, 1]] if channels == 2 else upper
            assert np.array_equal(found, upper)


@pytest.mark.parametrize("format", ["jpg", "webp"])
def test_other_formats_have_8_bits_with_a_warning(format: str) -> None:
    picture = media.from_array(noise(3, 10), 10)
    with pytest.warns(QuantalWarning, match=f"{format} has 8 bits.*10-bit samples were reduced"):
        data = media.write(picture, format)
    expected = media.write(picture.shallow(), format)
    assert data == expected


def test_grey_images_of_pillow_hold_the_samples() -> None:
    array = noise(1, 12)
    picture = dataclasses.replace(media.from_array(array, 12), xmp=b"<x/>")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = media.to_image(picture)
    assert image.mode == "I;16"
    assert np.array_equal(np.asarray(image), array[:, :, 0])
    assert image.info["xmp"] == b"<x/>"


@pytest.mark.parametrize(("channels", "mode"), [(2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_other_images_of_pillow_have_8_bits_with_a_warning(channels: int, mode: str) -> None:
    picture = media.from_array(noise(channels))
    with pytest.warns(QuantalWarning, match="no mode for 16-bit"):
        image = media.to_image(picture)
    assert image.mode == mode
    assert np.array_equal(np.asarray(image), np.asarray(media.to_image(picture.shallow())))
