"""What a stream of pictures and its first frame say of a clip."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from av import VideoFrame
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.stream import VideoStream

from quantal.clips._convert import bits_of, colour_of, subsampling_of
from quantal.clips._properties import Properties, check_frames
from quantal.clips._source import Source
from quantal.clips._turn import Turn, turn_of
from quantal.errors import MediaError

__all__ = ["pictures_of", "properties_of", "turn_of_frame"]

_MICROSECONDS = 1_000_000


def pictures_of(container: InputContainer, source: Source) -> VideoStream:
    """Return the stream of pictures, ready to decode."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if stream.codec_context is None:
            raise MediaError(
                f"the pictures of {source.name} have a codec that this PyAV can't decode; convert "
                "the clip, for example to H.264, or pip install --upgrade av"
            )
        if stream.codec_context.width or stream.codec_context.height:
            check_frames(stream.codec_context.width, stream.codec_context.height, source.name)
        stream.thread_type = "AUTO"  # type: ignore[assignment]
        return stream
    kinds = sorted({str(stream.type) for stream in container.streams}) or ["nothing"]
    raise MediaError(
        f"{source.name} has no stream of pictures, only {' and '.join(kinds)}; expected a clip"
    )


def properties_of(
    container: InputContainer, stream: VideoStream, frame: VideoFrame, turn: Turn
) -> Properties:
    """Return the properties of a clip.

    Args:
        container: The file.
        stream: Its stream of pictures.
        frame: The first frame.
        turn: What makes it upright.
    """
    width, height = frame.width, frame.height
    aspect = _positive(stream.sample_aspect_ratio) or Fraction(1)
    if turn.transposed:
        width, height, aspect = height, width, 1 / aspect
    return Properties(
        width,
        height,
        _positive(stream.time_base) or Fraction(1, 1000),
        start=frame.pts or 0,
        rate=_positive(stream.average_rate) or _positive(stream.guessed_rate),
        duration=_duration_of(container, stream),
        frames=stream.frames or None,
        sample_aspect=aspect,
        rotation=turn.degrees,
        mirrored=turn.mirrored,
        bits=bits_of(frame.format),
        subsampling=subsampling_of(frame.format),
        colour=colour_of(frame),
    )


def turn_of_frame(frame: VideoFrame) -> Turn:
    """Return what makes a frame upright, by its display matrix."""
    side_data: Any = frame.side_data  # its types allow names alone
    found = side_data.get(Type.DISPLAYMATRIX)
    return turn_of(bytes(found)) if found is not None else Turn()


def _positive(value: Fraction | None) -> Fraction | None:
    if value is None or value <= 0 or max(value.numerator, value.denominator) >= 1 << 31:
        return None
    return Fraction(value)


def _duration_of(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """Return the announced duration of the pictures in seconds."""
    tick = stream.time_base or Fraction(0)
    if stream.duration and stream.duration > 0 and tick:
        return stream.duration * tick
    # Matroska announces when the last frame ends, others for how long there are frames.
    begin = (stream.start_time or 0) * tick if "matroska" in container.format.name else Fraction(0)
    clock = stream.metadata.get("DURATION", "").split(":")  # of Matroska: 00:00:01.066000000
    try:
        hours, minutes, seconds = (Fraction(part) for part in clock)
    except (ValueError, ZeroDivisionError):
        pass
    else:
        return max(hours * 3600 + minutes * 60 + seconds - begin, Fraction(0)) or None
    if container.duration and container.duration > 0 and len(container.streams) == 1:
        return max(Fraction(container.duration, _MICROSECONDS) - begin, Fraction(0)) or None
    return None
