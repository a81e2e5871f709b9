"""Clips on the command line: which inputs are clips, and their way into files and out of them."""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from quantal.cli._batch import Outcome
from quantal.cli._guard import describe
from quantal.cli._sources import Source
from quantal.cli._targets import Step, check_free, opened_new, opened_stdout, prepared
from quantal.errors import ArgumentError, QuantalError
from quantal.names import printable

if TYPE_CHECKING:
    from quantal import clips
    from quantal.codecs.video_contract import VideoCodec
    from quantal.files import ClipProgress, EncodedClip

__all__ = [
    "CLIP_SUFFIXES",
    "ClipCompression",
    "ClipDecompression",
    "check_options",
    "holds_clip",
    "is_video_file",
    "parse_options",
    "parse_rate",
    "parse_time",
]

CLIP_SUFFIXES = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".y4m",
        ".mpg",
        ".mpeg",
        ".ts",
        ".m2ts",
        ".mts",
        ".flv",
        ".wmv",
        ".asf",
        ".ogv",
        ".mxf",
        ".3gp",
    ]
)
"""Suffixes of files that are taken for clips; others are taken for pictures."""

_TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)")
_BEGINNINGS = (b"\x1aE\xdf\xa3", b"YUV4MPEG2", b"FLV\x01", b"OggS", b"\0\0\x01\xba")
#: Brands of ISO files that hold pictures, not clips.
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"jxl ", b"crx ")
_PIECE = 1 << 20
_STILL = "-still"  # ends names of codecs that predict without motion

Report = Callable[[float, str], None]


def is_video_file(source: Source) -> bool:
    """Whether an input to compress is a clip, by its suffix; of a stream by its beginning."""
    if source.pattern is not None:
        return True
    if source.data is None:
        return source.relative.suffix.lower() in CLIP_SUFFIXES
    data = source.bytes(64)
    if data[4:8] == b"ftyp":
        return data[8:12] not in _PICTURE_BRANDS
    return data.startswith(_BEGINNINGS) or (data[:4] == b"RIFF" and data[8:12] == b"AVI ")


def holds_clip(source: Source) -> bool:
    """Whether a .qtl file holds a clip; False for what can't be read."""
    from quantal import container

    try:
        return container.media_of(source.bytes(container.HEADER_LIMIT)) == "video"
    except (OSError, QuantalError):
        return False


def parse_time(text: str | None, option: str) -> Fraction | None:
    """Return seconds of a text such as 90, 1:30, 0:01:30.5; None of None.

    Raises:
        ArgumentError: It is no time.
    """
    if text is None:
        return None
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ArgumentError(f"{option} {text!r} is not a time; write seconds, MM:SS or HH:MM:SS")
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + Fraction(seconds)


def parse_rate(text: str | None) -> Fraction | None:
    """Return frames per second of a text such as 25, 29.97 or 30000/1001; None of None.

    Raises:
        ArgumentError: It is no such number.
    """
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate < 1 << 20:
        raise ArgumentError(
            f"--rate {text!r} is not a number of frames per second, such as 30000/1001"
        )
    return rate


def parse_options(given: list[str] | None) -> dict[str, str]:
    """Return options of an encoder, given as NAME=VALUE.

    Raises:
        ArgumentError: One is something else.
    """
    options = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ArgumentError(f"--option {text!r} is not NAME=VALUE, such as crf=18")
        options[name] = value
    return options


def check_options(given: Mapping[str, bool], is_there: bool, what: str) -> None:
    """Raise ArgumentError for an option that an input can't take."""
    for name, used in given.items():
        if used and is_there:
            raise ArgumentError(f"{name} does not apply to {what}; leave it out")


def _noting(report: Report) -> Callable[[ClipProgress], None]:
    """Return a callback that shows progress; of a clip of unknown length just the frames."""

    def show(progress: ClipProgress) -> None:
        part = min(progress.frames / progress.total, 1.0) if progress.total else 0.0
        report(part, f"frame {progress.frames}, {progress.fps:.1f} frames/s")

    return show


