"""Clips are read with exact times and right colours, and say what they change."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantal import clips
from quantal.clips import Colour, Pixels
from quantal.errors import ArgumentError, MediaError
from tests.clips.conftest import coded, with_planes

#: Red's and blue's share of luma by matrix (ITU-T H.273).
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
FORMATS = {("4:4:4", 8): "yuv444p", ("4:4:4", 10): "yuv444p10le", ("4:4:4", 12): "yuv444p12le"}


def by_hand(
    y: np.ndarray[Any, Any],
    u: np.ndarray[Any, Any],
    v: np.ndarray[Any, Any],
    matrix: int,
    full: bool,
    bits: int,
) -> np.ndarray[Any, Any]:
    """Return RGB from 0 to 255, not rounded, of samples of one size (ITU-T H.273, 8.3)."""
    kr, kb = WEIGHTS[matrix]
    unit = 1 << (bits - 8)
    most = (1 << bits) - 1
    luma = y / most if full else (y - 16.0 * unit) / (219 * unit)
    blue, red = ((c - 128.0 * unit) / (most if full else 224 * unit) for c in (u, v))
    r = luma + 2 * (1 - kr) * red
    b = luma + 2 * (1 - kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(255 * np.stack([r, g, b], -1), 0, 255)


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_samples_are_converted_by_matrix_range_and_depth(
    matrix: int, full: bool, bits: int
) -> None:
    noise = np.random.default_rng(0)
    kind = np.uint8 if bits == 8 else np.uint16
    planes = [noise.integers(0, 1 << bits, (48, 62)).astype(kind) for _ in range(3)]
    name = FORMATS["4:4:4", bits]
    frame = with_planes(name, planes, colorspace=matrix, color_range=2 if full else 1)

    def tag(container: Any, stream: Any) -> None:
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1

    # FFV1 keeps samples of YUV as they are.
    file = coded(
        [np.zeros((48, 62, 3), np.uint8)], pix_fmt=name, prepare=tag, frame_of=lambda _: frame
    )
    with clips.read(file) as clip:
        found = next(clip).pixels
        given = clip.properties
        assert (given.bits, given.subsampling) == (bits, "4:4:4")
        assert (given.colour.matrix, given.colour.full_range) == (matrix, full)
        assert any("rounded to 8" in note for note in clip.warnings) == (bits > 8)
    exact = by_hand(*(plane.astype(float) for plane in planes), matrix, full, bits)
    assert np.abs(found - exact).max() < 0.6  # 0.5 is rounding


@pytest.mark.parametrize(("height", "matrix"), [(64, 6), (720, 1)])
def test_a_matrix_that_is_not_named_follows_from_the_size(height: int, matrix: int) -> None:
    planes = [np.full((height, 64), value, np.uint8) for value in (120, 90, 200)]
    file = coded(
        [np.zeros((height, 64, 3), np.uint8)],
        pix_fmt="yuv444p",
        frame_of=lambda _: with_planes("yuv444p", planes),
    )
    with clips.read(file) as clip:
        found = next(clip).pixels
        assert clip.properties.colour == Colour()
        assert any("matrix" in note for note in clip.warnings)
    exact = by_hand(*(plane[:1, :1].astype(float) for plane in planes), matrix, False, 8)
    assert np.abs(found - exact).max() < 0.6


@pytest.mark.parametrize(
    ("pix_fmt", "subsampling"),
    [
        ("yuv420p", "4:2:0"),
        ("yuv422p", "4:2:2"),
        ("yuv444p", "4:4:4"),
        ("yuv411p", "4:1:1"),
        ("gray", "grey"),
        ("bgr0", "rgb"),
    ],
)
def test_odd_sizes_are_read_at_their_size(
    moving: Callable[..., list[Pixels]], pix_fmt: str, subsampling: str
) -> None:
    pictures = moving(2, 61, 37)
    with clips.read(coded(pictures, pix_fmt=pix_fmt)) as clip:
        frames = list(clip)
        assert (clip.properties.width, clip.properties.height) == (61, 37)
        assert clip.properties.subsampling == subsampling
    for frame, pixels in zip(frames, pictures, strict=True):
        assert frame.pixels.shape == (37, 61, 3) and frame.pixels.flags.c_contiguous
        if pix_fmt == "bgr0":
            assert np.array_equal(frame.pixels, pixels)
        if pix_fmt == "yuv444p":
            assert np.abs(frame.pixels.astype(int) - pixels).max() <= 3
        if pix_fmt == "gray":
            luma = pixels @ [0.299, 0.587, 0.114]
            assert np.abs(frame.pixels[..., 1] - luma).max() <= 2


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_rgb_is_rounded(bits: int) -> None:
    noise = np.random.default_rng(0)
    planes = [noise.integers(0, 1 << bits, (32, 48)).astype(np.uint16) for _ in range(3)]
    frame = with_planes(f"gbrp{bits}le", planes)
    file = coded(
        [np.zeros((32, 48, 3), np.uint8)], pix_fmt=f"gbrp{bits}le", frame_of=lambda _: frame
    )
    with clips.read(file) as clip:
        found = next(clip).pixels
    g, b, r = (plane * (255 / ((1 << bits) - 1)) for plane in planes)
    assert np.abs(found - np.stack([r, g, b], -1)).max() < 0.51


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True)])
def test_pictures_are_turned_upright(
    moving: Callable[..., list[Pixels]], degrees: int, mirror: tuple[bool, bool]
) -> None:
    stored = moving(1)[0]
    file = coded(
        [stored],
        "mp4",
        "libx264rgb",
        "rgb24",
        options={"qp": "0"},
        prepare=lambda container, stream: stream.set_display_rotation(
            degrees, hflip=mirror[0], vflip=mirror[1]
        ),
    )
    upright = np.rot90(stored, degrees // 90)  # counterclockwise, as FFmpeg counts
    upright = upright[:, ::-1] if mirror[0] else upright
    upright = upright[::-1] if mirror[1] else upright
    with clips.read(file) as clip:
        found, given = next(clip).pixels, clip.properties
        assert any("turned" in note for note in clip.warnings) == (degrees > 0 or any(mirror))
    assert np.array_equal(found, upright)
    assert (given.height, given.width) == found.shape[:2]
    stored = stored[:, ::-1] if given.mirrored else stored
    assert np.array_equal(np.rot90(stored, -given.rotation // 90), upright)


def test_a_slanted_clip_is_turned_to_the_nearest_right_angle(
    moving: Callable[..., list[Pixels]],
) -> None:
    file = coded(
        moving(1),
        "mp4",
        "libx264",
        "yuv420p",
        prepare=lambda container, stream: stream.set_display_rotation(80),
    )
    with clips.read(file) as clip:
        assert clip.properties.rotation == 270
        assert any("nearest" in note for note in clip.warnings)


def test_uneven_times_and_their_base_are_exact(moving: Callable[..., list[Pixels]]) -> None:
    times = [0, 1001, 3003, 3004, 9009, 10010]
    file = coded(
        moving(6),
        "mp4",
        "libx264",
        "yuv420p",
        times=times,
        time_base=Fraction(1, 30000),
        options={"bf": "2"},
    )
    with clips.read(file) as clip:
        assert [f.time * clip.properties.time_base for f in clip] == [
            Fraction(t, 30000) for t in times
        ]
        assert clip.properties.frames == 6 and clip.properties.start == 0


def test_aspect_and_duration_are_known(moving: Callable[..., list[Pixels]]) -> None:
    def prepare(container: Any, stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)

    with clips.read(coded(moving(10), "mp4", "libx264", "yuv420p", prepare=prepare)) as clip:
        given = clip.properties
        assert given.sample_aspect == Fraction(3, 4)  # of the upright picture
        assert given.duration == Fraction(10, 25) and given.rate == 25


def test_hlg_keeps_its_colours_and_says_so(moving: Callable[..., list[Pixels]]) -> None:
    def tag(container: Any, stream: Any) -> None:
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, 18

    with clips.read(coded(moving(1), pix_fmt="yuv420p10le", prepare=tag)) as clip:
        assert clip.properties.colour == Colour(9, 9, 18, None)
        assert any("BT.2020" in note and "HLG" in note for note in clip.warnings)


def test_a_matrix_without_a_conversion_is_refused(moving: Callable[..., list[Pixels]]) -> None:
    def tag(container: Any, stream: Any) -> None:
        stream.codec_context.colorspace = 8

    with (
        clips.read(coded(moving(1), pix_fmt="yuv444p", prepare=tag)) as clip,
        pytest.raises(MediaError, match=r"matrix 8 .* convert"),
    ):
        next(clip)


def test_transparency_is_dropped_and_named(moving: Callable[..., list[Pixels]]) -> None:
    def clear(frame: Any) -> Any:
        return with_planes("gbrap", [np.full((64, 96), 77, np.uint8)] * 3 + [np.eye(64, 96) > 0])

    file = coded(
        moving(1), "mov", "png", "rgba", frame_of=lambda f: clear(f).reformat(format="rgba")
    )
    with clips.read(file) as clip:
        assert np.all(next(clip).pixels == 77)
        assert any("transparency" in note for note in clip.warnings)


@pytest.mark.parametrize(
    ("container", "encoder", "pix_fmt"),
    [
        ("matroska", "ffv1", "bgr0"),
        ("mp4", "libx264", "yuv420p"),
        ("mov", "libx264", "yuv420p"),
        ("avi", "ffv1", "bgr0"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("gif", "gif", "rgb8"),
        ("yuv4mpegpipe", "wrapped_avframe", "yuv420p"),
        ("mpegts", "libx264", "yuv420p"),
        ("nut", "ffv1", "bgr0"),
        ("apng", "apng", "rgb24"),
        ("h264", "libx264", "yuv420p"),
        ("ivf", "libvpx-vp9", "yuv420p"),
    ],
)
def test_every_container_is_read(
    container: str, encoder: str, pix_fmt: str, moving: Callable[..., list[Pixels]]
) -> None:
    pictures = moving(5)
    with clips.read(coded(pictures, container, encoder, pix_fmt)) as clip:
        frames = list(clip)
        ticks = [frame.time * clip.properties.time_base for frame in frames]
    assert len(frames) == 5
    steps = {b - a for a, b in pairwise(ticks)}
    assert all(abs(step - Fraction(1, 25)) <= Fraction(1, 1000) for step in steps)
    for frame, pixels in zip(frames, pictures, strict=True):
        error = np.abs(frame.pixels.astype(int) - pixels).mean()
        assert error == 0 if encoder in ("ffv1", "apng") else error < 20


class Pipe(io.RawIOBase):
    """A file that can't be rewound."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


