"""The search for motion vectors: libx264 codes the frames, and its vectors are read back.

Its search is quick, goes down to quarters of a pixel, and weighs the bits of vectors against what
they save, so that they are smooth where nothing moves. The frames themselves are thrown away.
"""

from __future__ import annotations

from fractions import Fraction
from types import TracebackType
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags

from quantal.arguments import whole
from quantal.errors import ArgumentError, MediaError
from quantal.fields import BLOCK, UNITS, Field

__all__ = ["Search", "crf_of"]

#: Sides of what libx264 codes are multiples of its macroblocks, and no smaller than this.
_MACROBLOCK, _LEAST = 16, 32
_OPTIONS = {
    "preset": "medium",
    "tune": "zerolatency",
    "x264-params": (
        "bframes=0:ref=1:weightp=0:partitions=p8x8:scenecut=0:keyint=infinite:me=umh:subme=7:"
        "sync-lookahead=0:sliced-threads=0:log-level=error"
    ),
}
#: Rows and columns of the eight places around one, in arrays with a border of one place.
_RING = np.array([divmod(place, 3) for place in range(9) if place != 4]).T
#: Vectors are filled in from known ones at most so many blocks away.
_RINGS = 4
#: The crf of the search falls from one of these to the other between two rates 0..252.
_CRF, _RATES = (34.0, 22.0), (40.0, 160.0)
_CRF_RANGE = (16.0, 40.0)


def crf_of(rate: float) -> float:
    """Return the crf of libx264 whose vectors serve a rate 0..252 best."""
    part = (rate - _RATES[0]) / (_RATES[1] - _RATES[0])
    return float(np.clip(_CRF[0] + part * (_CRF[1] - _CRF[0]), *_CRF_RANGE))


class Search:
    """Follows the motion through frames that are given one after the other.

    A context manager; closes its encoder and decoder.

    Args:
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        crf: of libx264; the higher, the smoother the vectors.
    """

    def __init__(self, width: int, height: int, crf: float = 28.0) -> None:
        self._size = whole("height", height, 1), whole("width", width, 1)
        rows, columns = (max(-(-side // _MACROBLOCK) * _MACROBLOCK, _LEAST) for side in self._size)
        self._edges = ((0, rows - height), (0, columns - width), (0, 0))
        self._blocks = rows // BLOCK, columns // BLOCK
        encoder: Any = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = columns, rows, "yuv420p"
        encoder.time_base = Fraction(1, 25)
        encoder.thread_count = 1
        encoder.options = {**_OPTIONS, "crf": str(crf)}
        decoder: Any = av.CodecContext.create("h264", "r")
        decoder.thread_count = 1
        decoder.options = {"flags2": "+export_mvs"}
        decoder.flags |= Flags.low_delay
        self._encoder, self._decoder, self._count = encoder, decoder, 0

    def next(self, pixels: npt.NDArray[np.uint8]) -> Field:
        """Return the motion from the frame before; zeros for the first frame.

        Args:
            pixels: the next frame, uint8 [H, W, 3].

        Raises:
            ArgumentError: If the frame has another size or type.
            MediaError: If libx264 fails.
        """
        if pixels.dtype != np.uint8 or pixels.shape != (*self._size, 3):
            raise ArgumentError(
                f"a frame is {pixels.dtype} {pixels.shape}, expected uint8 {(*self._size, 3)}"
            )
        padded = np.pad(pixels, self._edges, mode="edge")
        frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(format="yuv420p")
        frame.pts = self._count
        self._count += 1
        if self._encoder is None:
            raise ArgumentError("the search is closed; open another one")
        try:
            packets = self._encoder.encode(frame)
            decoded = [each for packet in packets for each in self._decoder.decode(packet)]
        except av.FFmpegError as error:
            raise MediaError(f"libx264 could not search for motion: {error}") from error
        if len(decoded) != 1:
            raise MediaError(f"libx264 gave {len(decoded)} frames for one; update PyAV")
        found = _vectors(decoded[0], self._blocks)
        rows, columns = (-(-side // BLOCK) for side in self._size)
        return np.ascontiguousarray(found[:, :rows, :columns])

    def close(self) -> None:
        """Release the encoder and the decoder."""
        self._encoder = self._decoder = None

    def __enter__(self) -> Search:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _vectors(frame: Any, blocks: tuple[int, int]) -> Field:
    """Return the vectors of a decoded frame; blocks that are coded without any take some."""
    field = np.zeros((2, *blocks), np.int16)
    known = np.zeros(blocks, np.bool_)
    found = frame.side_data.get("MOTION_VECTORS")
    if found is None:
        return field
    table = found.to_ndarray()
    scale = np.maximum(table["motion_scale"].astype(np.int32), 1)
    moves = [table[f"motion_{axis}"] * UNITS // scale for axis in "xy"]
    wide, high = (table[side].astype(np.intp) // BLOCK for side in "wh")
    # A partition is named by its middle.
    left = (table["dst_x"] - table["w"] // 2) // BLOCK
    top = (table["dst_y"] - table["h"] // 2) // BLOCK
    for down in range(_MACROBLOCK // BLOCK):
        for across in range(_MACROBLOCK // BLOCK):
            inside = (wide > across) & (high > down)
            place = top[inside] + down, left[inside] + across
            known[place] = True
            for axis, move in enumerate(moves):
                field[axis][place] = move[inside]
    _fill(field, known)
    return field


def _fill(field: Field, known: npt.NDArray[np.bool_]) -> None:
    """Give unknown vectors the median of the known ones around, for a few rings; the rest stay.

    Args:
        field: int16 [2, h, w], filled in.
        known: which of them are known, bool [h, w], set where a vector is filled in.
    """
    # Blocks without a vector are few, so only they and what is around them are looked at.
    for _ in range(_RINGS):
        if known.all():
            break
        around = np.pad(known, 1)
        vectors = np.pad(field, ((0, 0), (1, 1), (1, 1)))
        row, column = np.nonzero(~known)
        near = row[:, None] + _RING[0], column[:, None] + _RING[1]
        there = around[near]
        count = there.sum(1)
        reached = count > 0
        values = np.where(there, vectors[:, near[0], near[1]], np.iinfo(np.int16).max)[:, reached]
        middle = ((count[reached] - 1) // 2)[None, :, None]
        place = row[reached], column[reached]
        medians = np.take_along_axis(np.sort(values, axis=2), middle, axis=2)[..., 0]
        field[:, place[0], place[1]] = medians
        known[place] = True