@dataclass(frozen=True)
class ClipCompression:
    """Compresses clips; called with a step, whether to overwrite, and a report of progress.

    Attributes:
        codec: name of the codec; None for the default one.
        still: whether frames are predicted without motion.
        aims: what to aim at, as ClipTarget takes it.
        intra_period: frames of a group at most; None for the default.
        begin: seconds at which to begin.
        end: seconds at which to end.
        rate: frames per second of numbered pictures.
        device: where networks run.
        weights: a file in place of the weights that ship.
    """

    codec: str | None
    still: bool
    aims: Mapping[str, Any]
    intra_period: int | None
    begin: Fraction | None = None
    end: Fraction | None = None
    rate: Fraction | None = None
    device: str = "auto"
    weights: str | None = None

    def prepare(self) -> VideoCodec:
        """Return the codec; errors are those that every clip would raise.

        Raises:
            ArgumentError: It codes no clips.
            ModelError: Its weights are missing.
        """
        from quantal.codecs.registry import default_video_codec
        from quantal.files.matching import video_codec

        name = self.codec or default_video_codec()
        if self.still and not name.endswith(_STILL):
            name += _STILL
        return video_codec(name, self.device, self.weights)

    def __call__(self, step: Step, force: bool, report: Report) -> Outcome:
        from quantal.files import part_of

        with self._opened(step.source) as clip:
            part = part_of(clip, self.begin, self.end)
            if step.target is None:
                with opened_stdout(force) as file:
                    encoded = self._encode(part, file, report)
            else:
                with opened_new(step.target, force, step.times) as file:
                    encoded = self._encode(part, file, report)
        where = printable(step.output)
        stopped = None
        if encoded.interrupt is not None:
            stopped = f"interrupted; {where} {_amount(encoded)}"
        elif encoded.failure is not None:
            stopped = f"{describe(encoded.failure)}; {where} {_amount(encoded)}"
        return Outcome(
            data=b"",
            codec=encoded.codec,
            width=encoded.width,
            height=encoded.height,
            bytes_in=step.source.size(),
            bpp=encoded.bpp,
            quality=encoded.quality,
            frames=encoded.frames,
            warnings=encoded.warnings,
            written=encoded.bytes,
            stopped=stopped,
            interrupt=encoded.interrupt,
        )

    def _encode(self, part: clips.Clip, file: IO[bytes], report: Report) -> EncodedClip:
        from quantal.files import ClipTarget, encode_clip
        from quantal.files.clip_encode import INTRA_PERIOD

        return encode_clip(
            part,
            self.prepare(),
            file,
            ClipTarget(**self.aims),
            intra_period=self.intra_period or INTRA_PERIOD,
            progress=_noting(report),
        )

    def _opened(self, source: Source) -> clips.Clip:
        from quantal import clips, media
        from quantal.codecs.contract import Pixels

        if source.pattern is None or source.path is None:
            return clips.read(source.content())

        def read(path: Path) -> Pixels:
            return media.read(path).pixels

        return clips.read_pictures(source.path, read, self.rate, source.pattern)


def _amount(encoded: EncodedClip) -> str:
    frames = "1 frame" if encoded.frames == 1 else f"{encoded.frames} frames"
    return f"has the first {frames}, {float(encoded.duration):.2f} s"


@dataclass(frozen=True)
class ClipDecompression:
    """Decompresses clips; called as ClipCompression is.

    Attributes:
        format: "mp4", "mkv", "y4m" or "png"; another is refused.
        begin: seconds at which to begin.
        end: seconds at which to end.
        options: options of the encoder.
        device: where networks run.
        weights: a file in place of the weights that ship.
    """

    format: str
    begin: Fraction | None = None
    end: Fraction | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"
    weights: str | None = None

    def __call__(self, step: Step, force: bool, report: Report) -> Outcome:
        from quantal import clips, container
        from quantal.files import copy_clip, open_clip, part_of
        from quantal.files.matching import video_codec

        if self.format not in clips.CLIP_FORMATS:
            raise ArgumentError(
                f"a clip can't be written as {self.format}; mp4, mkv, y4m and png can"
            )
        content, codec = step.source.content(), None
        if self.weights is not None:
            with open_clip(content) as clip:
                codec = video_codec(clip.header.codec, self.device, self.weights)
        with open_clip(content, device=self.device, codec=codec) as clip:
            part = part_of(clip, self.begin, self.end)
            with _placed(step.target, self.format, force) as target:
                copied = copy_clip(part, target, self.format, self.options, _noting(report))
                size = _size_of(target)
            if step.target is not None and step.times is not None:
                os.utime(step.target, ns=step.times)
            header = clip.header
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            bpp = container.probe_clip(file).bpp  # of the pictures, as compress prints it
        return Outcome(
            data=b"",
            codec=header.codec,
            width=header.width,
            height=header.height,
            bytes_in=step.source.size(),
            bpp=bpp,
            quality=container.rate_to_quality(header.rate),
            frames=copied.frames,
            warnings=copied.warnings,
            written=size,
        )


@contextmanager
def _placed(target: Path | None, format: str, force: bool) -> Iterator[Path]:
    """Give the place of a result; for standard output, a temporary file that is copied there."""
    if target is not None:
        place = prepared(target)
        check_free(place, force)
        yield place
        return
    if format == "png":
        raise ArgumentError("a folder of pictures can't go to standard output; take mkv or y4m")
    with opened_stdout(force) as stdout, tempfile.TemporaryDirectory() as folder:
        place = Path(folder, f"clip.{format}")
        yield place
        with place.open("rb") as file:
            shutil.copyfileobj(file, stdout, _PIECE)


def _size_of(target: Path) -> int:
    """Return the bytes of a file, or of the files in a folder."""
    if target.is_dir():
        return sum(entry.stat().st_size for entry in os.scandir(target))
    return target.stat().st_size
