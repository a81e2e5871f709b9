"""The report of clips: wording, BD-rate by clip, curves over frames, the player."""

from __future__ import annotations

import base64
import io
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quantal.eval.clips import ClipCodec, ClipSource
from quantal.eval.codecs import codec
from tests.moving import FRAMES, write_clip

from .conftest import CLIP_CODECS as CODECS
from .conftest import Report, report_of, run
from .test_report import payload


def test_the_page_speaks_of_clips(clips_report: Report) -> None:
    page = payload(clips_report)
    assert page["called"] == "clip" and page["views"] == []
    text = (clips_report.folder / "report.md").read_text(encoding="utf-8")
    assert "3 clips" in text and "picture" not in text


def test_bd_rates_are_by_clip_with_mean_and_median(clips_report: Report) -> None:
    text = (clips_report.folder / "report.md").read_text(encoding="utf-8")
    table = text.partition(f"## BD-rate of each clip against {CODECS[0]}, PSNR-RGB")[2]
    own = payload(clips_report)["pictures"]["psnr"][CODECS[1]]
    percents = [own[clip]["percent"] for clip in ("a.mp4", "b.mp4", "c.mp4")]
    for name, value in (
        ("a.mp4", percents[0]),
        ("mean", statistics.fmean(percents)),
        ("median", statistics.median(percents)),
    ):
        assert f"| {name} | {value:+.1f} % |" in table


def test_frames_are_of_rows_with_about_equal_bytes(clips_report: Report) -> None:
    for clip, lines in payload(clips_report)["frames"].items():
        assert [line["codec"] for line in lines] == list(CODECS)
        for line in lines:
            row = next(
                row
                for row in clips_report.result.rows
                if (row.picture, row.codec, row.quality) == (clip, line["codec"], line["quality"])
            )
            assert row.series and line["bytes"] == row.bytes == sum(line["series"]["bytes"])
            assert line["series"]["psnr"] == pytest.approx(row.series["psnr"], abs=1e-4)


def test_the_player_has_the_largest_codings_within_the_target(clips_report: Report) -> None:
    page = payload(clips_report)
    assert len(page["played"]) == 2
    for one in page["played"]:
        path = next(p for p in clips_report.result.pictures if p.name == one["clip"])
        source = ClipSource(path, FRAMES)
        assert len(one["uris"]) == FRAMES
        assert_like(one["uris"][0], source.pixels[0])
        assert one["played"], one["missing"]
        for shown in one["played"]:
            coder = codec(shown["codec"])
            assert isinstance(coder, ClipCodec)
            coded = coder.encode(source, shown["quality"])
            assert len(coded) == shown["bytes"] == sum(shown["sizes"]) <= one["target"]
            assert len(coder.encode(source, shown["quality"] + 1)) > one["target"]
            assert len(shown["metrics"]["psnr"]) == len(shown["uris"]) == FRAMES
            assert_like(shown["uris"][-1], coder.decode(coded)[-1])


def assert_like(uri: str, pixels: np.ndarray) -> None:
    """The frame in a data URI is the given one, but for the loss of WebP."""
    data = base64.b64decode(uri.partition(",")[2])
    found = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert found.shape == pixels.shape
    assert np.abs(found.astype(float) - pixels).mean() < 8


def test_a_clip_that_failed_is_not_played(tmp_path: Path, photograph: Image.Image) -> None:
    (tmp_path / "data").mkdir()
    write_clip(tmp_path / "data" / "whole.mp4", photograph, 20)
    (tmp_path / "data" / "broken.mp4").write_bytes(b"\0" * 99)
    settings: dict[str, Any] = {"codecs": CODECS[:1], "qualities": {}, "metrics": ("psnr",)}
    report = report_of(run(tmp_path / "data", tmp_path / "out", **settings), tmp_path)
    assert [one["clip"] for one in payload(report)["played"]] == ["whole.mp4"]
