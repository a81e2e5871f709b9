"""Pictures to .qtl files and back: rate targets, metadata and codec brought together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from quantal import container, media
from quantal.codecs import zoo
from quantal.codecs.base import Codec, Latents, Pixels, Tell
from quantal.codecs.registry import codec_class, earlier, load
from quantal.codecs.targets import (
    Target,
    check_effort,
    check_resilient,
    choose_rate,
    choose_searched,
)
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    ModelError,
    QuantalError,
    TruncatedError,
)

__all__ = ["Encoded", "Target", "decode_picture", "encode_picture", "read_latents", "verify"]

_CUT = "the file was cut: what is shown could not be checked, and metadata may be lost"
_CUT_BEHIND = "the file was cut: metadata may be lost"
#: What works on whole pictures takes about so many pixels at a time, to need little memory.
_STRIP_PIXELS = 1 << 20


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
    """One picture being coded: its latents serve every rate that is tried.

    after: the same picture at no effort, if this is to be one with effort.
    """

    def __init__(
        self,
        picture: media.Picture,
        codec: Codec,
        effort: int = 0,
        tell: Tell = lambda part: None,
        after: _Job | None = None,
        resilient: bool = False,
    ) -> None:
        self.picture, self.codec, self.effort, self.tell = picture, codec, effort, tell
        self.resilient = resilient
        self._files: dict[int, bytes] = {}
        self.latents: Tensor
        self.extra: list[container.Part]
        if after is not None:
            self.latents, self.extra = after.latents, after.extra
            return
        self.latents = codec.analyse(picture.pixels)
        carried = {
            "alpha": None if picture.alpha is None else media.encode_alpha(picture.alpha),
            "icc": picture.icc,
            "exif": picture.exif,
            "xmp": picture.xmp,
        }
        self.extra = [container.Part(kind, data) for kind, data in carried.items() if data]

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
            image = container.Part("image", self._image(rate))
            self._files[rate] = container.write(header, [image, *self.extra])
        return self._files[rate]

    def _image(self, rate: int) -> bytes:
        if self.resilient:
            size = self.picture.width, self.picture.height
            return self.codec.encode_resilient(self.latents, rate, *size)
        if not self.effort:
            return self.codec.encode(self.latents, rate)
        pixels = self.picture.pixels
        return self.codec.search(self.latents, pixels, rate, self.effort, self.tell)

    def size(self, rate: int) -> int:
        """Bytes of the whole file."""
        return len(self.file(rate))

    def bpp(self, rate: int) -> float:
        """Bits per pixel of the whole file."""
        return 8 * self.size(rate) / (self.picture.width * self.picture.height)

    def psnr(self, rate: int) -> float:
        """PSNR-RGB in dB of what a decoder will show; infinite if it is the original."""
        latents = self.codec.read(*_coded(container.read(self.file(rate))))
        drawn = _draw(latents, self.picture.grey, self.codec)
        squares = 0
        for rows in _strips(drawn):
            difference = drawn[rows].astype(np.int32) - self.picture.pixels[rows]
            squares += int(np.square(difference).sum(dtype=np.int64))
        return 10 * math.log10(255**2 * drawn.size / squares) if squares else math.inf


class _Steady:
    """Tells one way through searches that each come from 0 to 1; how many, nobody knows before.

    once: there is just one. Else each gets half of what is left.
    """

    def __init__(self, tell: Tell, once: bool) -> None:
        self._tell, self._once = tell, once
        self._done, self._part = 0.0, 0.0

    def __call__(self, part: float) -> None:
        if self._once:
            self._tell(part)
            return
        if part < self._part:
            self._done += (1 - self._done) / 2
        self._part = part
        self._tell(self._done + part * (1 - self._done) / 2)


def encode_picture(
    picture: media.Picture,
    codec: Codec,
    target: Target | None = None,
    effort: int = 0,
    tell: Tell = lambda part: None,
    resilient: bool = False,
) -> Encoded:
    """Code a picture at a target, or at the usual quality.

    effort: of the codec's `efforts`; tell: is told how far a search has come, from 0 to 1;
    resilient: so that damage can be mended.
    Raises TargetError if max_bytes can't be kept to; where bpp or psnr can't be reached, the
    nearest is given and a warning says so.
    """
    check_effort(effort, codec)
    check_resilient(resilient, effort, codec)
    target = target or Target()
    job = _Job(picture, codec, resilient=resilient)
    if effort:
        steady = _Steady(tell, once=target.bpp is target.psnr is target.max_bytes is None)
        searched = _Job(picture, codec, effort, steady, after=job)
        job, rate, warning = choose_searched(job, searched, target, codec)
        job.file(rate)
        tell(1.0)
    else:
        rate, warning = choose_rate(job, target, codec)
    return Encoded(
        data=job.file(rate),
        codec=codec.name,
        width=picture.width,
        height=picture.height,
        quality=container.rate_to_quality(rate),
        bpp=job.bpp(rate),
        warnings=codec.warnings if warning is None else (*codec.warnings, warning),
    )


def _codec_for(file: container.File, device: str, codec: Codec | None) -> Codec:
    """The codec that a file needs, with just the tables and integer network that wrote it."""
    header = file.header
    if codec is None and header.codec == zoo.FAMILY:
        raise ModelError(_needed(file))
    codec = codec or _version(header, device)
    if codec.name != header.codec:
        raise ModelError(f"the file was made by codec {header.codec!r}, this is {codec.name!r}")
    if codec.model_hash != header.model_hash:
        raise ModelError(
            f"the file needs the model {header.model_hash.hex()} of codec {header.codec!r}, and "
            f"{codec.model_hash.hex()} is here; name the weights that wrote it with --weights "
            f"FILE, or keep them as {header.codec}@1.safetensors in the folder QUANTAL_WEIGHTS"
        )
    return codec


def _version(header: container.Header, device: str) -> Codec:
    """The codec with the weights that a file was made with, if they are here; else with today's."""
    today = load(header.codec, device)
    if today.model_hash == header.model_hash:
        return today
    before = (load(name, device) for name in earlier(header.codec))
    return next((codec for codec in before if codec.model_hash == header.model_hash), today)


