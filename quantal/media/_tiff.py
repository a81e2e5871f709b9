"""Pixels of TIFF files: by Pillow where it is known to be right, else by tifffile.

Pillow's modes have no place for planes of 16 bits, signed bytes, or deep WhiteIsZero; it opens such
files nevertheless, and shows other samples than they hold.
"""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from quantal.errors import MediaError
from quantal.limits import check_size
from quantal.media._both_bytes import both_bytes, has_both_bytes
from quantal.media._decoded import PREMULTIPLIED, Decoded
from quantal.media._orientation import upright
from quantal.media._samples import Samples, deep_samples, reduce_samples
from quantal.media._survey.tiff import Layout, survey

if TYPE_CHECKING:
    import tifffile

__all__ = ["decode_tiff"]

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # errors are raised as well

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_NAMES = {
    4: "a transparency mask",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "a colour filter array (camera raw)",
    34892: "linear camera raw",
    32844: "LogL",
    32845: "LogLuv",
}
#: Samples of a pixel that make its colour.
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4}
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_ASSOCIATED, _UNASSOCIATED = 1, 2
#: Bytes that a byte of a compressed strip can become at most; other methods don't compress.
_RATIOS = {1: 1, 5: 1500, 8: 1032, 32946: 1032, 32773: 64, 34925: 20000, 50000: 20000}
_OTHER_RATIO = 1500
_FAX_4 = 4  # where a row like the one before it takes one bit


def decode_tiff(file: BinaryIO) -> Decoded:
    """Decode the first page of a TIFF file.

    Args:
        file: The file, seekable.

    Raises:
        MediaError: Neither Pillow nor tifffile gives the right pixels.
    """
    layout, beside = survey(file)
    check_size(layout.width, layout.height)
    if layout.photometric in _NAMES:
        raise MediaError(
            f"the TIFF holds {_NAMES[layout.photometric]}, expected grey, RGB, palette or CMYK "
            "samples; convert it first"
        )
    _check_bytes(file, layout)
    decoded = Decoded(Image.new("1", (1, 1)), beside)
    if layout.pages > 1:
        decoded.warnings.append(f"only frame 1 of {layout.pages} was taken")
    if _is_right_in_pillow(layout):
        with suppress(SyntaxError):  # a layout that Pillow has no mode for
            return _by_pillow(file, layout, decoded)
    try:
        samples, page = _by_tifffile(file, layout)
    except MediaError:
        if not _is_near_in_pillow(layout):
            raise
        return _by_pillow(file, layout, decoded)
    _take(samples, page, layout, decoded)
    return decoded


def _is_right_in_pillow(layout: Layout) -> bool:
    """Whether Pillow shows exactly the samples of a file."""
    if set(layout.formats) != {_UNSIGNED} or max(layout.bits) > 8:
        return False
    if layout.photometric == _YCBCR:
        return layout.compressed or layout.subsampling == (1, 1)
    if layout.planar:  # where Pillow heeds neither WhiteIsZero nor the order of bits
        return layout.photometric == _RGB and layout.samples == 3 and not layout.bits_reversed
    if layout.samples == 1:
        return True
    extra = layout.samples - _CHANNELS.get(layout.photometric, 3)
    return set(layout.bits) == {8} and extra <= (1 if layout.photometric != _CMYK else 0)


def _is_near_in_pillow(layout: Layout) -> bool:
    """Whether Pillow shows the samples of a file, perhaps cut to 8 bits."""
    if layout.planar or layout.bits_reversed:
        return False
    if set(layout.bits) == {16} and set(layout.formats) == {_UNSIGNED}:
        return layout.photometric in (_BLACK_IS_ZERO, _RGB) and layout.samples in (1, 3, 4)
    single = layout.samples == 1 and layout.photometric == _BLACK_IS_ZERO
    return single and layout.bits == (32,) and layout.formats[0] in (_SIGNED, _FLOAT)


def _check_bytes(file: BinaryIO, layout: Layout) -> None:
    """Check that a file has bytes enough for its size, before memory is allocated."""
    file.seek(0, 2)
    end = file.tell()
    there = sum(
        max(0, min(size, end - offset))
        for offset, size in zip(layout.offsets, layout.sizes, strict=False)
    )
    there = min(there, end)  # strips that share their bytes justify no memory
    ratio = _RATIOS.get(layout.compression, _OTHER_RATIO)
    if layout.compression == _FAX_4:
        ratio = max(layout.width, 8)
    bits = sum(layout.bits) if len(layout.bits) == layout.samples else layout.bits[0]
    needed = layout.width * layout.height * bits // 8
    if layout.photometric == _YCBCR:
        needed //= 3  # subsampled
    if needed > ratio * there:
        raise MediaError(
            f"the TIFF is cut or broken: {there} bytes of pixels found, too few for "
            f"{layout.width}x{layout.height} pixels of {bits} bits"
        )


def _opened(file: BinaryIO) -> TiffImagePlugin.TiffImageFile:
    file.seek(0)
    image = TiffImagePlugin.TiffImageFile(file)
    if image.tile:
        # With memory allocated here, Pillow does not apply its global limit to a TIFF.
        stored = (image.tag_v2[256], image.tag_v2[257])
        image.im = Image.new(image.mode, stored).im
    return image


