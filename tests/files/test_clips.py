"""Clips to .qtl files and back: times, seeking, parts, sound, streams."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quantal
from quantal import clips, container
from quantal.errors import (
    ArgumentError,
    BitstreamError,
)
from quantal.files import ClipTarget, encode_clip, open_clip, part_of
from tests.files.made_clip import Made, pixels_of
from tests.little_video import LittleVideo

Filmed = Callable[..., list[Any]]


def test_frames_come_back_with_their_times(little_video: LittleVideo, filmed: Filmed) -> None:
    times = [-90, 0, 7, 8, 600, 1200, 1201]
    frames = filmed(7)
    file = io.BytesIO()
    encoded = encode_clip(Made(frames, times), little_video, file, ClipTarget(quality=90))
    with quantal.open(file.getvalue()) as clip:
        found = list(clip)
        assert [frame.time for frame in found] == times
        assert [frame.duration for frame in found] == [90, 7, 1, 592, 600, 1, 7]
        assert clip.properties.start == -90
        assert len(clip) == clip.n_frames == encoded.frames == 7
    assert encoded.bytes == len(file.getvalue())
    for frame, given in zip(found, frames, strict=True):
        assert abs(frame.pixels.astype(int) - given).max() <= 2


def test_the_decoder_draws_what_the_encoder_did(little_video: LittleVideo, filmed: Filmed) -> None:
    frames = filmed(10)
    data = quantal.compress_clip(np.stack(frames), little_video, psnr=35)
    drawn = pixels_of(open_clip(data))
    errors = [np.square(d.astype(float) - g).mean() for d, g in zip(drawn, frames, strict=True)]
    assert abs(np.mean(10 * np.log10(255**2 / np.array(errors))) - 35) < 0.3


def test_seeking_gives_exactly_what_reading_gives(coded: bytes) -> None:
    with quantal.open(coded) as clip:
        frames = pixels_of(clip)
        for number in (0, 19, 8, 7, 15, 1, 16):
            clip.seek(number)
            assert next(clip).time == number
            clip.seek_frame(number)
            assert [f.time for f in clip] == list(range(number, 20))
            clip.seek(number)
            assert np.array_equal(next(clip).pixels, frames[number])
        clip.seek(10**9)
        assert next(clip).time == 19
        clip.seek(-5)
        assert next(clip).time == 0
        with pytest.raises(ArgumentError, match="no frame 20"):
            clip.seek_frame(20)


def test_only_what_a_seek_needs_is_decoded(
    coded: bytes, little_video: LittleVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    whole = LittleVideo.decode_predicted
    monkeypatch.setattr(
        LittleVideo, "decode_predicted", lambda *given: (decoded.append(1), whole(*given))[1]
    )
    with quantal.open(coded) as clip:
        clip.seek(18)
        next(clip)
    assert len(decoded) == 2


def test_opening_loads_no_model(tmp_path: Path, coded: bytes) -> None:
    path = tmp_path / "clip.qtl"
    path.write_bytes(coded)
    unknown = coded.replace(b"tiny", b"othr", 1)
    assert quantal.open(path).n_frames == 20
    with pytest.raises(BitstreamError):  # the header has a checksum
        quantal.open(unknown)


def test_a_clip_from_a_pipe_plays_before_its_end_is_there(coded: bytes) -> None:
    receiving, sending = os.pipe()
    info = container.probe_clip(io.BytesIO(coded))
    beginning = info.groups[1].offset + 6

    def send_the_rest() -> None:
        os.write(sending, coded[beginning:])
        os.close(sending)

    with os.fdopen(receiving, "rb", buffering=0) as pipe:
        os.write(sending, coded[:beginning])
        with quantal.open(pipe) as clip:
            assert [next(clip).time for _ in range(8)] == list(range(8))
            rest = threading.Thread(
                target=lambda: (os.write(sending, coded[beginning:]), os.close(sending))
            )
            rest.start()
            assert [frame.time for frame in clip] == list(range(8, 20))
            rest.join()
            assert not clip.warnings


def test_groups_begin_where_the_scene_changes(little_video: LittleVideo, filmed: Filmed) -> None:
    data = quantal.compress_clip(filmed(20, cut=11), quality=60)
    counts = [g.count for g in container.probe_clip(io.BytesIO(data)).groups]
    assert counts == [11, 9]


def test_noise_begins_no_groups(little_video: LittleVideo) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    data = quantal.compress_clip(noise, quality=60)
    assert len(container.probe_clip(io.BytesIO(data)).groups) == 1


@pytest.mark.parametrize("kbps", [200, 400])
@pytest.mark.parametrize("known", [True, False])
def test_bit_rates_are_kept_to(
    little_video: LittleVideo, filmed: Filmed, kbps: float, known: bool
) -> None:
    frames = filmed(150, cut=70)
    data = quantal.compress_clip(frames if known else iter(frames), kbps=kbps)
    found = container.probe_clip(io.BytesIO(data)).kbps
    assert abs(found / kbps - 1) < 0.05


def test_a_rate_that_no_clip_has_is_approached_with_a_warning(
    little_video: LittleVideo, filmed: Filmed
) -> None:
    with pytest.warns(quantal.errors.QuantalWarning, match="can't be reached"):
        quantal.compress_clip(filmed(6), kbps=1)


def test_what_lies_beside_the_pictures_is_carried(
    little_video: LittleVideo, with_sound: Path, tmp_path: Path
) -> None:
    data = quantal.compress_clip(with_sound, quality=40)
    with clips.read(with_sound) as given, quantal.open(data) as clip:
        assert clip.metadata["title"] == "sounding"
        assert clip.chapters == given.chapters
        beside = [  # parameters of Matroska have a random number
            [(t.number, t.kind, t.codec, t.time_base, t.metadata) for t in each.tracks]
            for each in (given, clip)
        ]
        assert beside[0] == beside[1]
        assert clip.tracks[2].parameters == given.tracks[2].parameters
        assert list(clip.packets(clip.tracks[0])) == list(given.packets(given.tracks[0]))
        assert clip.properties.colour == given.properties.colour
    out = tmp_path / "out.mkv"
    quantal.decompress_clip(data, out)
    with clips.read(out) as copy, clips.read(with_sound) as given:
        theirs, ours = ([*c.packets(c.tracks[0])] for c in (given, copy))
        assert [p.data for p in ours] == [p.data for p in theirs]
        assert [p.time for p in ours] == [p.time for p in theirs]
        assert [f.time for f in copy] == [f.time for f in given]


def test_packets_stand_before_the_group_they_belong_to(
    little_video: LittleVideo, with_sound: Path
) -> None:
    data = quantal.compress_clip(with_sound, quality=40, intra_period=10)
    with quantal.open(data) as clip:
        second = clip._reader.find(400)
        cut = quantal.open(data[: second.offset + (second.bytes or 300)])
        sound = cut.tracks[0]
        last = [packet.time or 0 for packet in cut.packets(sound)][-1]
    assert Fraction(7, 10) < last * sound.time_base < Fraction(9, 10)
    assert any("cut" in warning for warning in cut.warnings)


def test_a_part_has_its_frames_and_its_sound(
    little_video: LittleVideo, with_sound: Path, tmp_path: Path
) -> None:
    data = quantal.compress_clip(with_sound, quality=60)
    with quantal.open(data) as clip:
        frames = pixels_of(clip)
    out = tmp_path / "part.mkv"
    quantal.decompress_clip(data, out, begin=0.5, end=Fraction(3, 2))
    with clips.read(out) as part:
        found = list(part)
        assert np.array_equal(found[0].pixels, frames[12])  # that is shown at 0.5 s
        assert np.array_equal(found[1].pixels, frames[13])
        assert [f.time * part.properties.time_base for f in found[:3]] == [
            Fraction(0),
            Fraction(20, 1000),
            Fraction(60, 1000),
        ]
        assert np.array_equal(found[-1].pixels, frames[37])
        sound = part.tracks[0]
        times = [(p.time or 0) * sound.time_base for p in part.packets(sound)]
        assert 0 <= times[0] < Fraction(1, 40)
        assert Fraction(95, 100) < times[-1] < 1
        assert part.chapters[0].start == 0
    same = quantal.compress_clip(with_sound, quality=60, begin=0.5, end=Fraction(3, 2))
    with quantal.open(same) as clip:
        assert clip.n_frames == len(found)


@pytest.mark.parametrize(("begin", "end"), [(1, 1), (2, 1), (-1, None), (9, None)])
def test_a_part_without_frames_is_refused(coded: bytes, begin: float, end: float | None) -> None:
    with quantal.open(coded) as clip, pytest.raises(ArgumentError):
        part_of(clip, Fraction(begin), None if end is None else Fraction(end))
