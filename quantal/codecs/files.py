"""Pictures to .qtl files and back: rate targets, metadata and codec brought together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from torch import Tensor

from quantal import container, media
from quantal.codecs.base import Codec, Latents, Pixels
from quantal.codecs.registry import load
from quantal.errors import ArgumentError, BitstreamError, ModelError, TargetError

__all__ = ["Encoded", "Target", "decode_picture", "encode_picture", "read_latents", "verify"]

DEFAULT_QUALITY = 60
_LAST_RATE = 252
#: A target of bits per pixel or PSNR counts as met within this fraction.
_TOLERANCE = 0.02
#: What works on whole pictures takes about so many pixels at a time, to need little memory.
_STRIP_PIXELS = 1 << 20


@dataclass(frozen=True)
class Target:
    """What to aim at: at most one of quality 1..100, bits per pixel, PSNR-RGB in dB, bytes."""

    quality: int | None = None
    bpp: float | None = None
    psnr: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        asked = {k: v for k, v in vars(self).items() if v is not None}
        if len(asked) > 1:
            raise ArgumentError(f"only one target can be aimed at, not {' and '.join(asked)}")
        for name, value in asked.items():
            if not (math.isfinite(value) and value > 0):
                raise ArgumentError(f"{name} must be positive, not {value}")


@dataclass(frozen=True)
class Encoded:
    """A coded picture: the bytes of its .qtl file, and what came of the target."""

    data: bytes
    codec: str
    width: int
    height: int
    quality: int
    bpp: float
    warnings: tuple[str, ...] = ()


class _Job:
    """One picture being coded: its latents serve every rate that is tried."""

    def __init__(self, picture: media.Picture, codec: Codec) -> None:
        self.picture, self.codec = picture, codec
        self.latents = codec.analyse(picture.pixels)
        carried = {
            "alpha": None if picture.alpha is None else media.encode_alpha(picture.alpha),
            "icc": picture.icc,
            "exif": picture.exif,
            "xmp": picture.xmp,
        }
        self.extra = [container.Part(kind, data) for kind, data in carried.items() if data]
        self._files: dict[int, bytes] = {}

    def file(self, rate: int) -> bytes:
        """The whole file at a rate 0..252."""
        if rate not in self._files:
            header = container.Header(
                codec=self.codec.name,
                model_hash=self.codec.model_hash,
                width=self.picture.width,
                height=self.picture.height,
                rate=rate,
                grey=self.picture.grey,
            )
            image = container.Part("image", self.codec.encode(self.latents, rate))
            self._files[rate] = container.write(header, [image, *self.extra])
        return self._files[rate]

    def bpp(self, rate: int) -> float:
        """Bits per pixel of the whole file."""
        return 8 * len(self.file(rate)) / (self.picture.width * self.picture.height)

    def psnr(self, rate: int) -> float:
        """PSNR-RGB in dB of what a decoder will show; infinite if it is the original."""
        latents = _parse(container.read(self.file(rate)), self.codec)
        drawn = _draw(latents, self.picture.grey, self.codec)
        squares = 0
        for rows in _strips(drawn):
            difference = drawn[rows].astype(np.int32) - self.picture.pixels[rows]
            squares += int(np.square(difference).sum(dtype=np.int64))
        return 10 * math.log10(255**2 * drawn.size / squares) if squares else math.inf


def _first(reached: Callable[[int], bool]) -> int | None:
    """The lowest rate for which a predicate holds that is false below it; None if there is none."""
    low, high = 0, _LAST_RATE + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return low if low <= _LAST_RATE else None


def _nearest(value: Callable[[int], float], wanted: float, unit: str) -> tuple[int, str | None]:
    """The rate whose value is nearest to the wanted one, and a warning if that isn't near."""
    above = _first(lambda rate: value(rate) >= wanted)
    rate = _LAST_RATE if above is None else above
    if rate > 0 and abs(value(rate - 1) - wanted) < abs(value(rate) - wanted):
        rate -= 1
    found = value(rate)
    if abs(found - wanted) <= _TOLERANCE * wanted:
        return rate, None
    return rate, f"{wanted:g} {unit} can't be reached for this picture; {found:.3g} is the nearest"


def _largest_within(job: _Job, limit: int) -> int:
    over = _first(lambda rate: len(job.file(rate)) > limit)
    rate = _LAST_RATE if over is None else over - 1
    # Bytes rise with the rate only nearly always, so the result is checked, not believed.
    while rate >= 0 and len(job.file(rate)) > limit:
        rate -= 1
    if rate < 0:
        raise TargetError(
            f"this picture needs at least {len(job.file(0))} bytes, {limit} were allowed; "
            "allow more, or make the picture smaller"
        )
    return rate


