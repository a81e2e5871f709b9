"""Encoders of clips: which formats there are, and RGB frames as those of an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av import VideoFrame
from av.container import OutputContainer
from av.packet import Packet
from av.video.format import VideoFormat

from quantal.clips._convert import Converter, encodable, matrix_by_size
from quantal.clips._properties import Colour, Pixels, Properties
from quantal.errors import ArgumentError, OutputError

__all__ = ["FFV1", "X264", "Y4M", "Encoder", "Kind"]

_FRAME_DURATION = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION: packets last as long as frames
_RGB, _LIMITED, _FULL = 0, 1, 2
_RATE = Fraction(25)


@dataclass(frozen=True)
class Kind:
    """A format of files.

    Attributes:
        container: Its name in FFmpeg.
        encoder: Name of the encoder.
        pix_fmt: Pixel format by default.
        options: Options of the encoder by default.
        tick: Unit of its times in seconds, if it has a fixed one.
        timed: Whether it has times, tracks and tags at all.
        pads: Whether the encoder needs sides that its subsampling divides.
        shaped: Whether the aspect of pixels is written; PyAV does not hand it to all formats.
    """

    container: str
    encoder: str
    pix_fmt: str
    options: Mapping[str, str] = field(default_factory=dict)
    tick: Fraction | None = None
    timed: bool = True
    pads: bool = False
    shaped: bool = False


X264 = Kind("mp4", "libx264", "yuv420p", {"crf": "12"}, pads=True, shaped=True)
FFV1 = Kind("matroska", "ffv1", "bgr0", {"level": "3", "slicecrc": "1"}, tick=Fraction(1, 1000))
Y4M = Kind("yuv4mpegpipe", "wrapped_avframe", "yuv420p", timed=False)
_Y4M_FORMATS = ("yuv420p", "yuv422p", "yuv444p", "gray")


class Encoder:
    """The stream of pictures of a file.

    Args:
        container: The file.
        properties: Size, time base, rate, aspect and colours.
        options: Options of the encoder, and "pix_fmt".
        kind: The format.

    Attributes:
        notes: What the format changes, one sentence each.

    Raises:
        ArgumentError: The encoder has no such pixel format.
        OutputError: PyAV lacks the encoder.
    """

    def __init__(
        self,
        container: OutputContainer,
        properties: Properties,
        options: Mapping[str, str],
        kind: Kind,
    ) -> None:
        self._kind, self._given = kind, properties
        # A default quality would go before a quantiser or a bit rate that is asked for.
        defaults = {} if {"qp", "b"} & set(options) else kind.options
        self._options = {key: str(value) for key, value in {**defaults, **options}.items()}
        self._pix_fmt = self._options.pop("pix_fmt", kind.pix_fmt)
        self._check_format()
        self._rgb = VideoFormat(self._pix_fmt).is_rgb
        self._colour = self._coded_colour()
        self._padding = self._find_padding()
        self._converter = Converter()
        self._stream = self._add(container)
        self.notes = list(self._notes())

    @property
    def tick(self) -> Fraction:
        """Unit of times in the file in seconds, once its header is written."""
        return Fraction(self._stream.time_base)

    def check_options(self) -> None:
        """Raise ArgumentError if the encoder, which is open now, did not know an option."""
        unknown = [key for key in self._options if key in self._stream.codec_context.options]
        if unknown:
            raise ArgumentError(
                f"{self._kind.encoder} has no option {', '.join(unknown)!r:.80}; leave it out"
            )

    def frame(self, pixels: Pixels, time: int) -> VideoFrame:
        """Return a frame for `encode`, which does not refer to the pixels any more.

        Args:
            pixels: RGB, uint8 [H, W, 3].
            time: Its time in ticks of the time base; its number for formats without times.
        """
        across, down = self._padding
        if across or down:
            pixels = np.pad(pixels, ((0, down), (0, across), (0, 0)), mode="edge")
        frame = self._converter.from_rgb(pixels, self._pix_fmt, self._colour)
        frame.pts, frame.time_base = time, self._stream.codec_context.time_base
        return frame

    def encode(self, frame: VideoFrame, duration: int) -> list[Packet[Any]]:
        """Return packets that are complete with a frame.

        Args:
            frame: What `frame` returned.
            duration: Its duration in ticks. Without it MP4 would lose the end of the last frame.
        """
        if self._kind.timed:
            frame.duration = duration
        return list(self._stream.encode(frame))

    def flush(self) -> list[Packet[Any]]:
        """Return the packets that are held back."""
        return list(self._stream.encode(None))

    def _check_format(self) -> None:
        try:
            encoder = av.Codec(self._kind.encoder, "w")
        except ValueError as error:
            raise OutputError(
                f"this PyAV has no encoder {self._kind.encoder}; pip install --upgrade av, or "
                "write another format"
            ) from error
        known = [form.name for form in encoder.video_formats or ()] or list(_Y4M_FORMATS)
        if self._pix_fmt not in known:
            raise ArgumentError(
                f"{self._kind.encoder} has no pixel format {self._pix_fmt!r:.40}, expected one of "
                f"{', '.join(known)}"
            )

    def _coded_colour(self) -> Colour:
        colour, given = encodable(self._given.colour), self._given
        if self._kind.timed:
            return colour
        # Y4M does not name a matrix; readers go by the size.
        return replace(colour, matrix=matrix_by_size(given.width, given.height))

    def _find_padding(self) -> tuple[int, int]:
        """Return columns and rows to add, since H.264 has whole chroma samples only."""
        if not self._kind.pads:
            return 0, 0
        chroma = VideoFormat(self._pix_fmt, 16, 16).components[-1]
        return -self._given.width % (16 // chroma.width), -self._given.height % (
            16 // chroma.height
        )

    def _notes(self) -> Iterator[str]:
        if any(self._padding):
            yield (
                f"{self._pix_fmt} has even sides: the last column or row was repeated, "
                f"{self._stream.width}x{self._stream.height} pixels"
            )
        if self._given.rate is None and not self._kind.timed:
            yield f"{self._kind.container} has one rate, {_RATE} frames per second were assumed"
        if self._given.sample_aspect != 1 and not self._kind.shaped:
            yield f"{self._kind.container} gets no aspect of pixels; it was left out"

    def _add(self, container: OutputContainer) -> Any:
        given, kind = self._given, self._kind
        rate = given.rate or _RATE
        if kind.timed and not 1 <= rate <= 1000:  # a hint, which libx264 may refuse
            rate = _RATE
        stream: Any = container.add_stream(kind.encoder, rate=rate)
        stream.width = given.width + self._padding[0]
        stream.height = given.height + self._padding[1]
        stream.pix_fmt = self._pix_fmt
        context = stream.codec_context
        context.time_base = given.time_base if kind.timed else 1 / rate
        context.sample_aspect_ratio = given.sample_aspect
        context.options = dict(self._options)
        context.flags |= _FRAME_DURATION
        context.colorspace = _RGB if self._rgb else self._colour.matrix
        context.color_range = _FULL if self._rgb or self._colour.full_range else _LIMITED
        context.color_primaries = self._colour.primaries
        context.color_trc = self._colour.transfer
        return stream
