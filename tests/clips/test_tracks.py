"""Sound, subtitles and attachments are carried as they are, in step with the pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from quantal import clips
from quantal.clips import Frame, Packet, Pixels, Properties, Track
from quantal.errors import ArgumentError

RATE = 48000
FONT = bytes(range(256)) * 40


def tone(seconds: float) -> list[Any]:
    """Return audio frames: silence, but for a beep in every tenth of a second."""
    t = np.arange(int(RATE * seconds)) / RATE
    sound = (0.4 * np.sin(2 * np.pi * 880 * t) * (t % 0.1 < 0.02)).astype(np.float32)
    frames = []
    for at in range(0, len(sound) - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(sound[None, at : at + 1024], "fltp", "mono")
        frame.pts, frame.sample_rate, frame.time_base = at, RATE, Fraction(1, RATE)
        frames.append(frame)
    return frames


def with_sound(
    pictures: list[Pixels],
    container: str,
    codec: str,
    begin: int = 0,
    subtitles: str | None = None,
    font: bool = False,
) -> bytes:
    """Return a clip of 25 frames per second with sound.

    Args:
        pictures: Its frames.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the encoder of sound.
        begin: Frames after which both begin.
        subtitles: FFmpeg's name of the codec of subtitles.
        font: Whether to attach a file.
    """
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        video: Any = output.add_stream("libx264", rate=25)
        video.height, video.width = pictures[0].shape[:2]
        video.codec_context.time_base = Fraction(1, 25)
        audio: Any = output.add_stream(codec, rate=RATE, layout="mono")
        audio.metadata["language"] = "deu"
        text: Any = None
        if subtitles:
            text = output.add_mux_stream(subtitles)
            text.time_base = Fraction(1, 1000)
            text.metadata["language"] = "eng"
        if font:
            output.add_attachment("a.ttf", "font/ttf", FONT)
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number + begin, Fraction(1, 25)
            output.mux(video.encode(frame))
        for sound in tone(len(pictures) / 25):
            sound.pts += begin * RATE // 25
            output.mux(audio.encode(sound))
        output.mux(audio.encode(None))
        output.mux(video.encode(None))
        for number in range(3) if subtitles else ():
            packet: Any = av.Packet(f"line {number}".encode())
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = 40 * begin + 100 * number
            packet.duration = 80
            output.mux(packet)
    return file.getvalue()


def copy(source: Any, path: Path) -> tuple[str, ...]:
    """Write a clip with its tracks again and return what the writer notes."""
    with clips.read(source) as clip, clips.write(path, clip.properties) as writer:
        for track in clip.tracks:
            writer.add_track(track, clip.packets(track))
        for frame in clip:
            writer.write(frame)
    return writer.warnings


def beeps(source: Any) -> np.ndarray[Any, Any]:
    """Return when beeps begin after the first picture, in seconds."""
    with av.open(str(source) if isinstance(source, Path) else io.BytesIO(source)) as container:
        picture = next(container.decode(video=0))
        shown = float(picture.pts * picture.time_base)
    with av.open(str(source) if isinstance(source, Path) else io.BytesIO(source)) as container:
        frames = list(container.decode(audio=0))
    begin = float(frames[0].pts * frames[0].time_base)  # type: ignore[operator]
    sound = np.concatenate([frame.to_ndarray()[0].astype(float) for frame in frames])
    # How loud each millisecond is.
    loud = np.abs(sound[: len(sound) // 48 * 48]).reshape(-1, 48).max(1) > 0.3 * sound.max()
    rises = [i for i in range(1, len(loud)) if loud[i] and not loud[max(i - 40, 0) : i].any()]
    return begin - shown + np.asarray(rises) / 1000


@pytest.mark.parametrize("begin", [0, 60])
@pytest.mark.parametrize("target", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "aac"),
        ("matroska", "aac"),
        ("matroska", "libopus"),
        ("matroska", "flac"),
        ("mpegts", "ac3"),
        ("mov", "alac"),
        ("matroska", "ac3"),
    ],
)
def test_sound_is_carried_in_step(
    container: str,
    codec: str,
    target: str,
    begin: int,
    tmp_path: Path,
    moving: Callable[..., list[Pixels]],
) -> None:
    source = with_sound(moving(20), container, codec, begin)
    assert not any("left out" in note for note in copy(source, tmp_path / target))
    before, after = clips.read(source), clips.read(tmp_path / target)
    with before, after:
        old, new = before.tracks[0], after.tracks[0]
        assert (new.kind, new.codec) == ("audio", old.codec)
        assert new.metadata.get("language") == old.metadata.get("language")
        sent, got = list(before.packets(old)), list(after.packets(new))
        assert [packet.data for packet in got] == [packet.data for packet in sent]
        shift = next(after).time * after.properties.time_base - (
            next(before).time * before.properties.time_base
        )
        for a, b in zip(sent, got, strict=True):
            assert a.time is not None and b.time is not None
            moved = b.time * new.time_base - a.time * old.time_base - shift
            assert abs(moved) <= Fraction(1, 1000)
    heard, again = beeps(source), beeps(tmp_path / target)
    assert len(heard) >= 6
    assert np.abs(heard[-6:] - again[-6:]).max() < 0.003


def test_subtitles_and_attachments_are_carried(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    source = with_sound(moving(20), "matroska", "aac", subtitles="subrip", font=True)
    assert copy(source, tmp_path / "a.mkv") == ()
    with clips.read(tmp_path / "a.mkv") as clip:
        kinds = {track.kind: track for track in clip.tracks}
        lines = list(clip.packets(kinds["subtitle"]))
        assert [(p.data, p.time, p.duration) for p in lines] == [
            (f"line {number}".encode(), 100 * number, 80) for number in range(3)
        ]
        assert kinds["subtitle"].metadata["language"] == "eng"
        font = kinds["attachment"]
        assert (font.codec, font.parameters) == ("font/ttf", FONT)
        assert font.metadata["filename"] == "a.ttf"
        assert list(clip.packets(font)) == []
    notes = copy(source, tmp_path / "a.mp4")
    assert sum("left out" in note for note in notes) == 2  # MP4 has neither
    with clips.read(tmp_path / "a.mp4") as clip:
        assert [track.kind for track in clip.tracks] == ["audio"]


def test_subtitles_of_mp4_are_carried(tmp_path: Path, moving: Callable[..., list[Pixels]]) -> None:
    source = with_sound(moving(20), "mp4", "aac", subtitles="mov_text")
    assert copy(source, tmp_path / "a.mp4") == ()
    with clips.read(tmp_path / "a.mp4") as clip:
        assert [track.codec for track in clip.tracks] == ["aac", "mov_text"]
        assert [p.data for p in clip.packets(clip.tracks[1]) if p.data[:4] == b"line"] == [
            b"line 0",
            b"line 1",
            b"line 2",
        ]
    assert any("mov_text" in note for note in copy(source, tmp_path / "a.mkv"))


def test_a_track_outlives_its_clip_and_is_pushed(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    pictures = moving(20)
    source = with_sound(pictures, "mp4", "aac")
    with clips.read(source) as clip:
        track, packets = clip.tracks[0], list(clip.packets(clip.tracks[0]))
    stored = Track(**vars(track))  # as a file of ours would keep it
    with clips.write(tmp_path / "a.mp4", Properties(96, 64, Fraction(1, 25))) as writer:
        number = writer.add_track(stored)
        assert number is not None
        for packet in packets:
            writer.write_packet(number, packet)
        for at, pixels in enumerate(pictures):
            writer.write(Frame(at, pixels))
        with pytest.raises(ArgumentError, match="before the first frame"):
            writer.add_track(stored)
        with pytest.raises(ArgumentError, match="no track"):
            writer.write_packet(9, packets[0])
    with clips.read(tmp_path / "a.mp4") as clip:
        assert [p.data for p in clip.packets(clip.tracks[0])] == [p.data for p in packets]


def test_sound_longer_than_the_pictures_is_kept(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    source = with_sound(moving(40), "mp4", "aac")
    with (
        clips.read(source) as clip,
        clips.write(tmp_path / "a.mp4", clip.properties) as writer,
    ):
        writer.add_track(clip.tracks[0], clip.packets(clip.tracks[0]))
        writer.write(next(clip))
        expected = len(list(clip.packets(clip.tracks[0])))
    with clips.read(tmp_path / "a.mp4") as clip:
        assert len(list(clip.packets(clip.tracks[0]))) == expected
        assert len(list(clip)) == 1


def test_what_can_not_be_written_of_a_track_is_named(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    source = with_sound(moving(20), "mp4", "aac")
    with clips.read(source) as clip:
        track, packets = clip.tracks[0], list(clip.packets(clip.tracks[0]))
        with pytest.raises(ArgumentError, match="no such track"):
            clip.packets(Track(9, "audio", "aac", Fraction(1, RATE), b""))
    wrong = [packets[3], packets[1], Packet(packets[4].data, None, None), packets[5]]
    with clips.write(tmp_path / "a.mp4", Properties(96, 64, Fraction(1, 25))) as writer:
        writer.add_track(track, wrong)
        assert writer.add_track(Track(9, "audio", "aac", Fraction(1, RATE), b"nonsense")) is None
        writer.write(Frame(0, moving(1)[0]))
    assert any("do not rise" in note for note in writer.warnings)
    assert any("without a possible time" in note for note in writer.warnings)
    assert any("can't hold" in note for note in writer.warnings)
    with clips.read(tmp_path / "a.mp4") as clip:
        found = [packet.data for packet in clip.packets(clip.tracks[0])]
        assert found == [packets[3].data, packets[5].data]
    for name in ("a.y4m", "a"):
        assert any("audio" in note for note in copy(source, tmp_path / name))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_numbers_that_no_file_can_hold_are_left_out(
    name: str, tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    """As hostile .qtl files have them."""
    with clips.read(with_sound(moving(20), "matroska", "aac")) as clip:
        track, packets = clip.tracks[0], list(clip.packets(clip.tracks[0]))
    wrong = replace(packets[1], duration=1 << 63)
    for change in (
        {"time_base": Fraction((1 << 32) - 1)},
        {"time_base": Fraction(1, (1 << 32) - 1)},
        {"disposition": (1 << 32) - 1},
    ):
        with clips.write(tmp_path / name, Properties(96, 64, Fraction(1, 25))) as writer:
            writer.add_track(replace(track, **change), [packets[0], wrong, packets[2]])
            writer.write(Frame(0, moving(1)[0], 1 << 63))
        assert "disposition" in change or any("can't hold" in note for note in writer.warnings)
        with clips.read(tmp_path / name) as clip:
            assert len(list(clip)) == 1
            counts = [len(list(clip.packets(each))) for each in clip.tracks]
            assert counts == ([2] if "disposition" in change else [])


def test_a_cover_and_further_pictures_are_named(moving: Callable[..., list[Pixels]]) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        streams: list[Any] = [output.add_stream("ffv1", rate=25) for _ in range(2)]
        for stream in streams:
            stream.height, stream.width, stream.pix_fmt = 64, 96, "bgr0"
        for number, pixels in enumerate(moving(3)):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    with clips.read(file.getvalue()) as clip:
        assert len(list(clip)) == 3
        assert "1 further stream of pictures was left out" in clip.warnings
