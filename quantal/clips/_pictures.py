"""Clips from folders of numbered pictures."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

from quantal.arguments import path as path_of
from quantal.arguments import typed, whole
from quantal.clips._clip import Clip
from quantal.clips._properties import Frame, Pixels, Properties
from quantal.clips._tracks import Packet, Track
from quantal.errors import ArgumentError, MediaError
from quantal.names import shown

__all__ = ["read_pictures"]

_NUMBER = re.compile(r"\d+")
_PLACE = re.compile(r"%(?:0(\d+))?d")


def read_pictures(
    folder: str | Path,
    picture: Callable[[Path], Pixels],
    rate: Fraction | None = None,
    pattern: str | None = None,
) -> Clip:
    """Open a folder of numbered pictures as a clip.

    Pictures are those files whose names have a number; the last number in a name counts. Others,
    and hidden files, are left out. Each is read when its frame is asked for.

    Args:
        folder: The folder.
        picture: Reads the file of a picture: upright RGB, uint8 [H, W, 3]. `quantal.media` has
            one that reads every format of pictures.
        rate: Frames per second; 25 by default, which a warning says.
        pattern: Form of the names that count, such as "%04d.png": %d stands for a number, %04d for
            one of four digits or more.

    Raises:
        MediaError: The folder has no such file or can't be read, or its first picture can't.
        ArgumentError: The rate is no positive Fraction.
    """
    name = path_of("folder of pictures", folder)
    form = None if pattern is None else _form(pattern)
    found, others = [], 0
    try:
        for entry in os.scandir(name):
            numbers = _NUMBER.findall(Path(entry.name).stem)
            if entry.name.startswith(".") or not entry.is_file():
                continue
            if form is not None and form.fullmatch(entry.name) is None:
                continue
            if numbers:
                found.append((int(numbers[-1]), entry.name))
            else:
                others += 1
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{shown(name)} can't be read as a folder: {reason}") from error
    if not found:
        example = "0001.png" if pattern is None else pattern
        raise MediaError(f"{shown(name)} has no numbered pictures, such as {example}")
    return _Pictures(Path(name), sorted(found), others, picture, rate)


def _form(pattern: str) -> re.Pattern[str]:
    """Return what names of a pattern such as "%04d.png" match."""
    place = _PLACE.search(pattern)
    if place is None:
        raise ArgumentError(f"{pattern!r} has no %d in it, as in %04d.png")
    digits = int(place[1] or 1)
    before, after = re.escape(pattern[: place.start()]), re.escape(pattern[place.end() :])
    return re.compile(rf"{before}\d{{{digits},}}{after}")


class _Pictures(Clip):
    """A clip of files that are pictures; a tick is the time of one."""

    def __init__(
        self,
        folder: Path,
        files: list[tuple[int, str]],
        others: int,
        picture: Callable[[Path], Pixels],
        rate: Fraction | None,
    ) -> None:
        self._files = [folder / name for _, name in files]
        self._picture = picture
        self._at = 0
        self._closed = False
        self._notes = list(_notes([number for number, _ in files], others))
        if rate is None:
            self._notes.append("pictures have no times; 25 frames per second were assumed")
        rate = Fraction(25) if rate is None else typed("rate", rate, Fraction)
        if rate <= 0:
            raise ArgumentError(f"rate must be positive, not {rate}")
        first = picture(self._files[0])
        self.properties = Properties(
            first.shape[1],
            first.shape[0],
            1 / rate,
            rate=rate,
            duration=len(files) / rate,
            frames=len(files),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def __next__(self) -> Frame:
        if self._closed:
            raise ArgumentError("the clip is closed; open it again")
        if self._at >= len(self._files):
            raise StopIteration
        file = self._files[self._at]
        pixels = self._picture(file)
        size = self.properties.width, self.properties.height
        if pixels.shape[1::-1] != size:
            raise MediaError(
                f"{shown(file)} has {pixels.shape[1]}x{pixels.shape[0]} pixels, expected "
                f"{size[0]}x{size[1]} as the first picture"
            )
        self._at += 1
        return Frame(self._at - 1, pixels, 1)

    def seek(self, time: int) -> None:
        self._at = min(max(whole("time", time), 0), len(self._files) - 1)

    def packets(self, track: Track) -> Iterator[Packet]:
        raise ArgumentError("a folder of pictures has no tracks")

    def close(self) -> None:
        self._closed = True


def _notes(numbers: list[int], others: int) -> Iterator[str]:
    missing = numbers[-1] - numbers[0] + 1 - len(set(numbers))
    if missing:
        yield f"{missing} of the numbers {numbers[0]} to {numbers[-1]} are missing"
    if len(set(numbers)) < len(numbers):
        yield "several pictures have the same number; they follow each other by name"
    if others:
        yield (
            f"{others} {'files' if others > 1 else 'file'} without a number "
            f"{'were' if others > 1 else 'was'} left out"
        )
