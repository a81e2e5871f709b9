"""Clips to .qtl files: frames to groups to chunks, with the packets beside them.

Memory does not depend on the length of a clip: a group is held coded, and a few frames as pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, islice

from quantal import clips, container
from quantal.arguments import typed, whole
from quantal.codecs.contract import Pixels
from quantal.codecs.video_contract import CodedFrame, Frame, Group, VideoCodec
from quantal.errors import MediaError, QuantalError
from quantal.files.clip_beside import PacketFeed, about_of, tracks_of
from quantal.files.clip_quality import psnr_of
from quantal.files.clip_rate import (
    TRIAL_FRAMES,
    ClipTarget,
    Coded,
    Controller,
    Plan,
    controller,
)
from quantal.files.matching import describe_work
from quantal.memory import memory_errors
from quantal.outputs import Sink

__all__ = ["INTRA_PERIOD", "ClipProgress", "EncodedClip", "encode_clip", "total_of"]

INTRA_PERIOD = 48
"""Frames of a group at most, by default."""

#: A predicted frame may be one after a cut if it has more than this part of the bytes of the last
#: intra frame, and so many times those of predicted frames before. Then it is coded as intra at the
#: same rate too, and a group begins if that takes at most so much more.
_OF_INTRA, _JUMP, _NOT_DEARER = 0.5, 2.0, 1.1
_WEIGHT = 0.2  # of the last frame in the mean of those before


@dataclass(frozen=True)
class ClipProgress:
    """How far a work on a clip is.

    Attributes:
        frames: Frames done.
        total: All frames, if known.
        seconds: Since the beginning.
    """

    frames: int
    total: int | None
    seconds: float

    @property
    def fps(self) -> float:
        """Frames per second so far."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds left, if that can be known."""
        if self.total is None or not self.frames or self.frames > self.total:
            return None
        return self.seconds * (self.total - self.frames) / self.frames


@dataclass(frozen=True)
class EncodedClip:
    """A coded clip.

    Attributes:
        codec: name of the codec.
        width: in pixels.
        height: in pixels.
        frames: their number.
        duration: in seconds.
        bytes: of the whole file.
        picture_bytes: of all groups.
        quality: 1..100, of the base rate.
        warnings: a sentence each.
        failure: why the clip was not read to its end; None if it was.
        interrupt: what interrupted the work, such as KeyboardInterrupt; the file is whole, but has
            only the frames before that.
    """

    codec: str
    width: int
    height: int
    frames: int
    duration: Fraction
    bytes: int
    picture_bytes: int
    quality: int
    warnings: tuple[str, ...] = ()
    failure: QuantalError | None = None
    interrupt: BaseException | None = None

    @property
    def bpp(self) -> float:
        """Bits per pixel of all groups."""
        return 8 * self.picture_bytes / max(self.width * self.height * self.frames, 1)

    @property
    def kbps(self) -> float:
        """Kilobits per second of all groups."""
        return float(8 * self.picture_bytes / self.duration / 1000) if self.duration else 0.0


@dataclass
class _Open:
    """The group that is being made: its first frame's number and time, and its frames so far."""

    frame: int
    time: int
    frames: list[container.CodedFrame] = field(default_factory=list)


class _Grouping:
    """Codes frames and closes groups: after `period` frames, and where the scene changes."""

    def __init__(
        self,
        codec: VideoCodec,
        plan: Plan,
        rates: Controller,
        tick: Fraction,
        emit: Callable[[container.Group], None],
    ) -> None:
        self._codec, self._plan, self._rates, self._emit = codec, plan, rates, emit
        self._tick, self._offsets = float(tick), plan.offsets
        self._coder: Group | None = None
        self._reference: object = None
        self._open: _Open | None = None
        self._intra = 0  # bytes of the last intra frame
        self._usual: float | None = None  # bytes of a predicted frame
        self.frames = 0

    def add(self, pixels: Pixels, at: int, duration: int) -> None:
        """Code a frame.

        Args:
            pixels: uint8 [H, W, 3].
            at: Its time in ticks.
            duration: In ticks.
        """
        place = 0 if self._open is None else len(self._open.frames)
        if place >= self._plan.period:
            self.close()
            place = 0
        self._rates.begin(place)
        base = self._rates.base
        if place == 0 or self._coder is None:
            self._coder = self._codec.group(self._plan.width, self._plan.height, base)
        frame = self._coder.frame(pixels)
        coded: CodedFrame | None = None
        if place:
            coded = frame.predicted(self._reference, self._offsets.rate(base, place))
            if self._is_cut(frame, coded, self._offsets.rate(base, place)):
                self.close()
                self._rates.begin(0)
                base, place, coded = self._rates.base, 0, None
        if coded is None:
            coded = frame.intra(self._offsets.rate(base, 0))
            self._intra = len(coded.payload)
        if self._open is None:
            self._open = _Open(self.frames, at)
        rate = self._offsets.rate(base, place)
        self._open.frames.append(container.CodedFrame(rate, duration, coded.payload))
        reference = self._reference = coded.reference
        self.frames += 1
        seconds = duration * self._tick
        bits = 8 * len(coded.payload)
        self._rates.coded(
            Coded(place, base, bits, seconds, lambda: psnr_of(reference.pixels(), pixels))
        )

    def _is_cut(self, frame: Frame, predicted: CodedFrame, rate: int) -> bool:
        """Whether a frame is coded as well without the one before it."""
        size = len(predicted.payload)
        usual = size if self._usual is None else self._usual
        suspicious = size > max(_OF_INTRA * self._intra, _JUMP * usual)
        if suspicious and len(frame.intra(rate).payload) <= _NOT_DEARER * size:
            return True
        self._usual = usual + _WEIGHT * (size - usual)
        return False

    def close(self) -> None:
        """Close the group that is being made, if there is one."""
        found, self._open = self._open, None
        if found is not None and found.frames:
            self._emit(container.Group(found.frame, found.time, tuple(found.frames)))


