"""Clips that several tests of files share."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import quantal
from quantal import clips
from tests.clips.test_tracks import with_sound as made_with_sound
from tests.little_video import LittleVideo

Filmed = Callable[..., list[Any]]


@pytest.fixture
def coded(little_video: LittleVideo, filmed: Filmed) -> bytes:
    """A clip of 20 frames in groups of eight."""
    return quantal.compress_clip(filmed(20), intra_period=8, quality=50)


@pytest.fixture(scope="session")
def with_sound(filmed: Filmed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of pictures with sound, a chapter and a title."""
    path = tmp_path_factory.mktemp("sound") / "sound.mkv"
    sound = made_with_sound(filmed(50), "matroska", "aac", subtitles="subrip", font=True)
    chapter = clips.Chapter(Fraction(1, 2), Fraction(3, 2), {"title": "middle"})
    with (
        clips.read(sound) as clip,
        clips.write(
            path, clip.properties, metadata={"title": "sounding"}, chapters=(chapter,)
        ) as out,
    ):
        for track in clip.tracks:
            out.add_track(track, clip.packets(track))
        for shown in clip:
            out.write(shown)
    return path
