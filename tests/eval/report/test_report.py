"""The report shows what was measured: digest, views, Markdown, figures."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quantal.errors import ArgumentError, EvaluationError
from quantal.eval.bdrate import BD
from quantal.eval.classical.still import Jpeg
from quantal.eval.codecs import codec
from quantal.eval.curves import sheets
from quantal.eval.measure import read_pixels
from quantal.eval.metrics import metric
from quantal.eval.report import ready
from quantal.eval.report.digest import digest
from quantal.eval.report.equal import largest_within
from quantal.eval.report.figure import draw
from quantal.eval.report.markdown import markdown
from quantal.eval.report.views import SIDE

from .conftest import HOSTILE, Report, deltas_of, report_of, run


def payload(report: Report) -> dict[str, Any]:
    text = report.html.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', text)
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


def decoded(uri: str) -> np.ndarray:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_the_four_files_are_there(report: Report) -> None:
    for name in ("report.html", "report.md", "rd.svg", "rd.png"):
        assert (report.folder / name).stat().st_size > 1000


def test_the_page_is_self_contained(report: Report) -> None:
    text = report.html.read_text(encoding="utf-8")
    outside_scripts = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"<[^<>]*\s(src|href)=(?!\"(#|data:))|@import|url\(", outside_scripts)
    assert "default-src 'none'" in outside_scripts


def test_names_are_escaped(report: Report) -> None:
    text = report.html.read_text(encoding="utf-8")
    assert HOSTILE in html.unescape(text)
    assert "<img src=x" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "&lt;/script&gt; not that one" in text
    assert "made-up <b>" in payload(report)["lines"][-1]["version"]
    data = re.search(r'id="report-data">([^\n]*)</script>', text)
    assert data and "<" not in data[1] and "\\u003c" in data[1]


def test_lines_are_the_curves_that_were_measured(report: Report) -> None:
    lines = {line["name"]: line for line in payload(report)["lines"]}
    assert list(lines) == ["jpeg", "webp", "png", "published/vtm"]
    for name, curve in report.result.curves.items():
        assert lines[name]["bpp"] == pytest.approx(curve.bpp)
    assert lines["jpeg"]["drawn"]["psnr"] == list(report.result.curves["jpeg"].values["psnr"])
    similar = np.array(report.result.curves["jpeg"].values["ms-ssim"])
    assert lines["jpeg"]["drawn"]["ms-ssim"] == pytest.approx(-10 * np.log10(1 - similar))
    assert lines["png"]["drawn"]["psnr"] == [None], "without loss there is nothing to draw"
    assert len({line["colour"] for line in lines.values()}) == 4


def test_the_matrix_has_a_delta_or_a_reason_for_each_pair(report: Report) -> None:
    matrix = payload(report)["matrix"]["psnr"]
    names = list(matrix)
    for test in names:
        assert sorted(matrix[test]) == sorted(set(names) - {test})
        for cell in matrix[test].values():
            assert ("percent" in cell) != ("reason" in cell)
    against = report.deltas["psnr"]["webp"]
    assert isinstance(against, BD)
    assert matrix["webp"]["jpeg"]["percent"] == against.percent
    assert matrix["webp"]["jpeg"]["interval"] == list(against.interval or ())
    assert "percent" in matrix["published/vtm"]["jpeg"]
    assert "lossless" in matrix["png"]["jpeg"]["reason"]


def test_each_picture_is_compared(report: Report) -> None:
    own = payload(report)["pictures"]["psnr"]["webp"]
    assert set(own) == {"left.png", "right.png", "wide.png"}  # on the fourth webp failed
    alone = report.result.sheets["webp"].only(["left.png"]).curve()
    other = report.result.sheets["jpeg"].only(["left.png"]).curve()
    from quantal.eval.bdrate import bd

    expected = bd(other.bpp, other.values["psnr"], alone.bpp, alone.values["psnr"])
    assert own["left.png"]["percent"] == pytest.approx(expected.percent)


def test_seconds_are_per_megapixel(report: Report) -> None:
    rows = [row for row in report.result.rows if row.codec == "jpeg"]
    pixels = sum(row.width * row.height for row in rows)
    seconds = sum(row.encode_s or 0 for row in rows)
    cost = next(one for one in payload(report)["lines"] if one["name"] == "jpeg")["cost"]
    assert cost["encode_s"] == pytest.approx(1e6 * seconds / pixels)


def test_views_are_decoded_files_of_the_stated_size(report: Report) -> None:
    views = payload(report)["views"]
    assert 1 <= len(views) <= 3
    for view in views:
        path = next(p for p in report.result.pictures if p.name == view["picture"])
        pixels = read_pixels(path)
        height, width = (min(SIDE, side) for side in pixels.shape[:2])
        assert decoded(view["uri"]).shape == (height, width, 3)
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        part = np.s_[top : top + height, left : left + width]
        assert np.array_equal(decoded(view["uri"]), pixels[part])
        assert [one["codec"] for one in view["shown"]] == ["jpeg", "webp"]
        for one in view["shown"]:
            coder = codec(one["codec"])
            data = coder.encode(pixels, one["quality"])
            assert len(data) == one["bytes"] <= view["target"]
            assert len(coder.encode(pixels, one["quality"] + 1)) > view["target"]
            drawn = coder.decode(data)
            assert np.array_equal(decoded(one["uri"]), drawn[part])
            assert one["metrics"]["psnr"] == metric("psnr")(pixels, drawn)


def test_the_largest_file_within_a_target_is_found(pictures: Path) -> None:
    pixels = read_pixels(pictures / "left.png")
    coder = codec("jpeg")

    def encode(quality: int) -> bytes:
        return coder.encode(pixels, quality)

    for target in (2500, 4000, 9000):
        quality, data = largest_within(encode, target, 1, 100)
        assert len(data) <= target < len(coder.encode(pixels, quality + 1))
    assert largest_within(encode, 10**9, 1, 95)[0] == 95
    with pytest.raises(EvaluationError, match="expected at most 10"):
        largest_within(encode, 10, 1, 100)


def test_markdown_has_all_tables(report: Report) -> None:
    text = (report.folder / "report.md").read_text(encoding="utf-8")
    against = report.deltas["psnr"]["webp"]
    assert isinstance(against, BD) and against.interval
    low, high = against.interval
    assert f"| webp | {against.percent:+.1f} % ({low:+.1f} to {high:+.1f}) |" in text
    assert f"{100 * against.overlap:.0f} % |" in text
    curve = report.result.curves["jpeg"]
    for i, quality in enumerate(curve.quality):
        assert f"| {quality:g} | {curve.bpp[i]:.4f} | {curve.values['psnr'][i]:.2f} |" in text
    for line in text.splitlines():
        if line.startswith("|"):  # a row has as many cells as its head
            assert line.endswith("|")
    assert "BT.601" not in text, "only the metrics of this run are defined"
    assert "not that one" in text
    assert report.result.provenance.machine in text


def test_figures_are_reproducible(report: Report, tmp_path: Path) -> None:
    summed = digest(report.result, report.deltas)
    again = draw(summed, tmp_path / "again")
    assert again[0].read_bytes() == (report.folder / "rd.svg").read_bytes()
    with Image.open(again[1]) as image:
        assert image.width > 1500
    assert "bits per pixel" in again[0].read_text()


def test_a_metric_with_lower_values_for_better_pictures(report: Report) -> None:
    rows = [
        dataclasses.replace(row, metrics={"lpips": 1 / (row.metrics or {})["psnr"]})  # type: ignore[operator]
        for row in report.result.rows
        if row.codec != "png" and not row.error and row.picture != HOSTILE
    ]
    own = sheets([row.flat() for row in rows], ["lpips"])
    result = dataclasses.replace(
        report.result,
        plan=dataclasses.replace(report.result.plan, metrics=("lpips",)),
        rows=tuple(rows),
        sheets=own,
        curves={name: sheet.curve() for name, sheet in own.items()},
    )
    summed = digest(result, {})
    (axis,) = summed.axes
    assert axis.title == "LPIPS (Alex), less is better"
    found = summed.matrix["lpips"]["webp"]["jpeg"].bd
    assert found and found.percent < 0 and found.high < 0
    ends = f"{-found.high:.4g} to {-found.low:.4g} |"
    assert ends in markdown(summed)


@pytest.mark.parametrize(
    "settings",
    [
        {"codecs": ("png",)},  # one point, without loss
        {"codecs": ("jpeg",), "metrics": ("psnr",)},  # nothing to compare with
        {"codecs": ("jpeg", "webp"), "qualities": {"": (40.0,)}, "metrics": ("psnr",)},
    ],
    ids=["lossless", "alone", "curves of one point"],
)
def test_a_minimal_measurement_has_a_report(
    settings: dict[str, Any], pictures: Path, tmp_path: Path
) -> None:
    made = report_of(run(pictures, tmp_path / "run", **settings), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "## Means" in text
    assert all(math.isfinite(line["bpp"][0]) for line in payload(made)["lines"])


def test_a_measurement_with_failures_only_has_a_report(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Jpeg, image: np.ndarray, quality: float) -> bytes:
        raise RuntimeError("not today")

    monkeypatch.setattr(Jpeg, "encode", broken)
    made = report_of(run(pictures, tmp_path / "run", codecs=("jpeg",)), tmp_path)
    assert payload(made)["lines"] == []
    assert "failed on every picture" in made.html.read_text(encoding="utf-8")


def test_a_published_anchor_leaves_pictures_to_the_first_codec(
    report: Report, pictures: Path, tmp_path: Path
) -> None:
    result = run(
        pictures,
        tmp_path / "run",
        metrics=("psnr",),
        references=(report.folder / "vtm.json",),
        anchor="vtm",
    )
    summed = digest(result, deltas_of(result))
    assert (summed.anchor, summed.picture_anchor) == ("published/vtm", "jpeg")
    assert list(summed.per_picture["psnr"]) == ["webp"]


def test_missing_packages_raise_errors_before_any_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready()
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(ArgumentError, match=r"plotly: pip install 'quantal\[eval\]'"):
        ready()
