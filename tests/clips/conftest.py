"""Clips for tests: photographs of scikit-image that are moved about, coded here with PyAV."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from skimage import data

from quantal.clips import Pixels

WIDTH, HEIGHT = 96, 64


@pytest.fixture(scope="session")
def moving() -> Callable[..., list[Pixels]]:
    """Frames that show a photograph which moves: moving(count, width, height)."""
    photograph = np.asarray(data.chelsea())

    def frames(count: int, width: int = WIDTH, height: int = HEIGHT) -> list[Pixels]:
        places = [(60 + 3 * i % 40, 100 + 2 * i % 90) for i in range(count)]
        return [photograph[y : y + height, x : x + width].copy() for y, x in places]

    return frames


def coded(
    pictures: Iterable[Pixels],
    container: str = "matroska",
    encoder: str = "ffv1",
    pix_fmt: str = "bgr0",
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    prepare: Callable[[Any, Any], None] = lambda container, stream: None,
    frame_of: Callable[[Any], Any] = lambda frame: frame,
) -> bytes:
    """Return a file of video.

    Args:
        pictures: RGB, uint8 [H, W, 3] each.
        container: FFmpeg's name of the format.
        encoder: FFmpeg's name of the encoder.
        pix_fmt: Pixel format to code.
        times: In ticks; 0, 1, 2 and so on by default.
        time_base: A tick in seconds.
        options: Options of the encoder.
        muxer: Options of the container.
        prepare: Called with container and stream before the header is written.
        frame_of: What becomes of each frame before it is coded.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=muxer or {}) as output:
        stream: Any = output.add_stream(encoder, rate=1 / time_base)
        stream.codec_context.time_base = time_base
        stream.codec_context.options = options or {}
        stream.pix_fmt = pix_fmt
        for number, pixels in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = pixels.shape[:2]
                prepare(output, stream)
            frame = frame_of(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
            frame.pts = times[number] if times else number
            frame.time_base = time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def with_planes(pix_fmt: str, planes: Sequence[np.ndarray[Any, Any]], **tags: int) -> av.VideoFrame:
    """Return a frame of given samples.

    Args:
        pix_fmt: A planar pixel format.
        planes: Samples [H, W] of each plane.
        tags: Attributes of the frame, such as colorspace=1.
    """
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        line = np.ascontiguousarray(samples).view(np.uint8)
        rows[: line.shape[0], : line.shape[1]] = line
        plane.update(rows)
    for name, value in tags.items():
        setattr(frame, name, value)
    return frame
