"""The functions of `quantal` for clips: open, compress_clip, write_clip and decompress_clip."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import closing, nullcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantal import arguments, clips
from quantal.codecs.registry import default_video_codec
from quantal.codecs.video_contract import VideoCodec
from quantal.errors import ArgumentError, QuantalWarning
from quantal.files.clip_decode import open_clip
from quantal.files.clip_encode import (
    INTRA_PERIOD,
    ClipProgress,
    EncodedClip,
    encode_clip,
)
from quantal.files.clip_part import part_of
from quantal.files.clip_rate import ClipTarget
from quantal.files.matching import video_codec
from quantal.outputs import OutputFile, Sink, replaced_whole
from quantal.sources import Source

__all__ = ["Playable", "compress_clip", "decompress_clip", "write_clip"]

#: A clip: a file of one (its path, its bytes, or the file open in binary mode), a clip that
#: `quantal.clips` or `quantal.open` has opened, or frames, uint8 [H, W, 3] each.
Playable = clips.Clip | clips.Readable | Iterable[NDArray[np.uint8]]

#: Seconds, or None for the beginning or the end of a clip.
Seconds = Fraction | float | int | None


def compress_clip(
    clip: Playable,
    codec: str | VideoCodec | None = None,
    *,
    quality: int | None = None,
    kbps: float | None = None,
    bpp: float | None = None,
    psnr: float | None = None,
    intra_period: int = INTRA_PERIOD,
    begin: Seconds = None,
    end: Seconds = None,
    rate: Fraction | float | None = None,
    device: str = "auto",
    progress: Callable[[ClipProgress], None] | None = None,
) -> bytes:
    """Compress a clip to the bytes of a .qtl file, sound and subtitles included.

    At most one of `quality`, `kbps`, `bpp` and `psnr` is given. A QuantalWarning names everything
    about the clip that had to be changed.

    Args:
        clip: a file of video, as its path, its bytes in any buffer, or the file open in binary
            mode; a clip from `quantal.clips` or `quantal.open`, coded from where it stands; or
            frames, as an array uint8 [N, H, W, 3] or any iterable of arrays [H, W, 3].
        codec: a name, or a codec from quantal.load(); default: `video-m`.
        quality: 1..100; default 60.
        kbps: kilobits per second of the pictures to aim at.
        bpp: bits per pixel of the pictures to aim at.
        psnr: PSNR over RGB to aim at, in dB, mean over frames.
        intra_period: frames from one intra frame, where decoding can begin, to the next at most.
        begin: seconds from the first frame at which to begin.
        end: seconds from the first frame at which to end.
        rate: frames per second of frames in memory; default 25.
        device: "auto", "cpu" or "cuda", for a codec given by name.
        progress: called after each frame.

    Returns:
        The bytes of the file.

    Raises:
        MediaError: If the clip can't be read to its end.
        ArgumentError: If `clip` is no clip, or an option is impossible.
        ModelError: If the codec is unknown or its weights are missing.
    """
    target = ClipTarget(quality=quality, kbps=kbps, bpp=bpp, psnr=psnr)
    file = io.BytesIO()
    encoded = _encode(clip, codec, file, target, intra_period, begin, end, rate, device, progress)
    if encoded.interrupt is not None:
        raise encoded.interrupt
    if encoded.failure is not None:
        raise encoded.failure
    _warn(encoded.warnings)
    return file.getvalue()


def write_clip(
    path: str | os.PathLike[str],
    clip: Playable,
    codec: str | VideoCodec | None = None,
    *,
    quality: int | None = None,
    kbps: float | None = None,
    bpp: float | None = None,
    psnr: float | None = None,
    intra_period: int = INTRA_PERIOD,
    begin: Seconds = None,
    end: Seconds = None,
    rate: Fraction | float | None = None,
    device: str = "auto",
    progress: Callable[[ClipProgress], None] | None = None,
) -> EncodedClip:
    """Compress a clip to a .qtl file, with memory that does not depend on its length.

    The file replaces an existing one when it is complete. Where the clip breaks off, or Ctrl-C
    interrupts, the frames before that are in the file, and the error is raised then.

    Args:
        path: path to the file.
        clip: the clip; see compress_clip(), also for the other arguments.

    Returns:
        What was coded: frames, bytes, kbps.

    Raises:
        OutputError: If the file can't be written.
    """
    target = ClipTarget(quality=quality, kbps=kbps, bpp=bpp, psnr=psnr)
    name = arguments.path("file", path)
    with replaced_whole(name) as partial, OutputFile(partial, name) as file:
        encoded = _encode(
            clip, codec, file, target, intra_period, begin, end, rate, device, progress
        )
    if encoded.interrupt is not None:
        raise encoded.interrupt
    if encoded.failure is not None:
        raise encoded.failure
    _warn(encoded.warnings)
    return encoded


def decompress_clip(
    data: Source,
    path: str | os.PathLike[str],
    *,
    begin: Seconds = None,
    end: Seconds = None,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    device: str = "auto",
    codec: VideoCodec | None = None,
    progress: Callable[[ClipProgress], None] | None = None,
) -> None:
    """Decode the clip in a .qtl file to a file of video; sound and subtitles are copied.

    Only what the part from `begin` to `end` needs is decoded. A QuantalWarning names what the
    format can't hold, and what a cut file has lost.

    Args:
        data: the path of the file, its bytes in any buffer, or the file open in binary mode.
        path: where to write: a file that ends in .mp4, .mkv or .y4m, or a folder for PNG.
        begin: seconds from the first frame at which to begin.
        end: seconds from the first frame at which to end.
        format: "mp4", "mkv", "y4m" or "png"; default: by the suffix of `path`.
        options: of the encoder; see quantal.clips.write().
        device: "auto", "cpu" or "cuda".
        codec: default: the one that the file names, with the weights that ship.
        progress: called after each frame.

    Raises:
        BitstreamError: If the file is damaged.
        ModelError: If its codec isn't here.
        OutputError: If the result can't be written.
    """
    from quantal.files.clip_copy import copy_clip

    with open_clip(data, device=device, codec=codec) as opened:
        part = part_of(opened, _seconds("begin", begin), _seconds("end", end))
        _warn(copy_clip(part, Path(path), format, options, progress).warnings)


def _encode(
    clip: Playable,
    codec: str | VideoCodec | None,
    file: Sink,
    target: ClipTarget,
    intra_period: int,
    begin: Seconds,
    end: Seconds,
    rate: Fraction | float | None,
    device: str,
    progress: Callable[[ClipProgress], None] | None,
) -> EncodedClip:
    coder = video_codec(default_video_codec() if codec is None else codec, device)
    given = isinstance(clip, clips.Clip)
    opened = _opened(clip, rate)
    with nullcontext() if given else closing(opened):
        part = part_of(opened, _seconds("begin", begin), _seconds("end", end))
        return encode_clip(part, coder, file, target, intra_period=intra_period, progress=progress)


def _opened(clip: Playable, rate: Fraction | float | None) -> clips.Clip:
    if isinstance(clip, clips.Clip):
        return clip
    if isinstance(clip, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(clip, "read"):
        return clips.read(clip)  # type: ignore[arg-type]
    if isinstance(clip, Iterable):
        count = len(clip) if isinstance(clip, Sized) else None
        return _Frames(iter(clip), count, Fraction(25) if rate is None else _exact("rate", rate))
    raise ArgumentError(
        f"{type(clip).__name__} is not a clip: give a path, the bytes of a file, a file open in "
        "binary mode, a clip, or frames"
    )


class _Frames(clips.Clip):
    """Frames in memory as a clip, which can't seek."""

    def __init__(
        self, frames: Iterator[NDArray[np.uint8]], count: int | None, rate: Fraction
    ) -> None:
        self._frames = frames
        first = next(frames, None)
        if first is None:
            raise ArgumentError("no frame was given, expected at least one")
        self._first: NDArray[np.uint8] | None = self._checked(first, None)
        height, width = first.shape[:2]
        self.properties = clips.Properties(
            width,
            height,
            1 / rate,
            rate=rate,
            duration=None if count is None else count / rate,
            frames=count,
        )
        self._at = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        return ()

    def __next__(self) -> clips.Frame:
        pixels, self._first = self._first, None
        if pixels is None:
            pixels = self._checked(next(self._frames), self.properties)
        self._at += 1
        return clips.Frame(self._at - 1, pixels, 1)

    @staticmethod
    def _checked(pixels: object, known: clips.Properties | None) -> NDArray[np.uint8]:
        good = (
            isinstance(pixels, np.ndarray)
            and pixels.dtype == np.uint8
            and pixels.ndim == 3
            and pixels.shape[2] == 3
            and pixels.size > 0
            and (known is None or pixels.shape[:2] == (known.height, known.width))
        )
        if not good or not isinstance(pixels, np.ndarray):
            found = f"{getattr(pixels, 'dtype', type(pixels).__name__)}"
            size = "H, W" if known is None else f"{known.height}, {known.width}"
            raise ArgumentError(
                f"a frame is {found} {getattr(pixels, 'shape', '')}, expected uint8 [{size}, 3]"
            )
        return np.array(pixels, order="C")  # frames are held; the caller may fill this one again

    def seek(self, time: int) -> None:
        frame: clips.Frame | None = None
        for _ in range(time - self._at):
            following = next(self, None)
            if following is None:
                if frame is not None:  # behind the end the last one is shown
                    self._at, self._first = frame.time, frame.pixels
                return
            frame = following

    def packets(self, track: clips.Track) -> Iterator[clips.Packet]:
        raise ArgumentError("frames in memory have no tracks")

    def close(self) -> None:
        pass


def _seconds(name: str, value: Seconds) -> Fraction | None:
    if value is None:
        return None
    return Fraction(0) if value == 0 else _exact(name, value)


def _exact(name: str, value: Fraction | float) -> Fraction:
    """Return a positive number exactly: what is written of a float, not its binary digits."""
    found = arguments.number(name, value)
    return value if isinstance(value, Fraction) else Fraction(str(found))


def _warn(messages: Iterable[str]) -> None:
    for message in messages:
        warnings.warn(message, QuantalWarning, stacklevel=3)
