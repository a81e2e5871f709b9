"""Decoded frames of a stream, in order and as many as can be read, with what was lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from av import VideoFrame
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from quantal.clips._container import FAILURES
from quantal.clips._source import Source
from quantal.memory import is_out_of_memory

__all__ = ["Decoder", "Loss"]

_PATIENCE = 64  # failures in a row, after which nothing readable is expected any more


@dataclass
class Loss:
    """What could not be read.

    What is read twice is counted once.

    Attributes:
        packets: Places of packets that could not be read or decoded.
        damaged: Times of frames in which the decoder concealed damage.
        moved: Times of frames that were not later than the frame before.
        cut: Whether the file ends before what it announces.
    """

    packets: set[object] = field(default_factory=set)
    damaged: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)
    cut: bool = False


class Decoder:
    """Frames of a stream from where its container stands.

    A piece that can't be read or decoded is skipped and counted.

    Args:
        container: An open file.
        stream: Its stream of pictures.
        source: What the file was opened from, which knows of interrupts.
        loss: Where losses are counted.

    Attributes:
        loss: See above.
        key: Time of the first key frame among the packets so far, in ticks, if there was one.
        packets: Number of packets so far.
        ended: Whether all was read.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, source: Source, loss: Loss
    ) -> None:
        self._container, self._stream, self._source = container, stream, source
        self.loss = loss
        self._place: object = None
        self._frames = self._decoded()
        self.key: int | None = None
        self.packets = 0
        self.ended = False

    def __next__(self) -> VideoFrame:
        return next(self._frames)

    def __iter__(self) -> Iterator[VideoFrame]:
        return self._frames

    def _decoded(self) -> Iterator[VideoFrame]:
        for packet in self._demuxed():
            try:
                found = packet.decode()
            except FAILURES as error:
                self._check(error)
                if packet.size:  # at the end, errors are those of packets before
                    self.loss.packets.add((packet.pts, packet.dts, packet.pos))
                continue
            yield from found
        self.ended = True

    def _demuxed(self) -> Iterator[Packet[VideoStream]]:
        failures = 0
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:
                        failures = 0
                        if self.key is None and packet.is_keyframe:
                            self.key = packet.pts
                        self.packets += 1
                        self._place = packet.pts, packet.dts, packet.pos, packet.size
                    yield packet
                if self._source.interrupt is not None:
                    raise self._source.interrupt
                return
            except FAILURES as error:
                self._check(error)
                failures += 1
                self.loss.packets.add(self._place)
                if failures > _PATIENCE or (
                    isinstance(error, OSError) and not isinstance(error, ValueError)
                ):
                    break
        flush: Packet[Any] = Packet()
        flush.stream = self._stream
        yield flush

    def _check(self, error: BaseException) -> None:
        """Raise what is no fault of the file."""
        if self._source.interrupt is not None:
            raise self._source.interrupt
        if is_out_of_memory(error):
            raise error
