"""Clips measured like pictures: bits of frames, series, resumed runs, wrong input."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from quantal import container
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval import rd
from quantal.eval.clips import ClipCodec, ClipSource
from quantal.eval.codecs import codec
from quantal.eval.metrics import metric
from quantal.eval.rd import Plan, measure_rd
from quantal.eval.rows import Row
from tests.little_video import LittleVideo
from tests.moving import FRAMES, write_clip

CLASSICAL = ("x264", "x265", "svtav1", "vp9")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Path:
    """Two clips."""
    data = tmp_path_factory.mktemp("clips")
    write_clip(data / "left.mp4", photograph, 20)
    write_clip(data / "right.mp4", photograph, 180)
    return data


@pytest.fixture
def source(folder: Path) -> ClipSource:
    return ClipSource(folder / "left.mp4", FRAMES)


def clip_codec(spec: str) -> ClipCodec:
    found = codec(spec)
    assert isinstance(found, ClipCodec)
    return found


def plan(folder: Path, out: Path, **changes: Any) -> Plan:
    settings: dict[str, Any] = {
        "codecs": ("x264:preset=veryfast", "vp9:speed=5"),
        "metrics": ("psnr", "psnr-yuv"),
        "jobs": 0,
    }
    return Plan(data=folder, out=out, **(settings | changes))


def measured(plan: Plan) -> tuple[rd.RDResult, list[Row]]:
    """The result, and the rows that had to be measured for it."""
    new: list[Row] = []
    return measure_rd(plan, lambda done, total, row: new.append(row)), new


@pytest.mark.parametrize("spec", CLASSICAL)
def test_a_higher_quality_is_larger_and_better(spec: str, source: ClipSource) -> None:
    coder = clip_codec(spec)
    assert coder.label == spec
    errors, lengths = [], []
    for quality in (coder.qualities[0], coder.qualities[-1]):
        coded = coder.encode(source, quality)
        decoded = coder.decode(coded)
        assert decoded.shape == source.pixels.shape and len(coded.sizes) == FRAMES
        assert len(coded) == sum(coded.sizes) < len(coded.data)  # a container adds to it
        assert coded.sizes[0] == max(coded.sizes)
        lengths.append(len(coded))
        errors.append(np.square(source.pixels.astype(float) - decoded).mean())
    assert lengths[0] < lengths[1] and errors[0] > 2 * errors[1]


@pytest.mark.parametrize("spec", ["x264", "x265"])
def test_bytes_are_by_frame_as_shown_with_b_frames_too(spec: str, source: ClipSource) -> None:
    coder = clip_codec(f"{spec}:structure=random-access")
    coded = coder.encode(source, coder.qualities[1])
    with av.open(io.BytesIO(coded.data)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        header = len(file.streams.video[0].codec_context.extradata or b"")
    times = [packet.pts for packet in packets]
    by_time = [packet.size for packet in sorted(packets, key=lambda one: one.pts)]
    assert list(coded.sizes[1:]) == by_time[1:]
    assert by_time[0] <= coded.sizes[0] <= by_time[0] + header  # parameter sets
    assert times != sorted(times)


def test_the_intra_period_is_the_same_for_every_codec(source: ClipSource) -> None:
    for spec in CLASSICAL:
        coded = clip_codec(f"{spec}:intra=3").encode(source, clip_codec(spec).qualities[1])
        with av.open(io.BytesIO(coded.data)) as file:
            keys = [packet.is_keyframe for packet in file.demux(video=0) if packet.size]
        assert keys == [True, False, False, True, False, False], spec


def test_rows_are_what_the_codec_does(folder: Path, source: ClipSource, tmp_path: Path) -> None:
    result, new = measured(plan(folder, tmp_path / "out", frames=4))
    assert result.media == "video" and len(new) == len(result.rows) == 2 * 2 * 4
    row = next(r for r in result.rows if (r.codec, r.picture) == ("vp9:speed=5", "left.mp4"))
    four = ClipSource(source.path, 4)
    coder = clip_codec("vp9:speed=5")
    coded = coder.encode(four, row.quality)
    decoded = coder.decode(coded)
    assert (row.frames, row.width, row.height) == (4, 128, 96)
    assert row.bytes == len(coded) and row.series and row.metrics
    assert row.bpp == pytest.approx(8 * len(coded) / (4 * 128 * 96))
    assert row.series["bytes"] == list(coded.sizes)
    each = [metric("psnr")(a, b) for a, b in zip(four.pixels, decoded, strict=True)]
    assert row.series["psnr"] == each
    assert row.metrics["psnr"] == pytest.approx(np.mean(each))
    found = result.compare("vp9:speed=5", "x264:preset=veryfast", "psnr")
    assert not isinstance(found, str), found


def test_psnr_yuv_weighs_luma_six_times() -> None:
    grey = np.full((16, 16, 3), 100, np.uint8)
    assert metric("psnr-yuv")(grey, grey) == np.inf
    coloured = grey.copy()
    coloured[..., 0] += 10
    luma, red, blue = 2.126, 10 * (1 - 0.2126) / 1.5748, 10 * 0.2126 / 1.8556
    expected = sum(
        weight * 10 * np.log10(255**2 / error**2)
        for weight, error in ((6 / 8, luma), (1 / 8, red), (1 / 8, blue))
    )
    assert metric("psnr-yuv")(grey, coloured) == pytest.approx(expected)


def test_a_run_is_resumed_and_other_numbers_of_frames_are_other_measurements(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, new = measured(plan(folder, out, frames=3))
    assert len(new) == 16
    again, new = measured(plan(folder, out, frames=3))
    assert new == [] and again.rows == first.rows
    longer, new = measured(plan(folder, out, frames=5))
    assert len(new) == 16 and {row.frames for row in longer.rows} == {5}
    entries = [json.loads(line) for line in (out / rd.JOURNAL).read_text().splitlines()]
    assert {entry["frames"] for entry in entries} == {3, 5}


def test_pictures_and_clips_are_not_mixed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"'webp' codes pictures.*measure them apart"):
        measure_rd(plan(folder, tmp_path / "out", codecs=("webp", "x264")))
    with pytest.raises(EvaluationError, match=r"no pictures.*\.mp4"):
        measure_rd(plan(folder, tmp_path / "out", codecs=("webp",)))
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "pictures" / "one.png")
    with pytest.raises(EvaluationError, match=r"no clips.*\.png"):
        measure_rd(plan(tmp_path / "pictures", tmp_path / "out"))


def test_a_clip_that_cant_be_read_is_a_failure_and_the_others_are_measured(
    folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "broken.mp4").write_bytes((folder / "left.mp4").read_bytes()[:300])
    (data / "whole.mp4").write_bytes((folder / "left.mp4").read_bytes())
    result = measure_rd(plan(data, tmp_path / "out", codecs=("x264:preset=veryfast",)))
    assert {row.picture for row in result.failures} == {"broken.mp4"}
    assert all("MediaError" not in (row.error or "") and row.error for row in result.failures)
    assert result.sheets["x264:preset=veryfast"].pictures == ("whole.mp4",)


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="scheduling is Linux's")
@pytest.mark.parametrize("name", CLASSICAL)
def test_encoders_leave_no_real_time_thread(name: str, source: ClipSource) -> None:
    """SVT-AV1 makes its caller one where root runs it, and all that follows hangs."""
    before = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    coder = clip_codec(name)
    coder.encode(source, coder.qualities[0])
    assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == before


def test_options_that_there_are_not(folder: Path) -> None:
    for spec in ("x264:preset=quick", "x265:structure=high", "vp9:intra=0", "svtav1:preset=99"):
        with pytest.raises(ArgumentError, match=spec.partition("=")[2]):
            codec(spec)


@pytest.mark.skipif(
    not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV writes no rotation"
)
def test_a_turned_clip_is_measured_upright(tmp_path: Path, source: ClipSource) -> None:
    turned = tmp_path / "turned.mp4"
    with av.open(str(source.path)) as given, av.open(str(turned), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        stream.set_display_rotation(90)
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    upright = ClipSource(turned, 2)
    assert upright.pixels.shape == (2, 128, 96, 3)
    coder = clip_codec("x264")
    decoded = coder.decode(coder.encode(upright, 29))
    assert metric("psnr")(upright.pixels[0], decoded[0]) > 30


def test_of_our_files_only_payloads_are_counted(
    little_video: LittleVideo, source: ClipSource
) -> None:
    coder = clip_codec("little-video:intra=4")
    coded = coder.encode(source, 40)
    groups = list(container.ClipReader(io.BytesIO(coded.data)).groups())
    assert [len(group.frames) for group in groups] == [4, 2]
    assert coded.sizes == tuple(len(f.payload) for group in groups for f in group.frames)
    assert coder.decode(coded).shape == source.pixels.shape
