"""Clips to .qtl files and back: times, seeking, parts, sound, streams, damage, interruption."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
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
    CorruptError,
    MediaError,
    ModelError,
    OutputError,
    QuantalError,
    TruncatedError,
)
from quantal.files import ClipTarget, encode_clip, open_clip, part_of, verify_clip
from tests.clips.test_tracks import with_sound as made_with_sound
from tests.container.test_clip import with_index
from tests.little_video import LittleVideo

Filmed = Callable[..., list[Any]]


class Made(clips.Clip):
    """A clip of frames at given times, which may break off."""

    def __init__(
        self, frames: list[Any], times: list[int], broken: BaseException | None = None
    ) -> None:
        self._frames, self._times, self._broken, self._at = frames, times, broken, 0
        height, width = frames[0].shape[:2]
        self.properties = clips.Properties(
            width, height, Fraction(1, 600), times[0], rate=Fraction(25), frames=len(frames)
        )

    warnings = ()

    def __next__(self) -> clips.Frame:
        if self._at == len(self._frames):
            if self._broken is not None:
                raise self._broken
            raise StopIteration
        self._at += 1
        return clips.Frame(self._times[self._at - 1], self._frames[self._at - 1], 7)

    def seek(self, time: int) -> None:
        self._at = max(i for i, at in enumerate(self._times) if at <= max(time, self._times[0]))

    def packets(self, track: clips.Track) -> Iterator[clips.Packet]:
        raise AssertionError

    def close(self) -> None:
        pass


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


def pixels_of(clip: clips.Clip) -> list[Any]:
    return [frame.pixels for frame in clip]


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
    with pytest.warns(quantal.errors.QuantalWarning, match="can't be kept to"):
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


def test_a_cut_file_plays_to_its_last_whole_group(coded: bytes) -> None:
    for length, count in ((len(coded) - 1, 20), (len(coded) - 60, 16)):
        with quantal.open(coded[:length]) as clip:
            count = len(list(clip))
            assert count in (16, 20)
            assert (clip.n_frames, len(clip.warnings)) == (
                count,
                count < 20 or length < len(coded) - 8,
            )
    third = container.probe_clip(io.BytesIO(coded)).groups[2].offset
    with quantal.open(coded[: third + 100]) as clip:
        assert [frame.time for frame in clip] == list(range(16))
        assert "cut" in clip.warnings[0]
        clip.seek(12)
        assert next(clip).time == 12
    with pytest.raises(TruncatedError):
        verify_clip(coded[: third + 100])


def test_damage_is_named_and_what_is_whole_can_be_reached(coded: bytes) -> None:
    groups = container.probe_clip(io.BytesIO(coded)).groups
    damaged = bytearray(coded)
    damaged[groups[1].offset + 50] ^= 1
    with quantal.open(bytes(damaged)) as clip:
        for _ in range(8):
            next(clip)
        with pytest.raises(CorruptError, match="checksum"):
            next(clip)
        clip.seek(16)
        assert [frame.time for frame in clip] == [16, 17, 18, 19]
    with pytest.raises(CorruptError):
        verify_clip(bytes(damaged))


def test_a_wrong_index_is_not_believed(coded: bytes) -> None:
    info = container.probe_clip(io.BytesIO(coded))
    wrong = [replace(g, offset=info.groups[0].offset + n) for n, g in enumerate(info.groups)]
    forged = with_index(coded, wrong, info.end or 0)
    for number in (17, 9):
        with quantal.open(forged) as clip:
            assert clip._reader.index is not None
            clip.seek(number)
            assert next(clip).time == number
            assert any("index" in warning for warning in clip.warnings)
        with quantal.open(forged) as clip:
            clip.seek_frame(number)
            assert next(clip).time == number
    with pytest.raises(CorruptError, match="index"):
        verify_clip(forged)


def test_frames_that_only_a_wrong_index_has_are_none(coded: bytes) -> None:
    groups = list(container.probe_clip(io.BytesIO(coded)).groups)
    groups[-1] = replace(groups[-1], count=99)
    with quantal.open(with_index(coded, groups, 200)) as clip:
        assert len(clip) == 115
        with pytest.raises(ArgumentError, match="no frame 60; the clip has 20"):
            clip.seek_frame(60)
        assert next(clip).time == 0
        assert len(clip) == 20


def test_an_index_that_lacks_the_groups_is_none(coded: bytes) -> None:
    with quantal.open(with_index(coded, [], 0)) as clip:
        assert (clip.properties.duration, clip.properties.frames, len(clip)) == (None, None, 20)
        clip.seek_frame(9)
        assert next(clip).time == 9


def test_frames_before_damage_are_reached_after_it_was_met(coded: bytes) -> None:
    last = container.probe_clip(io.BytesIO(coded)).groups[-1]
    damaged = bytearray(coded)
    damaged[last.offset + (last.bytes or 0) - 6] ^= 1
    for end in (None, -9):  # with the index and without
        with quantal.open(bytes(damaged[:end])) as clip:
            for _ in range(2):
                with pytest.raises(CorruptError, match="checksum"):
                    clip.seek(last.time)
                clip.seek(2)
                assert next(clip).time == 2
            assert len(clip) == 20
            assert not clip.warnings


@pytest.mark.parametrize(("time", "duration"), [(1 << 62, 1), (-(1 << 62), 1), (0, 1 << 60)])
def test_times_that_no_file_of_video_holds_are_damage(
    coded: bytes, tmp_path: Path, time: int, duration: int
) -> None:
    reader = container.ClipReader(io.BytesIO(coded))
    frame = replace(next(reader.groups()).frames[0], duration=duration)
    file = io.BytesIO()
    writer = container.ClipWriter(file, reader.header)
    writer.group(container.Group(0, time, (frame,)))
    writer.finish()
    for call in (
        lambda: quantal.decompress_clip(file.getvalue(), tmp_path / "a.mkv"),
        lambda: verify_clip(file.getvalue()),
    ):
        with pytest.raises(CorruptError, match="within 2147483647 seconds"):
            call()


def test_verify_reads_packets_once_and_needs_their_track(
    coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = [container.Track(n, "audio", "a", Fraction(1), b"") for n in range(60)]
    file = io.BytesIO()
    reader = container.ClipReader(io.BytesIO(coded))
    writer = container.ClipWriter(file, reader.header, tracks)
    for track in tracks:
        writer.packets(track.number, [container.Packet(b"sound", 0, 0)])
    for group in reader.groups():
        writer.group(group)
    read: list[int] = []

    def counted(file: Any, offset: int) -> Any:
        read.append(offset)
        return read_head(file, offset)

    read_head = container._clip_reader.read_head
    monkeypatch.setattr(container._clip_reader, "read_head", counted)
    whole = file.getvalue()
    writer.finish()
    assert verify_clip(file.getvalue()).frames == 20
    assert len(read) < 6 * 130
    file = io.BytesIO(whole)
    file.seek(0, os.SEEK_END)
    writer._file, writer.bytes = file, len(whole)
    writer._tracks.add(99)
    writer.packets(99, [container.Packet(b"sound", 0, 0)])
    writer.finish()
    with pytest.raises(CorruptError, match="track 99"):
        verify_clip(file.getvalue())


def test_a_disk_that_fails_is_an_error_of_ours(coded: bytes) -> None:
    class Failing(io.BytesIO):
        def read(self, *count: int | None) -> bytes:
            if self.tell() > 2000:
                raise OSError(5, "Input/output error")
            return super().read(*count)

    with (
        pytest.raises(MediaError, match="Input/output error"),
        quantal.open(Failing(coded)) as clip,
    ):
        list(clip)


def test_the_longest_group_is_one_that_files_have() -> None:
    from quantal.container._clip_fields import GROUP_LIMIT
    from quantal.files.clip_encode import LONGEST_PERIOD

    assert LONGEST_PERIOD == GROUP_LIMIT


def test_the_wrong_codec_is_refused(coded: bytes, little_video: LittleVideo) -> None:
    other = LittleVideo("other-video")
    with pytest.raises(ModelError, match="little-video"):
        next(quantal.open(coded, codec=other))
    little_video.model_hash = b"else"
    with pytest.raises(ModelError, match="74696e79"):
        next(quantal.open(coded))
    with pytest.raises(ArgumentError, match="codes pictures"):
        quantal.compress_clip(np.zeros((1, 8, 8, 3), np.uint8), "hyperprior")


def test_verify_parses_every_symbol(coded: bytes, little_video: LittleVideo) -> None:
    assert verify_clip(coded).frames == 20
    file = io.BytesIO()
    writer = container.ClipWriter(file, container.ClipReader(io.BytesIO(coded)).header)
    writer.group(container.Group(0, 0, (container.CodedFrame(100, 1, b"nothing"),)))
    writer.finish()
    assert verify_clip(file.getvalue(), deep=False).frames == 1
    with pytest.raises(BitstreamError):
        verify_clip(file.getvalue())
    with pytest.raises(BitstreamError):
        next(quantal.open(file.getvalue()))


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
        (3, "no clip"),
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
