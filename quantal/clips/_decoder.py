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

__all__ = ["Decoder", "Loss", "demuxed"]

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


def demuxed(
    container: InputContainer, stream: Any, source: Source, loss: Loss
) -> Iterator[Packet[Any]]:
    """Yield the packets of a stream from where its container stands.

    What can't be read is skipped and counted. The last packet is empty, as decoders want it.

    Args:
        container: An open file.
        stream: The stream.
        source: What the file was opened from, which knows of interrupts.
        loss: Where losses are counted.
    """
    failures, place = 0, None
    while failures <= _PATIENCE:
        try:
            for packet in container.demux(stream):
                if packet.size:
                    failures, place = 0, _place_of(packet)
                yield packet
            if source.interrupt is not None:
                raise source.interrupt
            return
        except FAILURES as error:
            _check(error, source)
            failures += 1
            loss.packets.add(("after", place))
            if isinstance(error, OSError) and not isinstance(error, ValueError):
                break  # of the disk, not of the file's content
    flush: Packet[Any] = Packet()
    flush.stream = stream
    yield flush


class Decoder:
    """Frames of a stream from where its container stands.

    A piece that can't be read or decoded is skipped and counted.

    Args:
        container: An open file.
        stream: Its stream of pictures.
        source: What the file was opened from, which knows of interrupts.
        loss: Where losses are counted.

    Attributes:
        key: Time of the first key frame among the packets so far, in ticks, if there was one.
        packets: Number of packets so far.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, source: Source, loss: Loss
    ) -> None:
        self._source, self._loss = source, loss
        self.key: int | None = None
        self.packets = 0
        self._frames = self._decoded(container, stream)

    def __next__(self) -> VideoFrame:
        return next(self._frames)

    def __iter__(self) -> Iterator[VideoFrame]:
        return self._frames

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        for packet in demuxed(container, stream, self._source, self._loss):
            if packet.size:
                self.packets += 1
                if self.key is None and packet.is_keyframe:
                    self.key = packet.pts
            try:
                found = packet.decode()
            except FAILURES as error:
                _check(error, self._source)
                if packet.size:  # at the end, errors are those of packets before
                    self._loss.packets.add(_place_of(packet))
                continue
            yield from found


def _place_of(packet: Packet[Any]) -> tuple[int | None, ...]:
    return packet.stream_index, packet.pts, packet.dts, packet.pos


def _check(error: BaseException, source: Source) -> None:
    """Raise what is no fault of the file."""
    if source.interrupt is not None:
        raise source.interrupt
    if is_out_of_memory(error):
        raise error