def _needed(file: container.File) -> str:
    """What a file of a codec without weights of its own needs, and how to give it."""
    header = file.header
    name = f"{zoo.FAMILY}/{zoo.unpack_head(file.part('image') or b'')[0]}"
    return (
        f"the file needs your weights of {name}, quality {container.rate_to_quality(header.rate)}, "
        f"model {header.model_hash.hex()}: name them with --weights FILE, or in Python "
        f"quantal.load({name!r}, weights=FILE).decompress(data)"
    )


def _coded(file: container.File) -> tuple[bytes, int, int, int]:
    """An image part, width, height and rate: what a codec reads."""
    header = file.header
    if header.width * header.height > media.PIXEL_LIMIT:
        raise BitstreamError(
            f"the file says {header.width}x{header.height} pixels, expected at most "
            f"{media.PIXEL_LIMIT} in all; its header is wrong"
        )
    return file.part("image") or b"", header.width, header.height, header.rate


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
    data: bytes,
    device: str = "auto",
    codec: Codec | None = None,
    max_parts: int | None = None,
    conceal: bool = False,
) -> media.Picture:
    """Draw the picture in a .qtl file; raises BitstreamError or ModelError before any pixel.

    max_parts: draw it from so many parts of its stream alone, which may be all that a cut file has.
    conceal: draw a damaged file too, and make up what is lost of it.
    """
    if conceal and max_parts is not None:
        raise ArgumentError("a picture is drawn from its first parts or mended, not both at once")
    file = _opened(data, conceal, max_parts is not None)
    codec = _codec_for(file, device, codec)
    warnings = [*codec.warnings, *_left_out(file)]
    # First of all, because only a size that the coded picture fills justifies any memory.
    if conceal and "image" in file.damaged:
        latents, told = codec.read_damaged(*_coded(file))
        warnings.append(told)
    elif max_parts is None:
        latents = codec.read(*_coded(file))
    else:
        payload, width, height, rate = _coded(file)
        latents = codec.read_start(payload, file.missing, width, height, rate, max_parts)
    alpha = file.part("alpha")
    plane = (
        None if alpha is None else media.decode_alpha(alpha, file.header.width, file.header.height)
    )
    return media.Picture(
        pixels=_draw(latents, file.header.grey, codec),
        alpha=plane,
        grey=file.header.grey,
        icc=file.part("icc"),
        exif=file.part("exif"),
        xmp=file.part("xmp"),
        warnings=(*warnings, _CUT_BEHIND if conceal else _CUT) if file.cut else tuple(warnings),
    )


def _opened(data: bytes, conceal: bool, start: bool) -> container.File:
    """A file to be drawn; start: its first parts will do. Tells what can be done about damage."""
    try:
        return container.read(data, cut=conceal or start, damaged=conceal)
    except (CorruptError, TruncatedError) as error:
        if conceal or start or not _mendable(data):
            raise
        advice = "or make up what is lost with --conceal (in Python conceal=True)"
        raise type(error)(f"{error}, {advice}") from error


def _mendable(data: bytes) -> bool:
    """Whether a damaged file is of a kind that --conceal takes."""
    try:
        file = container.read(data, cut=True, damaged=True)
        return codec_class(file.header.codec).mends(_coded(file)[0])
    except QuantalError:
        return False


def _left_out(file: container.File) -> list[str]:
    """What is told of parts that came damaged, other than the picture itself."""
    lost = ", ".join(name for name in file.damaged if name != "image")
    return [f"damaged and left out: {lost}"] if lost else []


def read_latents(data: bytes, device: str = "auto", codec: Codec | None = None) -> Latents:
    """The compressed latents in a .qtl file; no synthesis is run."""
    file = container.read(data)
    return _codec_for(file, device, codec).read(*_coded(file))


def verify(data: bytes, deep: bool = True, codec: Codec | None = None) -> str | None:
    """Check structure and checksums and, if deep, that every symbol parses; draws nothing.

    Returns what kept the symbols from being parsed, if they need weights that only the user has.
    Raises BitstreamError for a bad file, ModelError if its codec isn't here to parse it.
    """
    file = container.read(data)
    if not deep:
        return None
    header = file.header
    if codec is None and header.codec == zoo.FAMILY:
        return _needed(file)
    _codec_for(file, "cpu", codec).parse(*_coded(file))
    alpha = file.part("alpha")
    if alpha is not None:
        media.decode_alpha(alpha, header.width, header.height)
    return None
