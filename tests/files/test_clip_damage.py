"""Clips that were cut, damaged or forged: what is whole is reached, the rest is named."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quantal
from quantal import container
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    MediaError,
    ModelError,
    TruncatedError,
)
from quantal.files import verify_clip
from tests.container.test_clip import with_index
from tests.little_video import LittleVideo

Filmed = Callable[..., list[Any]]


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
