"""Clips, decoded under every condition that changes floating-point results: one outcome.

A file of its own, so that it runs beside that of pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import quantal

sys.path.insert(0, str(Path(__file__).parent))

from frames import moving
from symbols import clip_digest
from test_exactness import CONDITIONS, SHIPPED_VIDEO, found_under

#: Frames of one group: those of `video-s` are a long chain, in which any error would grow.
CHAIN, SHORT_CHAIN = 48, 12


@pytest.fixture(scope="module")
def coded_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of every codec of video."""
    folder, found = tmp_path_factory.mktemp("clips"), {}
    for name in SHIPPED_VIDEO:
        frames = moving(CHAIN if name == "video-s" else SHORT_CHAIN)
        found[name] = folder / f"{name}.qtl"
        found[name].write_bytes(quantal.compress_clip(frames, name, intra_period=CHAIN))
    return found


@pytest.fixture(scope="module")
def of_clips(coded_clips: dict[str, Path]) -> dict[str, str]:
    return {name: clip_digest(path.read_bytes()) for name, path in coded_clips.items()}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_symbols_of_clips_are_the_same(condition, coded_clips, of_clips) -> None:
    assert found_under(condition, coded_clips) == of_clips
