"""Pictures in memory to .qtl bytes and back: `quantal.compress` and `quantal.decompress`.

Only a face: pixels are prepared by the room `media` and coded by `files`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from quantal import media
from quantal.codecs import DEFAULT_CODEC, load
from quantal.codecs.files import Target, decode_picture, encode_picture
from quantal.errors import ArgumentError, QuantalWarning

if TYPE_CHECKING:
    from quantal.codecs.base import Codec

__all__ = ["compress", "decompress"]


def compress(
    image: Image.Image | NDArray[np.uint8] | torch.Tensor,
    codec: str | Codec = DEFAULT_CODEC,
    *,
    quality: int | None = None,
    bpp: float | None = None,
    psnr: float | None = None,
    max_bytes: int | None = None,
    effort: int = 0,
    resilient: bool = False,
    device: str = "auto",
) -> bytes:
    """Compress a picture to the bytes of a .qtl file.

    `image`: a PIL image, whose alpha, ICC profile, EXIF and XMP are carried; a uint8 array
    [H, W, C] or [H, W]; or a uint8 tensor [C, H, W]. C is 1 (grey), 2 (grey and alpha), 3 (RGB) or
    4 (RGB and alpha).

    At most one of `quality` (1..100, default 60), `bpp` (bits per pixel to aim at), `psnr` (dB over
    RGB, to aim at) and `max_bytes` (never exceeded: TargetError if it would be) is given. `effort`
    (0..3, default 0) is how hard to search for symbols that code better; see docs/search.md.
    `resilient` (codec `vq`): a somewhat larger file that can be mended where it is damaged. What
    had to be changed about the picture is told as a QuantalWarning.
    """
    picture = _picture(image)
    coder = load(codec, device) if isinstance(codec, str) else codec
    target = Target(quality=quality, bpp=bpp, psnr=psnr, max_bytes=max_bytes)
    encoded = encode_picture(picture, coder, target, effort, resilient=resilient)
    for message in (*picture.warnings, *encoded.warnings):
        warnings.warn(message, QuantalWarning, stacklevel=2)
    return encoded.data


def decompress(
    data: bytes,
    *,
    device: str = "auto",
    codec: Codec | None = None,
    max_parts: int | None = None,
    conceal: bool = False,
) -> Image.Image:
    """The picture in the bytes of a .qtl file, as a PIL image of mode L, LA, RGB or RGBA.

    `codec`: by default the one that the file names, with the weights that ship. `max_parts`: draw
    a coarser picture from so many parts of its stream, of a `context` codec from 1 to 9, of
    `tokens` from 1 to 128; `data` may then be the first bytes of a file alone. `conceal`: draw a
    damaged or cut file that was written with `resilient`, and make up what is lost.
    """
    if max_parts is not None and max_parts < 1:
        raise ArgumentError(f"max_parts has to be 1 or more, not {max_parts}")
    picture = decode_picture(data, device, codec, max_parts, conceal)
    for message in picture.warnings:
        warnings.warn(message, QuantalWarning, stacklevel=2)
    return media.to_image(picture)


def _picture(image: object) -> media.Picture:
    if isinstance(image, Image.Image):
        return media.from_image(image)
    if isinstance(image, torch.Tensor):
        if image.dtype is not torch.uint8 or image.ndim != 3:
            found = f"{str(image.dtype).removeprefix('torch.')} {list(image.shape)}"
            raise ArgumentError(f"a tensor has to be uint8 [C, H, W], this one is {found}")
        image = image.detach().cpu().permute(1, 2, 0).numpy()
    if isinstance(image, np.ndarray):
        return media.from_array(image)
    kind = type(image).__name__
    raise ArgumentError(f"{kind} is no picture: give a PIL image, a uint8 array or a uint8 tensor")
