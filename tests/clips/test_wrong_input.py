"""Wrong input gives an error of ours, and what was readable is kept and the loss named."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from quantal import clips
from quantal.clips import SIDE_LIMIT, Pixels
from quantal.errors import ArgumentError, MediaError, QuantalError
from tests.clips.conftest import coded
from tests.clips.test_tracks import with_sound

X264 = {"encoder": "libx264", "pix_fmt": "yuv420p"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, I am a text, and my name ends in .mp4\n" * 100,
        b"1\n00:00:00,000 --> 00:00:01,000\nsubtitles\n\n" * 20,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://example.com/a.ts\n",
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile 'a.mp4'\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 49170 RTP/AVP 98\n",
        b"\x1b[31mred\x1b[0m" * 100,
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        bytes(5000),
        b"\0\0\0\x18ftypisom\0\0\2\0isomiso2",
        b"\x1aE\xdf\xa3",
        b"YUV4MPEG2 W16 H16 F25:1 C420jpeg\n",
        b"YUV4MPEG2 W0 H16 F25:1 C420jpeg\nFRAME\n" + bytes(1000),
        b"GIF89a\1\0\1\0\0\0\0;",
    ],
)
@pytest.mark.parametrize("as_file", [True, False])
def test_what_is_no_clip_is_refused(data: bytes, as_file: bool, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"clip"):
        clips.read(path if as_file else data)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="No such file"):
        clips.read(tmp_path / "missing.mp4")
    with pytest.raises(MediaError, match="is a folder"):
        clips.read(tmp_path)
    for wrong in (None, 5, "", ["a.mp4"]):
        with pytest.raises(ArgumentError):
            clips.read(wrong)  # type: ignore[arg-type]
    (tmp_path / "a.txt").write_text("x")
    with (tmp_path / "a.txt").open() as text, pytest.raises(ArgumentError, match="binary"):
        clips.read(text)  # type: ignore[arg-type]
    closed = (tmp_path / "a.txt").open("rb")
    closed.close()
    with pytest.raises(MediaError, match="closed"):
        clips.read(closed)


def test_a_file_without_pictures_says_what_it_has() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        audio: Any = output.add_stream("aac", rate=48000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate, sound.pts = 48000, 0
        output.mux(audio.encode(sound))
        output.mux(audio.encode(None))
    with pytest.raises(MediaError, match="no stream of pictures, only audio"):
        clips.read(file.getvalue())


def test_one_frame_is_a_clip(moving: Callable[..., list[Pixels]]) -> None:
    for container, encoder, pix_fmt in (
        ("mp4", "libx264", "yuv420p"),
        ("matroska", "ffv1", "bgr0"),
        ("gif", "gif", "rgb8"),
    ):
        with clips.read(coded(moving(1), container, encoder, pix_fmt)) as clip:
            (frame,) = clip
            assert frame.time == 0 and (frame.duration or 0) > 0
            clip.seek(5)
            assert np.array_equal(next(clip).pixels, frame.pixels)
            assert list(clip) == []


def test_a_change_of_size_ends_the_clip(moving: Callable[..., list[Pixels]]) -> None:
    def h264(width: int, height: int) -> bytes:
        return coded(moving(5, width, height), "h264", **X264, options={"bf": "0"})

    with clips.read(h264(96, 64) + h264(128, 80)) as clip:
        frames = []
        with pytest.raises(MediaError, match=r"changes from 96x64 to 128x80 .* s, expected one"):
            frames.extend(iter(clip.__next__, None))
        assert clip.properties.width == 96
    with clips.read(h264(96, 64) + h264(128, 80)) as clip:
        assert sum(1 for _ in zip(range(5), clip, strict=False)) == 5


def damaged(file: bytes, begin: float, end: float) -> bytes:
    """Return a file in which bytes between two parts of it are noise."""
    data = np.frombuffer(file, np.uint8).copy()
    part = slice(int(begin * len(data)), int(end * len(data)))
    data[part] = np.random.default_rng(0).integers(0, 256, len(data[part]))
    return data.tobytes()


@pytest.mark.parametrize(
    ("container", "encoder", "pix_fmt"),
    [
        ("matroska", "ffv1", "bgr0"),
        ("matroska", "libx264", "yuv420p"),
        ("mpegts", "libx264", "yuv420p"),
        ("mp4", "libx264", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
    ],
)
def test_what_can_be_read_of_a_damaged_clip_is_read(
    container: str, encoder: str, pix_fmt: str, moving: Callable[..., list[Pixels]]
) -> None:
    options = {} if encoder == "ffv1" else {"g": "10", "bf": "0"}
    if encoder == "ffv1":
        options = {"level": "3", "slicecrc": "1", "g": "1"}
    file = coded(moving(60), container, encoder, pix_fmt, options=options)
    with clips.read(file) as clip:
        whole = {frame.pixels.tobytes() for frame in clip}
    with clips.read(damaged(file, 0.6, 0.7)) as clip:
        found = list(clip)
        lost = [n for n in clip.warnings if "unreadable" in n or "damaged" in n or "cut" in n]
    same = sum(frame.pixels.tobytes() in whole for frame in found)
    assert 30 <= same < 60
    assert lost or len(found) < 60


@pytest.mark.parametrize(
    ("container", "encoder", "pix_fmt"),
    [
        ("matroska", "libx264", "yuv420p"),
        ("matroska with sound", "libx264", "yuv420p"),
        ("mp4", "libx264", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("mpegts", "libx264", "yuv420p"),
        ("yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
        ("gif", "gif", "rgb8"),
    ],
)
def test_a_cut_clip_is_read_up_to_there(
    container: str, encoder: str, pix_fmt: str, moving: Callable[..., list[Pixels]]
) -> None:
    if container == "matroska with sound":
        file = with_sound(moving(60), "matroska", "aac")
    else:
        file = coded(moving(60), container, encoder, pix_fmt)
    if container == "mp4":
        file = index_first(file)
    with clips.read(file) as clip:
        whole = [frame.pixels for frame in clip]
        assert len(whole) == 60 and "cut" not in str(clip.warnings)
    with clips.read(file[: len(file) * 8 // 10]) as clip:
        found = [frame.pixels for frame in clip]
        assert 15 <= len(found) < 60
        assert np.array_equal(found[:15], whole[:15])
        if container in ("mp4", "matroska", "avi"):  # which announce how much there is
            assert any("cut" in note for note in clip.warnings)


def index_first(file: bytes) -> bytes:
    """Return an MP4 file with its index before its samples, as files for the web have it."""
    at = file.rindex(b"moov") - 4
    head = file.index(b"ftyp") - 4 + int.from_bytes(file[:4], "big")
    moov = bytearray(file[at:])
    offsets = moov.index(b"stco") + 8
    for number in range(int.from_bytes(moov[offsets : offsets + 4], "big")):
        place = slice(offsets + 4 + 4 * number, offsets + 8 + 4 * number)
        moov[place] = (int.from_bytes(moov[place], "big") + len(moov)).to_bytes(4, "big")
    return file[:head] + bytes(moov) + file[head:at]


def test_an_mp4_without_its_index_is_refused(moving: Callable[..., list[Pixels]]) -> None:
    file = coded(moving(30), "mp4", **X264)
    with pytest.raises(MediaError, match="index is missing"):
        clips.read(file[: len(file) // 2])


def test_a_false_number_of_frames_costs_nothing(moving: Callable[..., list[Pixels]]) -> None:
    file = bytearray(coded(moving(5), "mp4", **X264, options={"bf": "0"}))
    for box in (b"stts", b"stsz"):  # times, sizes
        at = file.index(box) + 12
        assert file[at : at + 4] in (struct.pack(">I", 5), struct.pack(">I", 0))
        file[at : at + 4] = struct.pack(">I", 50_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(MediaError), clips.read(bytes(file)) as clip:
        assert len(list(clip)) == 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def huge(width: int, height: int) -> bytes:
    return b"YUV4MPEG2 W%d H%d F25:1 C420jpeg\nFRAME\n" % (width, height) + bytes(1000)


@pytest.mark.parametrize("size", [(70000, 4), (4, 70000), (40000, 40000), (2**31 - 1, 2**31 - 1)])
def test_huge_frames_are_refused_before_memory_is_taken(size: tuple[int, int]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaError):
        clips.read(huge(*size))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_properties_of_huge_frames_are_refused() -> None:
    with pytest.raises(MediaError):
        clips.Properties(SIDE_LIMIT + 1, 1, Fraction(1, 25))
    with pytest.raises(MediaError):
        clips.Properties(SIDE_LIMIT, SIDE_LIMIT, Fraction(1, 25))


def test_a_codec_that_is_missing_is_named(moving: Callable[..., list[Pixels]]) -> None:
    file = coded(moving(3), "avi", "mpeg4", "yuv420p", options={"vtag": "XXXX"})
    at = file.index(b"vids") + 4
    wrong = file.replace(file[at : at + 4], b"QQQQ")
    for part in (b"FMP4", b"mp4v", b"XVID"):
        wrong = wrong.replace(part, b"QQQQ")
    with pytest.raises(MediaError, match="codec"):
        clips.read(wrong)


def test_fuzzed_files_give_errors_of_ours_and_nothing_else(
    moving: Callable[..., list[Pixels]],
) -> None:
    noise = np.random.default_rng(7)
    sources = [
        coded(moving(6), "mp4", **X264),
        coded(moving(6), "matroska", "ffv1", "bgr0"),
        coded(moving(6), "avi", "mpeg4", "yuv420p"),
        coded(moving(6), "gif", "gif", "rgb8"),
        coded(moving(6), "mpegts", **X264),
        with_sound(moving(6), "matroska", "aac", subtitles="subrip", font=True),
        with_sound(moving(6), "mp4", "aac", subtitles="mov_text"),
    ]
    for number in range(420):
        data = bytearray(sources[number % len(sources)])
        for _ in range(int(noise.integers(1, 30))):
            at = int(noise.integers(len(data)) if number % 3 else noise.integers(400))
            data[at % len(data)] = int(noise.integers(256))
        if number % 5 == 0:
            del data[int(noise.integers(len(data))) :]
        try:
            with clips.read(bytes(data)) as clip:
                for _, frame in zip(range(20), clip, strict=False):
                    assert frame.pixels.shape == (clip.properties.height, clip.properties.width, 3)
                clip.seek(100)
                for track in clip.tracks:
                    for _ in zip(range(20), clip.packets(track), strict=False):
                        pass
        except QuantalError:
            pass
