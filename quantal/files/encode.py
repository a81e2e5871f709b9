"""Pictures to .qtl files: brings together rate targets, metadata and codec."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quantal import container, media
from quantal.arguments import typed
from quantal.codecs.contract import (
    Codec,
    Encoding,
    Exact,
    Mixed,
    Progress,
    Resilient,
    Searching,
    no_progress,
)
from quantal.errors import MediaError
from quantal.files.decode import draw
from quantal.files.matching import checked_codec, coded_part, describe_work
from quantal.files.targets import (
    Target,
    check_content,
    check_effort,
    check_resilient,
    check_target,
    choose_rate,
    choose_searched,
    metadata_warning,
)
from quantal.memory import memory_errors
from quantal.planes import bands

__all__ = ["Encoded", "encode_picture", "suited"]

#: Pixels of the rows that are compared at a time.
_STRIP_PIXELS = 1 << 20


@dataclass(frozen=True)
class Encoded:
    """A coded picture.

    Attributes:
        data: the bytes of its .qtl file.
        codec: name of the codec.
        width: in pixels.
        height: in pixels.
        quality: 1..100.
        bpp: bits per pixel of the whole file.
        warnings: a sentence each.
    """

    data: bytes
    codec: str
    width: int
    height: int
    quality: int
    bpp: float
    warnings: tuple[str, ...] = ()


class _Job:
    """One picture being coded at several rates; a Trial of targets.py."""

    def __init__(
        self,
        picture: media.Picture,
        codec: Codec,
        encoding: Encoding,
        extra: list[container.Part],
    ) -> None:
        self.picture, self.codec = picture, codec
        self._encoding, self._extra = encoding, extra
        self.metadata: Mapping[str, int] = {
            part.kind: len(part.data) for part in extra if part.kind in media.METADATA_KINDS
        }
        self._files: dict[int, bytes] = {}

    def file(self, rate: int) -> bytes:
        """Return the whole file at a rate 0..252."""
        if rate not in self._files:
            header = container.Header(
                codec=self.codec.name,
                model_hash=self.codec.model_hash,
                width=self.picture.width,
                height=self.picture.height,
                rate=rate,
                grey=self.picture.grey,
            )
            image = container.Part("image", self._encoding.at(rate))
            self._files[rate] = container.write(header, [image, *self._extra])
        return self._files[rate]

    def size(self, rate: int) -> int:
        """Return the bytes of the whole file."""
        return len(self.file(rate))

    def bpp(self, rate: int) -> float:
        """Return the bits per pixel of the file without its metadata."""
        return self._per_pixel(self.size(rate) - sum(self.metadata.values()))

    def whole_bpp(self, rate: int) -> float:
        """Return the bits per pixel of the whole file."""
        return self._per_pixel(self.size(rate))

    def _per_pixel(self, count: int) -> float:
        return 8 * count / (self.picture.width * self.picture.height)

    def psnr(self, rate: int) -> float:
        """Return the PSNR-RGB in dB of the decoded picture; infinite if it is the original."""
        latents = self.codec.read(*coded_part(container.read(self.file(rate))))
        drawn = draw(latents, self.picture.grey, self.codec)
        squares = 0
        height, width = drawn.shape[:2]
        for rows in bands(height, width, _STRIP_PIXELS):
            difference = drawn[rows].astype(np.int32) - self.picture.pixels[rows]
            squares += int(np.square(difference).sum(dtype=np.int64))
        return 10 * math.log10(255**2 * drawn.size / squares) if squares else math.inf


class _Steady:
    """Joins the progress of several searches, each from 0 to 1, into one that never falls.

    Their number is not known in advance: each gets half of what is left, unless `once`.
    """

    def __init__(self, progress: Progress, once: bool) -> None:
        self._progress, self._once = progress, once
        self._done, self._part = 0.0, 0.0

    def __call__(self, part: float) -> None:
        if self._once:
            self._progress(part)
            return
        if part < self._part:
            self._done += (1 - self._done) / 2
        self._part = part
        self._progress(self._done + part * (1 - self._done) / 2)


def _carried(picture: media.Picture, codec: Codec) -> list[container.Part]:
    """Return the parts of a file beside what its codec codes."""
    apart = picture.alpha is not None and not isinstance(codec, Exact)
    carried = {
        "alpha": media.encode_alpha(picture.alpha) if apart else None,  # type: ignore[arg-type]
        "icc": picture.icc,
        "exif": picture.exif,
        "xmp": picture.xmp,
    }
    return [container.Part(kind, data) for kind, data in carried.items() if data]


def suited(picture: media.Picture, codec: Codec) -> media.Picture:
    """Return a picture with the samples that a codec codes: 8 bits each, with a warning if need be.

    `encode_picture` does so too. A caller that holds the picture meanwhile does it first, so that
    deeper samples take no memory. A codec that keeps all samples gets them all.

    Args:
        picture: the picture.
        codec: the codec.

    Raises:
        MediaError: If the codec is lossless, and reading had to change samples.
    """
    if not isinstance(codec, Exact):
        return picture.shallow()
    if picture.altered:
        raise MediaError(
            f"codec {codec.name!r} keeps every sample, and these are not those of the picture: "
            f"{'; '.join(picture.altered)}; convert the picture to 8 or 16 bits, grey or RGB, "
            "first, or use a codec that is not lossless"
        )
    return picture


def encode_picture(
    picture: media.Picture,
    codec: Codec,
    target: Target | None = None,
    effort: int = 0,
    progress: Progress = no_progress,
    resilient: bool = False,
    content: str = "auto",
) -> Encoded:
    """Code a picture.

    If bpp or psnr can't be reached, the result is the nearest and has a warning.

    Args:
        picture: what to code.
        codec: codes it.
        target: what to aim at; default: the codec's default quality.
        effort: how hard to search, one of the codec's efforts.
        progress: called during a search.
        resilient: whether damage to the file can be concealed.
        content: what the picture shows, one of contract.CONTENTS.

    Raises:
        TargetError: If max_bytes can't be kept to.
        ArgumentError: If the codec can't do what is asked for.
    """
    typed("picture", picture, media.Picture)
    checked_codec(codec)
    effort = check_effort(effort, codec)
    check_resilient(resilient, effort, codec)
    check_content(content, codec)
    target = Target() if target is None else typed("target", target, Target)
    check_target(target, codec)
    with memory_errors(f"coding {describe_work(picture.width, picture.height)}"):
        fit = suited(picture, codec)
        reduction = fit.warnings[len(picture.warnings) :]
        encoded = _encode(fit, codec, target, effort, progress, resilient, content)
    return dataclasses.replace(encoded, warnings=(*reduction, *encoded.warnings))


def _encode(
    picture: media.Picture,
    codec: Codec,
    target: Target,
    effort: int,
    progress: Progress,
    resilient: bool,
    content: str,
) -> Encoded:
    extra = _carried(picture, codec)
    if isinstance(codec, Exact):
        encoding = codec.exact_encoding(picture.samples, picture.depth)
    elif resilient and isinstance(codec, Resilient):
        encoding = codec.resilient_encoding(picture.pixels)
    elif isinstance(codec, Mixed):
        encoding = codec.mixed_encoding(picture.pixels, content)
    else:
        encoding = codec.encoding(picture.pixels)
    job = _Job(picture, codec, encoding, extra)
    if effort and isinstance(codec, Searching):
        steady = _Steady(progress, once=target.bpp is target.psnr is target.max_bytes is None)
        search = codec.searching(encoding, effort, steady)
        searched = _Job(picture, codec, search, extra)
        job, rate, warning = choose_searched(job, searched, target, codec)
        job.file(rate)
        progress(1.0)
    else:
        rate, warning = choose_rate(job, target, codec)
    return Encoded(
        data=job.file(rate),
        codec=codec.name,
        width=picture.width,
        height=picture.height,
        quality=container.rate_to_quality(rate),
        bpp=job.whole_bpp(rate),
        warnings=(*codec.warnings, *filter(None, (warning, metadata_warning(job, rate, target)))),
    )
