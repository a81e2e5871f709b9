"""Pillow shows the clips of .qtl files frame by frame."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

import quantal
import quantal.pillow
from quantal.errors import CorruptError, TruncatedError
from tests.little_video import LittleVideo


@pytest.fixture
def coded(little_video: LittleVideo, filmed: Callable[..., list[Any]]) -> bytes:
    return quantal.compress_clip(filmed(12), intra_period=5, rate=20)


def test_frames_are_reached_by_number(coded: bytes) -> None:
    with quantal.open(coded) as clip:
        frames = [frame.pixels for frame in clip]
    with Image.open(io.BytesIO(coded)) as image:
        assert (image.n_frames, image.is_animated, image.tell()) == (12, True, 0)
        assert (image.size, image.mode, image.info["duration"]) == ((96, 64), "RGB", 50)
        for number in (0, 1, 11, 4, 5):
            image.seek(number)
            assert image.tell() == number
            assert np.array_equal(np.asarray(image), frames[number])
        for number in (12, -1):
            with pytest.raises(EOFError):
                image.seek(number)
        shown = [np.asarray(frame) for frame in ImageSequence.Iterator(image)]
    assert all(map(np.array_equal, shown, frames))


def test_a_clip_opens_without_torch(coded: bytes) -> None:
    code = (
        "import io, sys, quantal.pillow; from PIL import Image;"
        "image = Image.open(io.BytesIO(sys.stdin.buffer.read())); image.seek(7);"
        "print(image.n_frames, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=coded, capture_output=True, check=True
    )
    assert done.stdout.split() == [b"12", b"False"]


def test_damage_is_an_error_of_files(coded: bytes) -> None:
    with Image.open(io.BytesIO(coded)) as image:
        image.verify()
    damaged = bytearray(coded)
    damaged[len(coded) // 2] ^= 1
    with pytest.raises(CorruptError), Image.open(io.BytesIO(damaged)) as image:
        image.verify()
    with pytest.raises(TruncatedError), Image.open(io.BytesIO(coded[:-9])) as image:
        image.verify()
