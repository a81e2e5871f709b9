"""The functions of `quantal` itself: compress, decompress, read and write."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quantal import arguments, media
from quantal.codecs.registry import DEFAULT_CODEC
from quantal.errors import ArgumentError, QuantalWarning
from quantal.files.decode import decode_picture
from quantal.files.encode import encode_picture, suited
from quantal.files.matching import named_codec
from quantal.files.targets import Target
from quantal.outputs import write_whole
from quantal.sources import Source, read_source

if TYPE_CHECKING:
    import torch

    from quantal.codecs.contract import Codec

__all__ = ["Drawable", "compress", "decompress", "read", "samples", "write"]

#: A picture in memory, or a file of one: its path, its bytes, or the file open in binary mode.
Drawable: TypeAlias = (
    "Image.Image | NDArray[np.uint8] | NDArray[np.uint16] | torch.Tensor | media.Readable"
)


def compress(
    image: Drawable,
    codec: str | Codec = DEFAULT_CODEC,
    *,
    quality: int | None = None,
    bpp: float | None = None,
    psnr: float | None = None,
    max_bytes: int | None = None,
    effort: int = 0,
    resilient: bool = False,
    strip: str | Iterable[str] = (),
    content: str = "auto",
    device: str = "auto",
) -> bytes:
    """Compress a picture to the bytes of a .qtl file.

    At most one of `quality`, `bpp`, `psnr` and `max_bytes` is given. A QuantalWarning names
    everything about the picture that had to be changed.

    Args:
        image: a PIL image, whose alpha, ICC profile, EXIF and XMP are carried; a uint8 or uint16
            array [H, W, C] or [H, W]; a uint8 tensor [C, H, W]; or a picture file, as its path, its
            bytes in any buffer, or the file open in binary mode. C is 1 (grey), 2 (grey and alpha),
            3 (RGB) or 4 (RGB and alpha).
        codec: a name, or a codec from quantal.load().
        quality: 1..100; default 60.
        bpp: bits per pixel to aim at, without metadata.
        psnr: PSNR over RGB to aim at, in dB.
        max_bytes: size that is never exceeded.
        effort: 0..3, how hard to search for symbols that code better; see docs/how-to/effort.md.
        resilient: whether to write a somewhat larger file whose damage can be concealed (codec
            `vq`).
        strip: metadata to leave out: "exif", "xmp", "icc", several of them, or "all".
        content: "auto", "photo" or "screen": whether a `context` codec looks for text, flat areas
            and repeats, to code these in exact colours; "auto" does unless there plainly are none.
        device: "auto", "cpu" or "cuda", for a codec given by name.

    Returns:
        The bytes of the file.

    Raises:
        TargetError: If the picture does not fit in `max_bytes`.
        ArgumentError: If `image` is no picture, or an option is impossible.
        ModelError: If the codec is unknown or its weights are missing.
        MediaError: If the picture of a path can't be read.
    """
    target = Target(quality=quality, bpp=bpp, psnr=psnr, max_bytes=max_bytes)
    picture = media.strip(_picture(image), strip)
    coder = named_codec(codec, device)
    picture = suited(picture, coder)
    encoded = encode_picture(picture, coder, target, effort, resilient=resilient, content=content)
    _warn((*picture.warnings, *encoded.warnings))
    return encoded.data


def decompress(
    data: Source,
    *,
    device: str = "auto",
    codec: Codec | None = None,
    max_parts: int | None = None,
    conceal: bool = False,
) -> Image.Image:
    """Return the picture in a .qtl file as a PIL image of mode L, LA, RGB or RGBA.

    Args:
        data: the bytes of the file in any buffer, its path, or the file open in binary mode.
        device: "auto", "cpu" or "cuda".
        codec: default: the one that the file names, with the weights that ship.
        max_parts: draw a coarser picture from this many parts of the stream: 1 to 9 of a `context`
            codec, 1 to 128 of `tokens`; `data` may then be the first bytes of a file.
        conceal: draw a damaged or cut file that was written with `resilient`, and make up what is
            lost.

    Raises:
        BitstreamError: If the file is damaged.
        ModelError: If its codec isn't here.
        ArgumentError: If `data` is no file, or an option is impossible.
        MediaError: If the file of a path can't be read.
    """
    picture = decode_picture(read_source(data), device, codec, max_parts, conceal)
    _warn(picture.warnings)
    return media.to_image(picture)


def samples(data: Source, *, codec: Codec | None = None) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the samples of the picture in a .qtl file, as a lossless codec keeps them.

    Args:
        data: the bytes of the file in any buffer, its path, or the file open in binary mode.
        codec: default: the one that the file names, with the weights that ship.

    Returns:
        uint8 [H, W, C], or uint16 for a picture of 9 to 16 bits that was coded without loss. C is 1
        (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha).

    Raises:
        BitstreamError: If the file is damaged.
        ModelError: If its codec isn't here.
    """
    picture = decode_picture(read_source(data), codec=codec)
    _warn(picture.warnings)
    return picture.samples


