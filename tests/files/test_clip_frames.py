"""Frames and targets that callers give, parts in step, and work that is interrupted anywhere."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quantal
from quantal import clips, container
from quantal.container import ClipWriter
from quantal.errors import ArgumentError, MediaError, OutputError, QuantalError
from quantal.files import ClipTarget, encode_clip, part_of, verify_clip
from tests.files.made_clip import Made
from tests.little_video import LittleVideo

Filmed = Callable[..., list[Any]]


class Sounding(Made):
    """The same with 5 seconds of packets, one every 10 ms."""

    tracks = (clips.Track(1, "audio", "aac", Fraction(1, 1000), b""),)
    chapters = (clips.Chapter(Fraction(1), Fraction(3), {"title": "middle"}),)

    def __init__(self, *given: Any, tick: Fraction = Fraction(1, 600)) -> None:
        super().__init__(*given)
        start = self.properties.start
        self.properties = clips.Properties(64, 48, tick, start, rate=Fraction(25))

    def packets(self, track: clips.Track) -> Iterator[clips.Packet]:
        return iter([clips.Packet(b"x", 10 * n, 10 * n, 10) for n in range(500)])


def test_a_frame_may_be_filled_again(little_video: LittleVideo, filmed: Filmed) -> None:
    frames = filmed(9)

    def camera() -> Iterator[Any]:
        held = np.empty_like(frames[0])
        for each in frames:
            held[:] = each
            yield held

    with quantal.open(quantal.compress_clip(camera(), quality=100)) as clip:
        for found, given in zip(clip, frames, strict=True):
            assert np.array_equal(found.pixels, given)


@pytest.mark.parametrize("rate", [0, -5, float("nan"), "25"])
def test_a_rate_that_is_none_is_refused(
    little_video: LittleVideo, filmed: Filmed, rate: Any
) -> None:
    with pytest.raises(ArgumentError, match="rate"):
        quantal.compress_clip(filmed(2), rate=rate)


def test_a_rate_is_what_is_written_of_it(little_video: LittleVideo, filmed: Filmed) -> None:
    for rate, expected in ((29.97, Fraction(2997, 100)), (Fraction(30000, 1001), None)):
        with quantal.open(quantal.compress_clip(filmed(2), rate=rate)) as clip:
            assert clip.properties.rate == (expected or rate)


def test_a_part_behind_the_last_frame_is_refused(little_video: LittleVideo, filmed: Filmed) -> None:
    frames = filmed(5)
    for given in (frames, iter(frames)):
        with pytest.raises(ArgumentError, match="the part begins"):
            quantal.compress_clip(given, begin=100)
    with quantal.open(quantal.compress_clip(iter(frames), begin=0.15)) as clip:
        assert len(list(clip)) == 2


@pytest.mark.parametrize(
    "target", [{"kbps": 1e306}, {"bpp": 1e308}, {"psnr": 1e308}, {"kbps": 5e-324}]
)
def test_targets_that_no_clip_comes_near_are_refused(target: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match="1e-06 to 1e\\+09"):
        ClipTarget(**target)  # type: ignore[arg-type]


def test_errors_of_the_frames_are_no_errors_of_the_file(
    little_video: LittleVideo, filmed: Filmed, tmp_path: Path
) -> None:
    def camera() -> Iterator[Any]:
        yield from filmed(6)
        raise ValueError("unplugged")

    with pytest.raises(ValueError, match=r"^unplugged$"):
        quantal.write_clip(tmp_path / "clip.qtl", camera())
    assert not list(tmp_path.iterdir())


def test_sound_ends_where_the_pictures_break_off(little_video: LittleVideo, filmed: Filmed) -> None:
    clip = Sounding(filmed(12, 48, 64), [24 * n for n in range(12)], MediaError("size changes"))
    file = io.BytesIO()
    assert encode_clip(clip, little_video, file).failure is not None
    times = [packet.time for packet in container.ClipReader(file).packets(1)]
    assert times == list(range(0, 451, 10))  # the last frame ends at 451.7 ms


def test_all_of_a_part_moves_by_whole_ticks(filmed: Filmed) -> None:
    """Frames have times in ticks, so what lies beside them moves as they do."""
    clip = Sounding(filmed(20, 48, 64), list(range(20)), tick=Fraction(1, 5))
    part = part_of(clip, Fraction(39, 100), Fraction(2))
    assert [next(part).time for _ in range(3)] == [0, 1, 2]  # the frame at 0.2 s is shown at 0.39
    times = [packet.time for packet in part.packets(clip.tracks[0])]
    assert (times[0], times[-1]) == (390 - 200, 1990 - 200)
    assert [(c.start, c.end) for c in part.chapters] == [(Fraction(4, 5), Fraction(9, 5))]


class Stopped(io.BytesIO):
    """A file or a pipe whose write number `at` is interrupted in its middle."""

    def __init__(self, at: int, seekable: bool) -> None:
        super().__init__()
        self._left, self._seekable = at, seekable

    def seekable(self) -> bool:
        return self._seekable

    def write(self, data: Any) -> int:
        self._left -= 1
        if self._left == 0:
            super().write(data[: len(data) // 2])
            raise KeyboardInterrupt
        return super().write(data)


@pytest.mark.parametrize("seekable", [True, False])
def test_an_interrupted_write_leaves_what_was_whole(
    little_video: LittleVideo, filmed: Filmed, seekable: bool
) -> None:
    file = Stopped(4, seekable)  # the header and two groups are whole
    encoded = encode_clip(Made(filmed(20), list(range(20))), little_video, file, intra_period=4)
    assert isinstance(encoded.interrupt, KeyboardInterrupt) and encoded.frames == 8
    if seekable:
        assert verify_clip(file.getvalue()).frames == 8
    with quantal.open(file.getvalue()) as clip:
        assert len(list(clip)) == 8
        assert any("cut" in warning for warning in clip.warnings) == (not seekable)


@pytest.mark.parametrize("done", ["_chunk", "_settle"])
def test_an_interrupt_between_writing_and_counting_is_no_damage(
    little_video: LittleVideo, filmed: Filmed, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    """Ctrl-C may come between any two steps of the writer."""
    real, calls = getattr(ClipWriter, done), []

    def interrupted(writer: ClipWriter, *given: Any) -> None:
        calls.append(given)
        if len(calls) == 3:
            if done == "_chunk":
                real(writer, *given)
            raise KeyboardInterrupt
        real(writer, *given)

    monkeypatch.setattr(ClipWriter, done, interrupted)
    file = io.BytesIO()
    encoded = encode_clip(Made(filmed(20), list(range(20))), little_video, file, intra_period=4)
    assert encoded.interrupt is not None and encoded.frames % 4 == 0
    assert verify_clip(file.getvalue()).frames == encoded.frames


def test_frames_that_stand_alone_have_the_rate_that_was_asked_for(
    little_video: LittleVideo, filmed: Filmed
) -> None:
    """What nothing is predicted from is raised by nothing."""
    for frames, period in ((filmed(4), 1), (filmed(1), 48)):
        file = io.BytesIO(quantal.compress_clip(frames, quality=50, intra_period=period))
        rates = {
            frame.rate for group in container.ClipReader(file).groups() for frame in group.frames
        }
        assert rates == {little_video.rate_of(50)}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_pipe_named_by_its_path_is_closed(
    little_video: LittleVideo, filmed: Filmed, tmp_path: Path
) -> None:
    data = quantal.compress_clip(filmed(3))
    os.mkfifo(tmp_path / "pipe")
    before = set(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(1) as pool:
        pool.submit((tmp_path / "pipe").write_bytes, data)
        with quantal.open(tmp_path / "pipe") as clip:
            assert len(list(clip)) == 3
    assert set(os.listdir("/proc/self/fd")) <= before


def test_what_could_be_read_of_a_broken_clip_is_kept(
    little_video: LittleVideo, filmed: Filmed, tmp_path: Path
) -> None:
    broken = Made(filmed(9), list(range(9)), MediaError("its size changes"))
    with pytest.raises(MediaError, match="size changes"):
        quantal.write_clip(tmp_path / "clip.qtl", broken)
    assert quantal.open(tmp_path / "clip.qtl").n_frames == 9
    assert verify_clip(tmp_path / "clip.qtl")


def test_an_interrupt_leaves_a_whole_file(
    little_video: LittleVideo, filmed: Filmed, tmp_path: Path
) -> None:
    def interrupt(progress: Any) -> None:
        if progress.frames == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantal.write_clip(tmp_path / "clip.qtl", filmed(20), intra_period=4, progress=interrupt)
    assert verify_clip(tmp_path / "clip.qtl").frames == 11
    assert not list(tmp_path.glob(".*"))


def test_an_interrupt_before_the_first_frame_leaves_nothing(
    little_video: LittleVideo, filmed: Filmed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LittleVideo, "group", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quantal.write_clip(tmp_path / "clip.qtl", filmed(5))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named_and_leaves_nothing(little_video: LittleVideo, filmed: Filmed) -> None:
    with pytest.raises(OutputError, match="No space left"):
        quantal.write_clip("/dev/full", filmed(9))


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([], "no frame"),
        (np.zeros((2, 8, 8), np.uint8), "expected uint8"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)], r"\[8, 8, 3\]"),
        (3, "not a clip"),
    ],
)
def test_what_is_no_clip_is_an_error(little_video: LittleVideo, frames: Any, why: str) -> None:
    with pytest.raises(QuantalError, match=why):
        quantal.compress_clip(frames)


def test_one_frame_is_a_clip(little_video: LittleVideo, filmed: Filmed) -> None:
    for target in ({"quality": 30}, {"psnr": 30.0}, {}):
        data = quantal.compress_clip(filmed(1), **target)  # type: ignore[arg-type]
        with quantal.open(data) as clip:
            assert len(list(clip)) == 1
            clip.seek(0)
            assert len(list(clip)) == 1


def test_only_one_target_can_be_given() -> None:
    with pytest.raises(ArgumentError, match="kbps and psnr"):
        ClipTarget(kbps=3, psnr=30)
    with pytest.raises(ArgumentError):
        ClipTarget(quality=0)
