"""Pillow shows the clips of .qtl files frame by frame."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

import quantal
import quantal.pillow
from quantal import container
from quantal.errors import CorruptError, QuantalWarning, TruncatedError
from tests.container.test_clip import with_index
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


def test_an_index_that_lies_is_looked_through(coded: bytes) -> None:
    with quantal.open(coded) as clip:
        frames = [frame.pixels for frame in clip]
    groups = list(container.probe_clip(io.BytesIO(coded)).groups)
    for wrong in (
        [replace(groups[0], count=3), *groups[1:]],
        [replace(each, offset=each.offset + 1) for each in groups],
        [*groups[:-1], replace(groups[-1], count=90)],
    ):
        with Image.open(io.BytesIO(with_index(coded, wrong, 200))) as image:
            image.seek(6)
            assert image.info["duration"] == 50
            with pytest.raises(EOFError, match="there is no frame 60"):
                image.seek(60)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", QuantalWarning)
                assert np.array_equal(np.asarray(image), frames[6])


def test_a_clip_without_frames_is_no_image(coded: bytes) -> None:
    file = io.BytesIO()
    container.ClipWriter(file, container.ClipReader(io.BytesIO(coded)).header).finish()
    with pytest.raises(TruncatedError, match="no frames"):
        Image.open(file)


def test_after_damage_the_frame_before_is_still_there(coded: bytes) -> None:
    with quantal.open(coded) as clip:
        frames = [frame.pixels for frame in clip]
    last = container.probe_clip(io.BytesIO(coded)).groups[-1]
    damaged = bytearray(coded)
    damaged[last.offset + (last.bytes or 0) - 6] ^= 1
    with Image.open(io.BytesIO(damaged)) as image:
        image.seek(4)
        image.load()
        with pytest.raises(CorruptError):
            image.seek(11)
        assert image.tell() == 4
        for number in (4, 5):
            image.seek(number)
            assert np.array_equal(np.asarray(image), frames[number])


def test_a_frame_is_sought_after_one_could_not_be_decoded(
    coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with quantal.open(coded) as clip:
        frames = [frame.pixels for frame in clip]
    with Image.open(io.BytesIO(coded)) as image:
        image.seek(4)
        image.load()
        image.seek(11)
        with monkeypatch.context() as broken:
            broken.setattr(LittleVideo, "decode_intra", lambda *_: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                image.load()
        image.seek(5)
        assert np.array_equal(np.asarray(image), frames[5])


def test_tags_have_no_meaning_of_pillow(coded: bytes) -> None:
    reader = container.ClipReader(io.BytesIO(coded))
    tags = {"transparency": "x", "exif": "x", "icc_profile": "x", "title": "film"}
    file = io.BytesIO()
    writer = container.ClipWriter(file, reader.header, about=container.About(tags))
    for group in reader.groups():
        writer.group(group)
    writer.finish()
    with Image.open(file) as image:
        assert image.info["metadata"] == tags
        assert not image.getexif()
        image.convert("RGBA").save(io.BytesIO(), "PNG")