def _choose(job: _Job, target: Target) -> tuple[int, str | None]:
    if target.bpp is not None:
        return _nearest(job.bpp, target.bpp, "bits per pixel")
    if target.psnr is not None:
        # Every look at a PSNR draws the picture; the search looks at some rates again.
        return _nearest(cache(job.psnr), target.psnr, "dB")
    if target.max_bytes is not None:
        return _largest_within(job, target.max_bytes), None
    quality = DEFAULT_QUALITY if target.quality is None else target.quality
    return container.quality_to_rate(quality), None


def encode_picture(picture: media.Picture, codec: Codec, target: Target = Target()) -> Encoded:
    """Code a picture at a target.

    Raises TargetError if max_bytes can't be kept to; where bpp or psnr can't be reached, the
    nearest is given and a warning says so.
    """
    job = _Job(picture, codec)
    rate, warning = _choose(job, target)
    return Encoded(
        data=job.file(rate),
        codec=codec.name,
        width=picture.width,
        height=picture.height,
        quality=container.rate_to_quality(rate),
        bpp=job.bpp(rate),
        warnings=() if warning is None else (warning,),
    )


def _codec_for(header: container.Header, device: str, codec: Codec | None) -> Codec:
    """The codec that a file needs, with just the tables and integer network that wrote it."""
    codec = codec or load(header.codec, device)
    if codec.name != header.codec:
        raise ModelError(f"the file was made by codec {header.codec!r}, this is {codec.name!r}")
    if codec.model_hash != header.model_hash:
        raise ModelError(
            f"the file needs the model {header.model_hash.hex()} of codec {header.codec!r}, and "
            f"{codec.model_hash.hex()} is installed; decode it with the version that wrote it"
        )
    return codec


def _symbols(file: container.File, codec: Codec) -> list[Tensor]:
    header = file.header
    if header.width * header.height > media.PIXEL_LIMIT:
        raise BitstreamError(
            f"the file says {header.width}x{header.height} pixels, expected at most "
            f"{media.PIXEL_LIMIT} in all; its header is wrong"
        )
    return codec.parse(file.part("image") or b"", header.width, header.height, header.rate)


def _parse(file: container.File, codec: Codec) -> Latents:
    header = file.header
    symbols = _symbols(file, codec)
    return codec.dequantise(symbols, header.width, header.height, header.rate)


def _strips(pixels: Pixels) -> Iterator[slice]:
    """Rows of a picture [H, W, 3], some at a time."""
    height, width = pixels.shape[:2]
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, top + rows)


def _without_colour(pixels: Pixels) -> Pixels:
    """RGB to its luma (ITU-R BT.601) in every channel."""
    grey = np.empty_like(pixels)
    for rows in _strips(pixels):
        red, green, blue = (pixels[rows, :, c].astype(np.uint32) for c in range(3))
        luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
        grey[rows] = luma[..., None]
    return grey


def _draw(latents: Latents, grey: bool, codec: Codec) -> Pixels:
    pixels = codec.synthesise(latents)
    return _without_colour(pixels) if grey else pixels


def decode_picture(
    data: bytes, device: str = "auto", codec: Codec | None = None
) -> media.Picture:
    """Draw the picture in a .qtl file; raises BitstreamError or ModelError before any pixel."""
    file = container.read(data)
    codec = _codec_for(file.header, device, codec)
    # First of all, because only a size that the coded picture fills justifies any memory.
    latents = _parse(file, codec)
    alpha = file.part("alpha")
    plane = (
        None
        if alpha is None
        else media.decode_alpha(alpha, file.header.width, file.header.height)
    )
    return media.Picture(
        pixels=_draw(latents, file.header.grey, codec),
        alpha=plane,
        grey=file.header.grey,
        icc=file.part("icc"),
        exif=file.part("exif"),
        xmp=file.part("xmp"),
    )


def read_latents(data: bytes, device: str = "auto", codec: Codec | None = None) -> Latents:
    """The compressed latents in a .qtl file; no synthesis is run."""
    file = container.read(data)
    return _parse(file, _codec_for(file.header, device, codec))


def verify(data: bytes, deep: bool = True) -> None:
    """Check structure and checksums and, if deep, that every symbol parses; draws nothing.

    Raises BitstreamError for a bad file, ModelError if its codec isn't here to parse it.
    """
    file = container.read(data)
    if not deep:
        return
    header = file.header
    codec = _codec_for(header, "cpu", None)
    _symbols(file, codec)
    alpha = file.part("alpha")
    if alpha is not None:
        media.decode_alpha(alpha, header.width, header.height)
