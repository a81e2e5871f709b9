"""Clips are written whole or not at all, with exact times, and read back as they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
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


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_what_no_file_can_hold_is_refused_or_named(
    name: str, tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    for times in ((0, 2**42), (2**62, 2**62 + 1), (2**70, 2**71)):
        with pytest.raises(ArgumentError, match="beyond"):
            save(tmp_path / name, moving(2), times)
    with pytest.raises(ArgumentError, match="beyond"):
        save(tmp_path / name, moving(1), properties=Properties(96, 64, TICK, start=-(2**70)))
    chapters = (
        Chapter(Fraction(5), Fraction(1)),
        Chapter(Fraction(0), Fraction(1, 25), {"title": "\ud800"}),
        Chapter(Fraction(10**30), Fraction(10**31)),
    )
    tags = {"title": "caf\udce9", "comment": "a\0b"}
    colour = Colour(-1, 10**12, -5)
    notes = save(
        tmp_path / name,
        moving(2),
        properties=Properties(96, 64, TICK, colour=colour),
        metadata=tags,
        chapters=chapters,
    )
    assert notes == ("chapters at impossible times were left out",)
    with clips.read(tmp_path / name) as clip:
        found = {key.lower(): text for key, text in clip.metadata.items()}
        assert found == {"title": "caf?", "comment": "a b"}
        assert [chapter.metadata.get("title") for chapter in clip.chapters] == ["?"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_pause_that_mp4_can_not_count_is_refused(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    with pytest.raises(OutputError, match="is shown for"):
        save(tmp_path / "a.mp4", moving(2), [0, 10**9])
    save(tmp_path / "a.mkv", moving(2), [0, 10**9])
    with clips.read(tmp_path / "a.mkv") as clip:
        assert seconds(clip) == [0, 10**6]


class Boom(Exception):
    pass


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.y4m", "a"])
@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
def test_nothing_is_left_of_a_clip_that_was_not_finished(
    name: str, error: type[BaseException], tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    if "." in name:
        (tmp_path / name).write_text("what was there before")
    before = sorted(tmp_path.iterdir())
    with (
        pytest.raises(error),
        clips.write(tmp_path / name, Properties(96, 64, TICK)) as writer,
    ):
        for number, pixels in enumerate(moving(60)):
            writer.write(Frame(number, pixels))
        raise error
    assert sorted(tmp_path.iterdir()) == before
    if "." in name:
        assert (tmp_path / name).read_text() == "what was there before"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.y4m", "a"])
def test_a_clip_without_frames_is_not_written(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="without frames"),
        clips.write(tmp_path / name, Properties(96, 64, TICK)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import sys, numpy as np
from fractions import Fraction
from quantal import clips
noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
with clips.write(sys.argv[1], clips.Properties(256, 256, Fraction(1, 25))) as writer:
    for number in range(int(sys.argv[2])):
        writer.write(clips.Frame(number, np.roll(noise, number, 0)))
        if number == 40:
            print("begun", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a"])
def test_control_c_leaves_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / name), "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert b"KeyboardInterrupt" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.y4m"])
def test_a_full_disk_is_an_error_of_ours(name: str, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))\n"
    command = [sys.executable, "-c", limit + SCRIPT, str(tmp_path / name), "60"]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert b"quantal.errors.OutputError" in done.stderr
    assert name.encode() in done.stderr and b".partial" not in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_wrong_frames_are_refused(tmp_path: Path, moving: Callable[..., list[Pixels]]) -> None:
    good = moving(1)[0]
    for wrong in (
        Frame(0, good[:32]),
        Frame(0, good.astype(np.float32)),  # type: ignore[arg-type]
        Frame(0, None),  # type: ignore[arg-type]
        Frame(0.5, good),  # type: ignore[arg-type]
        None,
    ):
        with (
            pytest.raises(ArgumentError),
            clips.write(tmp_path / "a.mkv", Properties(96, 64, TICK)) as writer,
        ):
            writer.write(wrong)  # type: ignore[arg-type]
    with (
        pytest.raises(ArgumentError, match="later"),
        clips.write(tmp_path / "a.mkv", Properties(96, 64, TICK)) as writer,
    ):
        writer.write(Frame(5, good))
        writer.write(Frame(5, good))


def test_wrong_arguments_are_refused(
    tmp_path: Path, moving: Callable[..., list[Pixels]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (
        {"format": "wmv"},
        {"options": {"pix_fmt": "nonsense"}},
        {"options": {"nonsense": "1"}},
    ):
        with pytest.raises(ArgumentError):
            save(tmp_path / "a.mp4", moving(1), **wrong)
    with pytest.raises(ArgumentError):
        save(tmp_path / "a.wmv", moving(1))
    with pytest.raises(ArgumentError, match="compress_level"):
        save(tmp_path / "a", moving(1), options={"crf": "3"})
    with pytest.raises(OutputError, match="can't be written"):
        save(tmp_path / "a.mp4", moving(1), options={"preset": "nonsense"})
    with pytest.raises(OutputError, match="missing"):
        save(tmp_path / "missing" / "a.mp4", moving(1))
    with pytest.raises(ArgumentError, match="time_base"):
        Properties(96, 64, Fraction(0))

    def lacking(name: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr("quantal.clips._encoders.av.Codec", lacking)
    with pytest.raises(OutputError, match="no encoder libx264"):
        save(tmp_path / "a.mp4", moving(1))
    assert list(tmp_path.iterdir()) == []