def read(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    codec: Codec | None = None,
    max_parts: int | None = None,
    conceal: bool = False,
) -> Image.Image:
    """Return the picture in a .qtl file.

    Args:
        path: path to the file.
        device: see decompress().
        codec: see decompress().
        max_parts: see decompress().
        conceal: see decompress().
    """
    return decompress(_path(path), device=device, codec=codec, max_parts=max_parts, conceal=conceal)


def write(
    path: str | os.PathLike[str],
    image: Drawable,
    codec: str | Codec = DEFAULT_CODEC,
    *,
    quality: int | None = None,
    bpp: float | None = None,
    psnr: float | None = None,
    max_bytes: int | None = None,
    effort: int = 0,
    resilient: bool = False,
    strip: str | Iterable[str] = (),
    content: str = "auto",
    device: str = "auto",
) -> int:
    """Compress a picture to a .qtl file.

    The file appears whole or not at all, and replaces an existing one.

    Args:
        path: path to the file.
        image: the picture; see compress(), also for the other arguments.

    Returns:
        The size of the file in bytes.

    Raises:
        OutputError: If the file can't be written.
    """
    target = _path(path)
    data = compress(
        image,
        codec,
        quality=quality,
        bpp=bpp,
        psnr=psnr,
        max_bytes=max_bytes,
        effort=effort,
        resilient=resilient,
        strip=strip,
        content=content,
        device=device,
    )
    write_whole(target, data)
    return len(data)


def _path(path: object) -> Path:
    return Path(arguments.path("file", path))


def _warn(messages: Iterable[str]) -> None:
    for message in messages:
        warnings.warn(message, QuantalWarning, stacklevel=3)


def _of_tensor(image: torch.Tensor) -> NDArray[np.uint8]:
    if str(image.dtype) != "torch.uint8" or image.ndim != 3:
        found = f"{str(image.dtype).removeprefix('torch.')} {list(image.shape)}"
        raise ArgumentError(f"a tensor has to be uint8 [C, H, W], this one is {found}")
    pixels: NDArray[np.uint8] = image.detach().cpu().permute(1, 2, 0).numpy()
    return pixels


def _picture(image: object) -> media.Picture:
    if isinstance(image, Image.Image):
        return media.from_image(image)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(image, torch.Tensor):
        image = _of_tensor(image)
    if isinstance(image, np.ndarray):
        return media.from_array(image)
    try:
        return media.read(image)  # type: ignore[arg-type]
    except ArgumentError as error:
        if isinstance(image, (str, os.PathLike)):
            raise
        raise ArgumentError(
            f"{type(image).__name__} is not a picture: give a PIL image, a uint8 or uint16 "
            "array, a uint8 tensor, a path, the bytes of a file, or a file open in binary mode"
        ) from error