def encode_clip(
    clip: clips.Clip,
    codec: VideoCodec,
    file: Sink,
    target: ClipTarget | None = None,
    *,
    intra_period: int = INTRA_PERIOD,
    progress: Callable[[ClipProgress], None] | None = None,
) -> EncodedClip:
    """Code a clip to an open file, which need not be seekable.

    Where the clip breaks off, or the work is interrupted, what was coded until then is finished as
    a whole file; the result names the reason.

    Args:
        clip: what to code, from where it stands.
        codec: codes it.
        file: open for writing in binary mode.
        target: what to aim at; default: the codec's default quality.
        intra_period: frames from one intra frame to the next at most.
        progress: called after each frame.

    Raises:
        MediaError: If the clip has no frame that can be read.
        ArgumentError: If the codec can't do what is asked for.
    """
    target = ClipTarget() if target is None else typed("target", target, ClipTarget)
    period = whole("intra_period", intra_period, 1, container.GROUP_LIMIT)
    properties = clip.properties
    with memory_errors(f"coding {describe_work(properties.width, properties.height)}"):
        return _Encoding(clip, codec, file, target, period, progress).run()


class _Encoding:
    """One clip being coded; see encode_clip()."""

    def __init__(
        self,
        clip: clips.Clip,
        codec: VideoCodec,
        file: Sink,
        target: ClipTarget,
        period: int,
        progress: Callable[[ClipProgress], None] | None,
    ) -> None:
        self._clip, self._codec, self._target = clip, codec, target
        self._progress = progress
        self._began = time.monotonic()
        self._failure: QuantalError | None = None
        self._end = self._start = 0
        self._size = 0
        properties = clip.properties
        frames = self._frames()
        first = list(islice(frames, TRIAL_FRAMES))
        if not first:
            raise self._failure or MediaError("the clip has no frame; expected at least one")
        self._start = first[0].time
        self._all = chain(first, frames)
        total = total_of(properties)
        rate = float(properties.rate or 25)
        plan = Plan(properties.width, properties.height, period, rate, total, codec.raises)
        self._total = total
        self._rates = controller(target, codec, plan, [frame.pixels for frame in first])
        self.base = self._rates.base
        self._feed = PacketFeed(clip)
        about = about_of(clip)
        self._writer = container.ClipWriter(file, self._header(), tracks_of(clip), about)
        self._grouping = _Grouping(codec, plan, self._rates, properties.time_base, self._write)

    def _header(self) -> container.ClipHeader:
        properties = self._clip.properties
        colour = properties.colour
        return container.ClipHeader(
            self._codec.name,
            self._codec.model_hash,
            properties.width,
            properties.height,
            self.base,
            time_base=properties.time_base,
            frame_rate=properties.rate,
            sample_aspect=properties.sample_aspect,
            matrix=colour.matrix,
            primaries=colour.primaries,
            transfer=colour.transfer,
            full_range=colour.full_range,
        )

    def _frames(self) -> Iterator[clips.Frame]:
        """Yield frames as long as the clip gives some."""
        while True:
            try:
                frame = next(self._clip)
            except StopIteration:
                return
            except QuantalError as error:
                self._failure = error
                return
            yield frame

    def _write(self, group: container.Group) -> None:
        for number, packets in self._feed.until(group.end * self._clip.properties.time_base):
            self._writer.packets(number, packets)
        self._size += self._writer.group(group)
        self._end = group.end

    def run(self) -> EncodedClip:
        """Code all frames and finish the file."""
        interrupt: BaseException | None = None
        try:
            for frame, duration in _timed(self._all):
                self._grouping.add(frame.pixels, frame.time, duration)
                if self._progress is not None:
                    seconds = time.monotonic() - self._began
                    done = self._grouping.frames
                    self._progress(ClipProgress(done, self._total, seconds))
        except KeyboardInterrupt as error:
            interrupt = error
        if interrupt is None or self._writer.recover():
            self._grouping.close()
        if interrupt is not None and not self._writer.frames:
            raise interrupt  # there is nothing to keep
        if interrupt is None and self._failure is None:
            for number, packets in self._feed.rest():
                self._writer.packets(number, packets)
        self._writer.finish()
        properties = self._clip.properties
        notes = (*self._codec.warnings, *self._clip.warnings, *self._feed.warnings)
        return EncodedClip(
            codec=self._codec.name,
            width=properties.width,
            height=properties.height,
            frames=self._writer.frames,
            duration=(self._end - self._start) * properties.time_base,
            bytes=self._writer.bytes,
            picture_bytes=self._size,
            quality=container.rate_to_quality(self.base),
            warnings=(*notes, *filter(None, (self._rates.warning if not interrupt else None,))),
            failure=self._failure,
            interrupt=interrupt,
        )


def total_of(properties: clips.Properties) -> int | None:
    """Return the number of frames that a clip announces, if it does."""
    if properties.frames:
        return properties.frames
    if properties.duration and properties.rate:
        return max(1, round(properties.duration * properties.rate))
    return None


def _timed(frames: Iterator[clips.Frame]) -> Iterator[tuple[clips.Frame, int]]:
    """Yield frames with their durations in ticks, which are the steps between times."""
    before: clips.Frame | None = None
    step = 1
    for frame in frames:
        if before is not None:
            step = frame.time - before.time
            yield before, step
        before = frame
    if before is not None:
        yield before, before.duration if before.duration and before.duration > 0 else step
