"""Seeking gives the frame that reading from the beginning gives, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from quantal import clips
from quantal.clips import Frame, Pixels
from tests.clips.conftest import coded

MILLISECOND = Fraction(1, 1000)
UNEVEN = [0, 30, 47, 110, 111, 190, 230, 300, 345, 400, 555, 560, 700, 702, 800, 950, 1000, 1040]
X264 = {"encoder": "libx264", "pix_fmt": "yuv420p"}


def edited(file: bytes, skip: int) -> bytes:
    """Return an MP4 file whose edit list skips the first ticks of the media."""
    data = bytearray(file)
    at = data.index(b"elst") + 12  # behind the version and the number of entries
    assert data[at - 4 : at] == b"\0\0\0\1"
    media = int.from_bytes(data[at + 4 : at + 8], "big") + skip
    data[at + 4 : at + 8] = media.to_bytes(4, "big")
    return bytes(data)


def cases(moving: Callable[..., list[Pixels]]) -> dict[str, bytes]:
    """Return files that are hard to seek in, by name."""
    n = len(UNEVEN)
    vfr: dict[str, Any] = {"times": UNEVEN, "time_base": MILLISECOND}
    late = {"times": [t - 205 for t in UNEVEN], "time_base": MILLISECOND}
    gop = {"g": "7", "bf": "3", "b-adapt": "0", "crf": "30", "sc_threshold": "0"}
    pictures = moving(n)
    plain = coded(pictures, "mp4", **X264, **vfr, options=gop)
    return {
        "B frames in MP4": plain,
        "open GOP in MP4": coded(
            pictures, "mp4", **X264, **vfr, options={**gop, "x264-params": "open-gop=1"}
        ),
        "open GOP in Matroska": coded(
            pictures, "matroska", **X264, **vfr, options={**gop, "x264-params": "open-gop=1"}
        ),
        "open GOP in a transport stream": coded(
            moving(60), "mpegts", **X264, options={**gop, "x264-params": "open-gop=1"}
        ),
        "intra refresh": coded(
            pictures, "mp4", **X264, **vfr, options={**gop, "x264-params": "intra-refresh=1"}
        ),
        "edit list": edited(plain, 11 * 16),
        "negative start": coded(pictures, "mp4", **X264, **late, options=gop),
        "negative start in NUT": coded(pictures, "nut", **X264, **late, options=gop),
        "FFV1": coded(pictures, **vfr),
        "AVI": coded(pictures, "avi", "mpeg4", "yuv420p", options={"g": "7"}),
        "HEVC": coded(
            pictures,
            "mp4",
            "libx265",
            "yuv420p",
            **vfr,
            options={"x265-params": "keyint=7:bframes=3:log-level=none"},
        ),
        "VP9 in WebM": coded(
            pictures, "webm", "libvpx-vp9", "yuv420p", **vfr, options={"g": "7", "cpu-used": "8"}
        ),
        "GIF": coded(pictures, "gif", "gif", "rgb8", time_base=Fraction(1, 10)),
        "H.264 alone": coded(pictures, "h264", **X264, options={**gop, "bf": "0"}),
        "Y4M": coded(pictures, "yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
    }


@pytest.fixture(scope="module")
def files(moving: Callable[..., list[Pixels]]) -> dict[str, bytes]:
    return cases(moving)


def same(a: Frame, b: Frame) -> bool:
    return a.time == b.time and np.array_equal(a.pixels, b.pixels)


@pytest.mark.parametrize(
    "name",
    [
        "B frames in MP4",
        "open GOP in MP4",
        "open GOP in Matroska",
        "open GOP in a transport stream",
        "intra refresh",
        "edit list",
        "negative start",
        "negative start in NUT",
        "FFV1",
        "AVI",
        "HEVC",
        "VP9 in WebM",
        "GIF",
        "H.264 alone",
        "Y4M",
    ],
)
def test_seeking_finds_what_is_shown_at_any_time(name: str, files: dict[str, bytes]) -> None:
    with clips.read(files[name]) as clip:
        frames = list(clip)
        times = [frame.time for frame in frames]
        assert len(frames) >= 10 and times == sorted(set(times))
        asked = [*times, *(t - 1 for t in times), *(t + 1 for t in times), times[-1] + 10**6]
        for time in [*asked[::-3], *asked[::5], times[0] - 10**6]:
            shown = max((i for i, t in enumerate(times) if t <= time), default=0)
            clip.seek(time)
            assert same(next(clip), frames[shown])
            if shown + 1 < len(frames):
                assert same(next(clip), frames[shown + 1])
        for far, end in ((-(2**70), 0), (2**70, -1)):
            clip.seek(far)
            assert same(next(clip), frames[end])
        clip.seek(times[4])
        assert [frame.time for frame in clip] == times[4:]
        assert not any("read" in note or "cut" in note for note in clip.warnings)


def test_an_edit_list_begins_where_it_says(files: dict[str, bytes]) -> None:
    with clips.read(files["B frames in MP4"]) as whole, clips.read(files["edit list"]) as part:
        found, all_of_it = list(part), list(whole)
        assert 0 < len(found) < len(all_of_it)
        for a, b in zip(found, all_of_it[-len(found) :], strict=True):
            assert np.array_equal(a.pixels, b.pixels)


def test_times_before_zero_are_kept(moving: Callable[..., list[Pixels]]) -> None:
    times = [40 * i - 205 for i in range(12)]
    file = coded(
        moving(12),
        "mpegts",
        **X264,
        times=times,
        time_base=MILLISECOND,
        muxer={"avoid_negative_ts": "disabled"},
    )
    with clips.read(file) as clip:
        assert clip.properties.start * clip.properties.time_base == times[0] * MILLISECOND
        assert [f.time * clip.properties.time_base for f in clip] == [
            t * MILLISECOND for t in times
        ]


def test_a_seek_does_not_read_from_the_beginning(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("B frames in MP4", "open GOP in Matroska", "VP9 in WebM", "AVI"):
        with clips.read(files[name]) as clip:
            times = [frame.time for frame in clip]
            with monkeypatch.context() as patch:
                patch.delattr("quantal.clips._read.open_input")
                clip.seek(times[-1])
                assert next(clip).time == times[-1]
