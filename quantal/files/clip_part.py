"""A part of a clip, from one time to another, as a clip of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from quantal import clips
from quantal.arguments import whole
from quantal.errors import ArgumentError

__all__ = ["ClipPart", "part_of"]


def part_of(clip: clips.Clip, begin: Fraction | None, end: Fraction | None) -> clips.Clip:
    """Return a part of a clip; the clip itself if neither bound is given.

    Args:
        clip: the clip.
        begin: seconds from the first frame; the frame that is shown then is the first of the part.
        end: seconds from the first frame; frames and packets that begin then or later are left out.

    Raises:
        ArgumentError: If the part would be empty.
    """
    if begin is None and end is None:
        return clip
    begin = Fraction(0) if begin is None else begin
    if begin < 0 or (end is not None and end <= begin):
        raise ArgumentError(
            f"a part from {float(begin):g} s to {float(end or 0):g} s is empty; give an end behind "
            "the beginning"
        )
    duration = clip.properties.duration
    if duration is not None and begin >= duration:
        raise ArgumentError(
            f"the part begins at {float(begin):g} s, the clip ends at {float(duration):g} s"
        )
    return ClipPart(clip, begin, end)


class ClipPart(clips.Clip):
    """A part of a clip, whose times begin at zero; see part_of(). Closing it closes the clip."""

    def __init__(self, clip: clips.Clip, begin: Fraction, end: Fraction | None) -> None:
        self._clip = clip
        whole_clip = clip.properties
        tick = whole_clip.time_base
        start = whole_clip.start * tick
        #: In seconds of the clip's own times.
        self._begin, self._end = start + begin, None if end is None else start + end
        #: What becomes zero, in ticks and in seconds. Everything moves by it alike: frames have
        #: times in whole ticks, and what lies beside them stays in step.
        self._shift = int(self._begin / tick // 1)
        self._origin = self._shift * tick
        self._checked = False
        self.tracks, self.metadata = clip.tracks, clip.metadata
        self.chapters = tuple(self._chapters())
        duration = whole_clip.duration
        if end is not None:
            duration = end if duration is None else min(end, duration)
        self.properties = replace(
            whole_clip,
            start=0,
            duration=None if duration is None else start + duration - self._origin,
            frames=None,
        )
        self.seek(0)

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._clip.warnings

    def __next__(self) -> clips.Frame:
        frame = next(self._clip)
        tick = self.properties.time_base
        if not self._checked:
            self._check(frame)
        if self._end is not None and frame.time * tick >= self._end:
            raise StopIteration
        time, duration = frame.time - self._shift, frame.duration
        if time < 0:  # it began before the part
            duration = None if duration is None else max(duration + time, 1)
            time = 0
        if duration is not None and self._end is not None:
            left = self._end / tick - self._shift - time
            duration = max(min(duration, int(left)), 1)
        return clips.Frame(time, frame.pixels, duration, frame.damaged)

    def _check(self, first: clips.Frame) -> None:
        """Raise ArgumentError if the clip, whose length was not known, ends before the part."""
        self._checked = True
        tick = self.properties.time_base
        if first.duration and (first.time + first.duration) * tick <= self._begin:
            raise ArgumentError("the part begins behind the end of the clip; let it begin earlier")

    def seek(self, time: int) -> None:
        self._clip.seek(max(whole("time", time), 0) + self._shift)

    def packets(self, track: clips.Track) -> Iterator[clips.Packet]:
        first, shift = (round(at / track.time_base) for at in (self._begin, self._origin))
        for packet in self._clip.packets(track):
            time = packet.decode_time if packet.time is None else packet.time
            if time is None:
                continue
            if self._end is not None and time * track.time_base >= self._end:
                if packet.decode_time is None or packet.decode_time * track.time_base >= self._end:
                    return
                continue
            duration = packet.duration
            if time < first:
                late = track.kind == "subtitle" and time + duration > first
                if not late:
                    continue
                duration -= max(shift - time, 0)
            yield clips.Packet(
                packet.data,
                None if packet.time is None else max(packet.time - shift, 0),
                None if packet.decode_time is None else packet.decode_time - shift,
                duration,
                packet.key,
            )

    def close(self) -> None:
        self._clip.close()

    def _chapters(self) -> Iterator[clips.Chapter]:
        for chapter in self._clip.chapters:
            end = chapter.end if self._end is None else min(chapter.end, self._end)
            if max(chapter.start, self._begin) < end:
                start = max(chapter.start, self._origin)
                tags: Mapping[str, str] = chapter.metadata
                yield clips.Chapter(start - self._origin, end - self._origin, tags)
