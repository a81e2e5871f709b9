"""Clips of cameras and phones, where the folder of shared data is at hand."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from quantal import clips

CLIPS = Path(__file__).parents[3] / "shared" / "data" / "video"


@pytest.mark.skipif(not CLIPS.is_dir(), reason="no shared data")
def test_real_clips_are_read_and_written(tmp_path: Path) -> None:
    for path in sorted(CLIPS.iterdir()):
        if path.suffix not in (".mp4", ".mkv"):
            continue
        target = tmp_path / "a.mkv"
        with clips.read(path) as clip, clips.write(target, clip.properties) as writer:
            for track in clip.tracks:
                assert writer.add_track(track, clip.packets(track)) is not None
            before = []
            for frame in clip:
                writer.write(frame)
                before.append((frame.time * clip.properties.time_base, frame.pixels))
            sound = [[p.data for p in clip.packets(track)] for track in clip.tracks]
            turned = any("turned" in note for note in clip.warnings)
            assert turned == ("rotated" in path.name)
        with clips.read(target) as clip:
            for (time, pixels), frame in zip(before, clip, strict=True):
                assert abs(frame.time * clip.properties.time_base - time) <= Fraction(1, 1000)
                assert np.array_equal(frame.pixels, pixels)
            assert [[p.data for p in clip.packets(track)] for track in clip.tracks] == sound
