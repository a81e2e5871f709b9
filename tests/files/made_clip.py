"""A clip of frames at given times."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from quantal import clips

__all__ = ["Made", "pixels_of"]


class Made(clips.Clip):
    """A clip of frames at given times, which may break off."""

    def __init__(
        self, frames: list[Any], times: list[int], broken: BaseException | None = None
    ) -> None:
        self._frames, self._times, self._broken, self._at = frames, times, broken, 0
        height, width = frames[0].shape[:2]
        self.properties = clips.Properties(
            width, height, Fraction(1, 600), times[0], rate=Fraction(25), frames=len(frames)
        )

    warnings = ()

    def __next__(self) -> clips.Frame:
        if self._at == len(self._frames):
            if self._broken is not None:
                raise self._broken
            raise StopIteration
        self._at += 1
        return clips.Frame(self._times[self._at - 1], self._frames[self._at - 1], 7)

    def seek(self, time: int) -> None:
        self._at = max(i for i, at in enumerate(self._times) if at <= max(time, self._times[0]))

    def packets(self, track: clips.Track) -> Iterator[clips.Packet]:
        raise AssertionError

    def close(self) -> None:
        pass


def pixels_of(clip: clips.Clip) -> list[Any]:
    return [frame.pixels for frame in clip]