def _by_pillow(file: BinaryIO, layout: Layout, decoded: Decoded) -> Decoded:
    decoded.image = image = _opened(file)
    taken = Image.getmodebands(image.mode)
    deep, premultiplied = max(layout.bits) > 8, layout.extras[:1] == (_ASSOCIATED,)
    if deep and has_both_bytes(image) and not (premultiplied and taken == 4):
        file.seek(0)
        decoded.deep = both_bytes(image, _opened(io.BytesIO(file.read())))
        decoded.depth = 16
    else:
        image.load()
        if deep and image.mode in ("RGB", "RGBA"):
            decoded.alter("16-bit samples were reduced to 8 bits")
    if premultiplied and image.mode in ("LA", "RGBA"):
        decoded.altered.append(PREMULTIPLIED)
    if image.mode == "P":
        _check_palette(image.tag_v2.get(320, ()), decoded)
    _name_bands(layout, decoded, taken)
    return decoded


def _by_tifffile(file: BinaryIO, layout: Layout) -> tuple[Samples, tifffile.TiffPage]:
    """Return samples [H, W, C] of a file and its page."""
    import tifffile  # is slow to import, and most pictures are no such files

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        try:
            samples = page.asarray(maxworkers=1)
        except Exception as error:  # of any kind, for broken files and for missing decoders
            advice = "; pip install imagecodecs" if "imagecodecs" in str(error) else ""
            raise MediaError(
                f"a TIFF of {layout.describe()} can't be read: {error}{advice}, or convert it"
            ) from error
    if layout.planar and layout.samples > 1:
        samples = np.moveaxis(samples, 0, -1)
    shape = (layout.height, layout.width, layout.samples)
    if samples.size != layout.height * layout.width * layout.samples:
        raise MediaError(f"a TIFF of {layout.describe()} has samples of shape {samples.shape}")
    return samples.reshape(shape), page


def _take(samples: Samples, page: tifffile.TiffPage, layout: Layout, decoded: Decoded) -> None:
    """Take samples, as they are if 9 to 16 bits hold them, else as an image of 8 bits."""
    photometric, bits = layout.photometric, max(layout.bits)
    if photometric not in _CHANNELS or samples.dtype.kind not in "uif":
        raise MediaError(
            f"a TIFF of {layout.describe()} can't be read; convert it to RGB of 8 or 16 bits"
        )
    channels = _CHANNELS[photometric]
    extras = layout.extras
    if channels == 1 and layout.samples >= 3 and not {_ASSOCIATED, _UNASSOCIATED} & set(extras):
        channels = 3  # bands of a satellite or a microscope
    has_alpha = layout.samples > channels and extras[:1] in ((_ASSOCIATED,), (_UNASSOCIATED,))
    premultiplied = has_alpha and extras[:1] == (_ASSOCIATED,)
    _name_bands(layout, decoded, channels + has_alpha)

    if photometric not in (_PALETTE, _CMYK) and not premultiplied:
        found = deep_samples(samples[:, :, : channels + has_alpha], bits)
        if found is not None:
            deep, decoded.depth = found
            if photometric == _WHITE_IS_ZERO:
                deep = deep.copy()
                deep[:, :, 0] = ((1 << decoded.depth) - 1) - deep[:, :, 0]
            decoded.deep = upright(deep, layout.orientation)
            return
    colour = samples[:, :, :channels]
    if photometric == _PALETTE:
        table = np.asarray(page.colormap)
        if samples.dtype.kind != "u" or table.ndim != 2 or int(colour.max()) >= table.shape[1]:
            raise MediaError("the TIFF has samples that its palette has no colour for")
        _check_palette(table, decoded)
        eight = (table >> 8).astype(np.uint8).T[colour[:, :, 0]]
    else:
        changes: list[str] = []
        eight = reduce_samples(colour, bits, changes)
        decoded.alter(*changes)
    if photometric == _WHITE_IS_ZERO:
        eight = 255 - eight
    if has_alpha:
        opacity = reduce_samples(samples[:, :, channels], bits, [])
        eight = np.dstack([eight, opacity])
    decoded.image = _of_channels(upright(eight, layout.orientation), photometric, premultiplied)


def _check_palette(table: npt.ArrayLike, decoded: Decoded) -> None:
    """Note colours of 16 bits that 8 don't hold; most writers repeat 8 bits, or shift them."""
    colours = np.asarray(table)
    if ((colours % 257 != 0) & (colours % 256 != 0)).any():
        decoded.altered.append("colours of 16 bits in its palette were reduced to 8 bits")


def _of_channels(eight: Samples, photometric: int, premultiplied: bool) -> Image.Image:
    height, width, channels = eight.shape
    if photometric == _CMYK:
        mode, eight = "CMYK", eight[:, :, :4]
    else:
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        if premultiplied and channels in (2, 4):
            mode = mode[:-1] + "a"
    data = np.ascontiguousarray(eight)
    return Image.frombytes(mode, (width, height), data.tobytes())


def _name_bands(layout: Layout, decoded: Decoded, taken: int) -> None:
    """Name the bands of a file beyond those that are shown."""
    further = layout.samples - taken
    if layout.photometric == _YCBCR or further <= 0:
        return
    bands = "a further band" if further == 1 else f"{further} further bands"
    decoded.beside.drop(f"{bands} (of {layout.samples})")
    decoded.altered.append(f"{bands} (of {layout.samples}) were left out")
