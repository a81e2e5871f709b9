"""Clips are written whole or not at all, with exact times, and read back as they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quantal import clips
from quantal.clips import Chapter, Clip, Colour, Frame, Pixels, Properties
from quantal.errors import ArgumentError, OutputError

TIMES = [0, 40, 73, 120, 480, 481, 700]
TICK = Fraction(1, 1000)


def save(
    path: Path,
    pictures: Sequence[Pixels],
    times: Sequence[int] | None = None,
    properties: Properties | None = None,
    duration: int | None = None,
    **options: Any,
) -> tuple[str, ...]:
    """Write a clip and return what the writer notes."""
    height, width = pictures[0].shape[:2]
    given = properties or Properties(width, height, TICK)
    with clips.write(path, given, **options) as writer:
        for at, pixels in zip(times or range(0, 40 * len(pictures), 40), pictures, strict=True):
            writer.write(Frame(at, pixels, duration))
    return writer.warnings


def seconds(clip: Clip) -> list[Fraction]:
    return [frame.time * clip.properties.time_base for frame in clip]


def test_mkv_is_lossless_with_the_same_times(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    pictures = moving(7, 61, 37)
    assert save(tmp_path / "a.mkv", pictures, TIMES) == ()
    with clips.read(tmp_path / "a.mkv") as clip:
        frames = list(clip)
        assert [f.time * clip.properties.time_base for f in frames] == [t * TICK for t in TIMES]
    assert np.array_equal([frame.pixels for frame in frames], pictures)


@pytest.mark.parametrize(("base", "factor"), [(TICK, 1), (Fraction(1, 30000), 1001)])
def test_mp4_keeps_uneven_times_to_the_tick(
    tmp_path: Path, moving: Callable[..., list[Pixels]], base: Fraction, factor: int
) -> None:
    pictures, times = moving(7), [factor * t for t in TIMES]
    given = Properties(96, 64, base)
    assert save(tmp_path / "a.mp4", pictures, times, given, 40 * factor) == ()
    with clips.read(tmp_path / "a.mp4") as clip:
        frames = list(clip)
        assert [f.time * clip.properties.time_base for f in frames] == [t * base for t in times]
        ends = [(f.time + (f.duration or 0)) * clip.properties.time_base for f in frames]
        assert ends[:-1] == [t * base for t in times[1:]] and ends[-1] > times[-1] * base
        assert clip.warnings == ()
    for frame, pixels in zip(frames, pictures, strict=True):
        assert np.abs(frame.pixels.astype(int) - pixels).mean() < 4


def test_options_reach_the_encoder(tmp_path: Path, moving: Callable[..., list[Pixels]]) -> None:
    pictures = moving(5)
    sizes = []
    for crf in ("12", "40"):
        save(tmp_path / "a.mp4", pictures, options={"crf": crf, "preset": "fast"})
        sizes.append((tmp_path / "a.mp4").stat().st_size)
    save(tmp_path / "b.mp4", pictures)
    assert sizes[0] > 2 * sizes[1]
    assert (tmp_path / "b.mp4").stat().st_size > 2 * sizes[1]
    save(tmp_path / "c.mp4", pictures, options={"pix_fmt": "yuv444p", "qp": "0"})
    with clips.read(tmp_path / "c.mp4") as clip:
        assert clip.properties.subsampling == "4:4:4"
        assert np.abs(next(clip).pixels.astype(int) - pictures[0]).max() <= 3


def test_y4m_is_read_back_evenly(tmp_path: Path, moving: Callable[..., list[Pixels]]) -> None:
    rate = Fraction(30000, 1001)
    given = Properties(61, 37, 1 / rate, rate=rate)
    pictures = moving(5, 61, 37)
    notes = save(tmp_path / "a.y4m", pictures, range(5), given, options={"pix_fmt": "yuv444p"})
    assert notes == ()
    with clips.read(tmp_path / "a.y4m") as clip:
        frames = list(clip)
        assert clip.properties.rate == rate and [frame.time for frame in frames] == [*range(5)]
    for frame, pixels in zip(frames, pictures, strict=True):
        assert np.abs(frame.pixels.astype(int) - pixels).max() <= 3
    notes = save(tmp_path / "b.y4m", moving(7), TIMES)
    assert any("no times" in note for note in notes)


def test_a_folder_has_numbered_pictures(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    pictures = moving(3)
    assert save(tmp_path / "a", pictures, options={"compress_level": "1"}) == ()
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["000000.png", "000001.png", "000002.png"]
    for name, pixels in zip(names, pictures, strict=True):
        with Image.open(tmp_path / "a" / name) as image:
            assert np.array_equal(np.asarray(image), pixels)
    with pytest.raises(OutputError, match="not empty"):
        save(tmp_path / "a", pictures)
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty", pictures)
    assert len(list((tmp_path / "empty").iterdir())) == 3


@pytest.mark.parametrize(
    ("given", "coded"),
    [
        (Colour(1, 1, 1, False), Colour(1, 1, 1, False)),
        (Colour(6, 6, 6, True), Colour(6, 6, 6, True)),
        (Colour(9, 9, 18, None), Colour(9, 9, 18, False)),
        (Colour(0, 1, 13, True), Colour(1, 1, 13, False)),  # RGB, which is coded as BT.709
        (Colour(2, 9, 16), Colour(9, 9, 16, False)),
    ],
)
def test_colours_are_tagged_and_converted_accordingly(
    tmp_path: Path, moving: Callable[..., list[Pixels]], given: Colour, coded: Colour
) -> None:
    pictures = moving(1)
    properties = Properties(96, 64, TICK, colour=given)
    options = {"pix_fmt": "yuv444p", "qp": "0"}
    save(tmp_path / "a.mp4", pictures, properties=properties, options=options)
    with clips.read(tmp_path / "a.mp4") as clip:
        assert clip.properties.colour == coded
        assert np.abs(next(clip).pixels.astype(int) - pictures[0]).max() <= 3
    save(tmp_path / "a.mkv", pictures, properties=properties)
    with clips.read(tmp_path / "a.mkv") as clip:
        assert clip.properties.colour == Colour(0, coded.primaries, coded.transfer, True)


def test_aspect_metadata_and_chapters_are_written(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    chapters = (
        Chapter(Fraction(0), Fraction(1, 10), {"title": "one"}),
        Chapter(Fraction(1, 10), Fraction(3, 10), {"title": "zwölf"}),
    )
    given = Properties(96, 64, TICK, sample_aspect=Fraction(4, 3))
    for name, kept in (("a.mp4", True), ("a.mkv", False)):
        notes = save(
            tmp_path / name,
            moving(8),
            properties=given,
            metadata={"title": "Cat"},
            chapters=chapters,
        )
        assert any("aspect" in note for note in notes) != kept
        with clips.read(tmp_path / name) as clip:
            assert clip.chapters == chapters
            assert {key.lower(): text for key, text in clip.metadata.items()} == {"title": "Cat"}
            assert clip.properties.sample_aspect == (Fraction(4, 3) if kept else 1)
            assert clip.warnings == ()
    notes = save(tmp_path / "a.y4m", moving(8), chapters=chapters)
    assert any("chapters" in note for note in notes)


def test_odd_sides_are_padded_where_h264_needs_it(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    pictures = moving(2, 61, 37)
    notes = save(tmp_path / "a.mp4", pictures, options={"crf": "1"})
    assert any("62x38" in note for note in notes)
    with clips.read(tmp_path / "a.mp4") as clip:
        found = next(clip).pixels
    assert found.shape == (38, 62, 3)
    assert np.abs(found[:37, :61].astype(int) - pictures[0]).mean() < 4
    assert save(tmp_path / "b.mp4", pictures, options={"pix_fmt": "yuv444p"}) == ()
    with clips.read(tmp_path / "b.mp4") as clip:
        assert next(clip).pixels.shape == (37, 61, 3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_start_before_zero_is_moved(
    name: str, tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    times = [40 * i - 205 for i in range(9)]
    given = Properties(96, 64, TICK, start=-205)
    notes = save(tmp_path / name, moving(9), times, given)
    assert any("0.205 s" in note for note in notes)
    with clips.read(tmp_path / name) as clip:
        assert seconds(clip) == [40 * i * TICK for i in range(9)]
    with pytest.raises(ArgumentError, match="start"):
        save(tmp_path / "b.mp4", moving(1), [-206], given)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_late_start_is_kept(
    name: str, tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    times = [40 * i + 5005 for i in range(9)]
    save(tmp_path / name, moving(9), times)
    with clips.read(tmp_path / name) as clip:
        assert seconds(clip) == [t * TICK for t in times]
        assert clip.warnings == ()


def test_times_that_matroska_can_not_hold_are_named(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    given = Properties(96, 64, Fraction(1001, 30000))
    assert any("milliseconds" in n for n in save(tmp_path / "a.mkv", moving(4), range(4), given))
    with clips.read(tmp_path / "a.mkv") as clip:
        for found, number in zip(seconds(clip), range(4), strict=True):
            assert abs(found - number * given.time_base) <= TICK / 2


def test_every_frame_is_kept_whatever_rate_is_announced(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    for rate in (None, Fraction(1, 10**6), Fraction(24000, 1001), Fraction(10**6)):
        given = Properties(96, 64, TICK, rate=rate)
        save(tmp_path / "a.mp4", moving(7), [*TIMES[:-1], 9000], given)
        with clips.read(tmp_path / "a.mp4") as clip:
            assert seconds(clip) == [t * TICK for t in [*TIMES[:-1], 9000]]


def test_frames_are_taken_over_when_written(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    buffer = np.empty((64, 96, 3), np.uint8)
    with clips.write(tmp_path / "a.mkv", Properties(96, 64, TICK)) as writer:
        for number, pixels in enumerate(moving(5)):
            buffer[:] = pixels
            writer.write(Frame(number, buffer))
    with clips.read(tmp_path / "a.mkv") as clip:
        assert np.array_equal([frame.pixels for frame in clip], moving(5))