def test_paths_bytes_files_and_pipes_are_the_same(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    file = coded(moving(4), "mp4", "libx264", "yuv420p")
    path = tmp_path / "http:é%d?.mp4"  # nothing in a name has a meaning
    path.write_bytes(file)
    expected = [frame.pixels for frame in clips.read(file)]
    for source in (path, str(path), bytearray(file), memoryview(file), Pipe(file)):
        with clips.read(source) as clip:
            assert np.array_equal([frame.pixels for frame in clip], expected)
            clip.seek(0)
            assert np.array_equal(next(clip).pixels, expected[0])
    with path.open("rb") as opened:
        opened.seek(100)
        with clips.read(opened) as clip:
            assert np.array_equal([frame.pixels for frame in clip], expected)
        assert not opened.closed


def test_a_closed_clip_says_so(moving: Callable[..., list[Pixels]]) -> None:
    clip = clips.read(coded(moving(2)))
    clip.close()
    clip.close()
    for use in (lambda: next(clip), lambda: clip.seek(0)):
        with pytest.raises(ArgumentError, match="closed"):
            use()


class Failing(io.BytesIO):
    """A file whose reads fail at some time."""

    def __init__(self, data: bytes, calls: int, error: BaseException) -> None:
        super().__init__(data)
        self.calls, self.error = calls, error

    def read(self, size: int | None = -1) -> bytes:
        self.calls -= 1
        if self.calls < 0:
            raise self.error
        return super().read(size)


@pytest.mark.parametrize("calls", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("error", [OSError("broken"), ZeroDivisionError(), KeyboardInterrupt()])
def test_a_file_that_fails_and_an_interrupt_are_told_apart(
    calls: int, error: BaseException, moving: Callable[..., list[Pixels]]
) -> None:
    file = coded(moving(40, 192, 128))
    assert len(file) > 16 * 65536
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else MediaError
    try:
        with clips.read(Failing(file, calls, error)) as clip:
            frames = list(clip)
            assert expected is MediaError and 0 < len(frames) < 40
            assert any("unreadable" in note for note in clip.warnings)
    except (MediaError, KeyboardInterrupt) as found:
        assert isinstance(found, expected)
