"""Folders of numbered pictures are clips."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantal import clips
from quantal.clips import Pixels, Properties, Track
from quantal.errors import ArgumentError, MediaError


def picture(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def folder(tmp_path: Path, moving: Callable[..., list[Pixels]]) -> Path:
    """A folder of shot-2.png, shot-9.png, shot-10.png and shot-11.png."""
    for number, pixels in zip((9, 10, 2, 11), moving(4), strict=True):
        Image.fromarray(pixels).save(tmp_path / f"shot-{number}.png")
    return tmp_path


def test_pictures_follow_by_number(folder: Path, moving: Callable[..., list[Pixels]]) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / ".5.png").write_text("hidden")
    (folder / "7").mkdir()
    pictures = moving(4)
    with clips.read_pictures(folder, picture, Fraction(24)) as clip:
        assert clip.properties == Properties(
            96, 64, Fraction(1, 24), rate=Fraction(24), duration=Fraction(1, 6), frames=4
        )
        frames = list(clip)
        assert [(frame.time, frame.duration) for frame in frames] == [(i, 1) for i in range(4)]
        for frame, number in zip(frames, (2, 0, 1, 3), strict=True):
            assert np.array_equal(frame.pixels, pictures[number])
        assert "6 of the numbers 2 to 11 are missing" in clip.warnings
        assert "1 file without a number was left out" in clip.warnings
        for time, number in ((-5, 0), (2, 2), (99, 3)):
            clip.seek(time)
            assert next(clip).time == number
        with pytest.raises(ArgumentError):
            clip.packets(Track(0, "audio", "aac", Fraction(1), b""))


def test_the_rate_is_assumed_aloud(folder: Path) -> None:
    with clips.read_pictures(folder, picture) as clip:
        assert clip.properties.rate == 25
        assert any("25 frames per second" in note for note in clip.warnings)


def test_what_is_written_as_pictures_is_read_back(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    given = Properties(96, 64, Fraction(1, 25))
    with clips.write(tmp_path / "a", given) as writer:
        for number, pixels in enumerate(moving(12)):
            writer.write(clips.Frame(number, pixels))
    with clips.read_pictures(tmp_path / "a", picture) as clip:
        assert np.array_equal([frame.pixels for frame in clip], moving(12))


def test_wrong_folders_are_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(MediaError, match="no numbered pictures"):
        clips.read_pictures(tmp_path_factory.mktemp("empty"), picture)
    with pytest.raises(MediaError, match="can't be read as a folder"):
        clips.read_pictures(folder / "missing", picture)
    for rate in (25, Fraction(0), Fraction(-1)):
        with pytest.raises(ArgumentError, match="rate"):
            clips.read_pictures(folder, picture, rate)  # type: ignore[arg-type]
    Image.new("RGB", (5, 5)).save(folder / "shot-12.png")
    with clips.read_pictures(folder, picture) as clip, pytest.raises(MediaError, match="5x5"):
        list(clip)
    clip.close()
    with pytest.raises(ArgumentError, match="closed"):
        next(clip)
