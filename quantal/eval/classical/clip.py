"""Video by libx264, libx265, SVT-AV1 and libvpx, through PyAV, on one thread.

`structure=low-delay` has one key frame at the beginning of each group and no frame that waits for a
later one; `random-access` is what an encoder does by itself (libvpx in one pass has low delay
alone). Frames that are 4:2:0 of 8 bits in the file go to the encoder as they are; others are
converted. Quality is the largest quantiser minus the quantiser in use.
"""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import islice
from typing import Any, ClassVar

from quantal import clips
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval._optional import require
from quantal.eval.clips import INTRA, ClipCodec, ClipSource, CodedClip, Frames, stacked
from quantal.eval.codecs import Option
from quantal.threads import kept_scheduling

__all__ = ["SvtAv1", "Vp9", "X264", "X265"]

_LOW_DELAY = "low-delay"
_STRUCTURE = Option(_LOW_DELAY, (_LOW_DELAY, "random-access"))
_PRESETS = ("ultrafast", "veryfast", "fast", "medium", "slow", "slower", "veryslow")

_X26_OPTIONS: Mapping[str, Option] = {
    "preset": Option("medium", _PRESETS),
    "structure": _STRUCTURE,
    "intra": INTRA,
}


class EncoderCodec(ClipCodec):
    """An encoder of FFmpeg; decoded by FFmpeg too."""

    encoder: ClassVar[str]
    #: The coarsest quantiser; quality 0 uses it.
    coarsest: ClassVar[int]

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        self._av = require("av", f"codec {name!r}")
        self.limits = (0.0, float(self.coarsest))
        try:
            self._av.Codec(self.encoder, "w")
        except ValueError as error:
            raise ArgumentError(
                f"codec {name!r}: this PyAV was built without {self.encoder}; install its wheel: "
                "pip install --upgrade av"
            ) from error

    @property
    def version(self) -> str:
        from importlib.metadata import version

        return f"{self.encoder} by PyAV {version('av')}"

    @property
    def low_delay(self) -> bool:
        """Whether no frame waits for a later one."""
        return self.values.get("structure", _LOW_DELAY) == _LOW_DELAY

    @abstractmethod
    def encoder_options(self, quantiser: int) -> dict[str, str]:
        """Return options of the encoder with FFmpeg's names."""

    @kept_scheduling()
    def encode(self, source: ClipSource, quality: float) -> CodedClip:
        file = io.BytesIO()
        sizes: dict[int, int] = {}  # by time; with B frames, packets come in another order
        options = self.encoder_options(self.coarsest - round(quality))
        with self._av.open(str(source.path)) as given, self._av.open(file, "w", "matroska") as out:
            video = given.streams.video[0]
            rate = Fraction(video.average_rate or 25)
            stream = out.add_stream(self.encoder, rate=rate, options=options)
            context = stream.codec_context
            context.width, context.height = video.width, video.height
            context.pix_fmt, context.thread_count = "yuv420p", 1
            context.gop_size = self.intra_period
            if self.low_delay:
                context.max_b_frames = 0
            for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
                setattr(context, tag, getattr(video.codec_context, tag))
            for packet in self._packets(stream, islice(given.decode(video), source.frames), rate):
                sizes[packet.pts] = packet.size
                out.mux(packet)
            if context.extradata and sizes:
                sizes[min(sizes)] += len(context.extradata)
        if not sizes:
            raise EvaluationError(f"{self.encoder} made no frame of {source.path.name}")
        with clips.read(source.path) as clip:
            shown = clip.properties
        in_order = tuple(sizes[time] for time in sorted(sizes))
        return CodedClip(file.getvalue(), in_order, shown.rotation, shown.mirrored)

    @staticmethod
    def _packets(stream: Any, frames: Iterable[Any], rate: Fraction) -> Iterator[Any]:
        """Yield the packets of frames at an even rate."""
        for number, frame in enumerate(frames):
            if frame.format.name != "yuv420p":
                frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, 1 / rate
            frame.pict_type = 0  # not the one of the file
            yield from stream.encode(frame)
        yield from stream.encode(None)

    def decode(self, coded: CodedClip) -> Frames:
        with clips.read(coded.data) as clip:
            return coded.upright(stacked(clip, len(coded.sizes)))


class X264(EncoderCodec):
    """H.264 by x264 at constant quantisers; quality is 51 - quantiser."""

    description = "H.264 by x264, constant quantiser"
    encoder, coarsest = "libx264", 51
    options: ClassVar = _X26_OPTIONS
    qualities = (14, 19, 24, 29)

    def encoder_options(self, quantiser: int) -> dict[str, str]:
        tune = "psnr,zerolatency" if self.low_delay else "psnr"
        cuts = {"sc_threshold": "0"} if self.low_delay else {}
        return {"preset": self.values["preset"], "tune": tune, "qp": str(quantiser), **cuts}


class X265(EncoderCodec):
    """HEVC by x265; quality is 51 - quantiser, constant for low delay, else that of crf."""

    description = "HEVC by x265"
    encoder, coarsest = "libx265", 51
    options: ClassVar = _X26_OPTIONS
    qualities = (14, 19, 24, 29)

    def encoder_options(self, quantiser: int) -> dict[str, str]:
        common = f"keyint={self.intra_period}:info=0:log-level=none:pools=none:frame-threads=1"
        params = f"crf={quantiser}:{common}"
        if self.low_delay:
            params = (
                f"qp={quantiser}:{common}:bframes=0:rc-lookahead=0:scenecut=0:psy-rd=0:psy-rdoq=0:"
                "aq-mode=0:cutree=0"
            )
        return {"preset": self.values["preset"], "tune": "psnr", "x265-params": params}


class SvtAv1(EncoderCodec):
    """AV1 by SVT-AV1; quality is 63 - crf."""

    description = "AV1 by SVT-AV1"
    encoder, coarsest = "libsvtav1", 63
    options: ClassVar = {"preset": Option.whole(8, 0, 13), "structure": _STRUCTURE, "intra": INTRA}
    qualities = (6, 16, 27, 39)

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        os.environ.setdefault("SVT_LOG", "1")  # it logs the settings of every clip by default
        super().__init__(name, values)

    def encoder_options(self, quantiser: int) -> dict[str, str]:
        params = f"tune=1:keyint={self.intra_period}:lp=1"
        if self.low_delay:
            params += ":pred-struct=1:lookahead=0:scd=0:enable-tf=0"
        return {
            "preset": self.values["preset"],
            "crf": str(quantiser),
            "svtav1-params": params,
        }


class Vp9(EncoderCodec):
    """VP9 by libvpx; quality is 63 - crf."""

    description = "VP9 by libvpx, deadline good"
    encoder, coarsest = "libvpx-vp9", 63
    options: ClassVar = {"speed": Option.whole(3, 0, 5), "intra": INTRA}
    qualities = (7, 17, 29, 43)

    def encoder_options(self, quantiser: int) -> dict[str, str]:
        return {
            "deadline": "good",
            "cpu-used": self.values["speed"],
            "crf": str(quantiser),
            "b": "0",
            "row-mt": "1",
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
        }
