"""A measurement from labelled pictures to reports: resumed, failing, and by the command line."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from quantal.cli._guard import guarded
from quantal.cli.eval_perception import perception
from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval.perception import Plan, document, evaluate, measure, result
from quantal.eval.perception.figures import Interval
from quantal.eval.rows import read_table

from .conftest import Kit

LOW: Mapping[str, tuple[float, ...]] = {"jpeg": (1, 20, 80)}


def plan(kit: Kit, task: str, **change: Any) -> Plan:
    base = Plan(
        ("jpeg",),
        kit.data,
        task,
        str(kit.model),
        kit.data.parent / "out",
        qualities=LOW,
        preprocess=kit.preprocess,
        jobs=0,
        metrics=("psnr",),
    )
    return replace(base, **change)


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


EVERYTHING = [
    "perception.csv",
    "perception.json",
    "perception.jsonl",
    "perception.parquet",
    "perception.png",
    "perception.svg",
    "report.html",
    "report.md",
]


@pytest.mark.parametrize(
    ("kit", "task", "expected"),
    [
        ("classify", "classify", {"top1": 100, "top5": 100}),
        ("segment", "segment", {"miou": 100, "pixels": 100}),
        ("read", "read", {"cer": 0, "lines": 100}),
        # One of two boxes is detected; the detection in the other picture is wrong.
        ("detect", "detect", {"ap": 100 * 51 / 101, "ap50": 100 * 51 / 101}),
    ],
    indirect=["kit"],
)
def test_each_task_from_pictures_to_reports(
    kit: Kit, task: str, expected: dict[str, float]
) -> None:
    for package in ("polars", "plotly", "matplotlib", "bjontegaard"):
        pytest.importorskip(package)
    # png is lossless, so scores are unchanged; JPEG at its lowest quality lowers them.
    found = evaluate(plan(kit, task, codecs=("jpeg", "png")))
    assert sorted(path.name for path in found.plan.out.iterdir()) == EVERYTHING
    original = found.figures.originals["as exported"]
    assert {name: one.value for name, one in original.items()} == pytest.approx(expected)
    jpeg, png = found.curves
    assert [point.quality for point in jpeg.points] == [1, 20, 80]
    assert [point.bpp for point in jpeg.points] == sorted(point.bpp for point in jpeg.points)
    for name in expected:
        assert png.points[0].lost[name] == Interval(0, 0, 0)
        assert png.points[0].scores[name].value == pytest.approx(expected[name])
    assert math.isinf(png.points[0].metrics["psnr"])
    content = document(found)
    assert json.loads((found.plan.out / "perception.json").read_text()) == json.loads(
        json.dumps(content, allow_nan=False)
    )
    rows = read_table(found.plan.out / "perception.parquet")
    assert [(row["codec"], row["quality"]) for row in rows] == [
        ("jpeg", 1),
        ("jpeg", 20),
        ("jpeg", 80),
        ("png", 0),
    ]
    page = (found.plan.out / "report.html").read_text()
    assert "Plotly.newPlot" in page and "<script src=" not in page
    assert "## Where points are lost" in (found.plan.out / "report.md").read_text()


def test_rates_are_those_of_the_files(classify: Kit) -> None:
    study = measure(plan(classify, "classify", limit=1))
    (entry,) = study.entries["jpeg", 20.0, "as exported"].values()
    from quantal.eval.codecs import codec

    pixels = np.asarray(Image.open(study.dataset.samples[0].path))
    data = codec("jpeg").encode(pixels, 20)
    assert entry["bytes"] == len(data)
    assert entry["bpp"] == pytest.approx(8 * len(data) / (24 * 16))


def test_finished_work_is_not_repeated(classify: Kit) -> None:
    asked = plan(classify, "classify")
    calls: list[tuple[int, int]] = []
    measure(asked, lambda done, of: calls.append((done, of)))
    assert calls == [(i, 36) for i in range(1, 37)]
    journal = asked.out / "perception.jsonl"
    whole = journal.read_text()
    calls.clear()
    again = measure(asked, lambda done, of: calls.append((done, of)))
    assert calls == [] and journal.read_text() == whole

    # An incomplete line is measured again.
    journal.write_text(whole[:-40])
    resumed = measure(asked, lambda done, of: calls.append((done, of)))
    assert calls == [(1, 1)]
    assert result(asked, resumed).figures.originals == result(asked, again).figures.originals

    # Missing metrics are measured; originals have none.
    calls.clear()
    measure(replace(asked, metrics=("psnr", "ssim")), lambda done, of: calls.append((done, of)))
    assert len(calls) == 27

    # A changed picture is measured again.
    path = classify.data / "red" / "0.png"
    Image.new("RGB", (24, 16), (255, 0, 0)).save(path)
    calls.clear()
    measure(asked, lambda done, of: calls.append((done, of)))
    assert len(calls) == 4


def test_a_changed_mask_is_measured_again(segment: Kit) -> None:
    asked = plan(segment, "segment")
    measure(asked)
    Image.new("L", (24, 16), 2).save(segment.data / "masks" / "1.png")
    calls: list[int] = []
    study = measure(asked, lambda done, of: calls.append(of))
    assert calls == [4] * 4
    assert result(asked, study).figures.originals["as exported"]["miou"].value < 100


def test_figures_are_reproducible(classify: Kit) -> None:
    asked = plan(classify, "classify")
    study = measure(asked)
    first, second = (document(result(asked, study)) for _ in range(2))
    assert first == second


def test_a_codec_that_fails_on_a_picture(classify: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    from quantal.eval.classical.still import Jpeg

    encode = Jpeg.encode

    def fragile(self: Jpeg, image: Pixels, quality: float) -> bytes:
        if quality == 20 and image[..., 0].mean() > 150:
            raise RuntimeError("no red pictures")
        return encode(self, image, quality)

    monkeypatch.setattr(Jpeg, "encode", fragile)
    asked = plan(classify, "classify")
    found = evaluate(asked)
    assert len(found.study.failures) == 3
    assert found.study.failures[0]["error"] == "RuntimeError: no red pictures"
    (curve,) = found.curves
    # A picture that failed at one quality is excluded at all qualities.
    assert [point.pictures for point in curve.points] == [6, 6, 6]
    for point in curve.points:
        entries = found.study.entries["jpeg", point.quality, "as exported"]
        others = [entries[name] for name in entries if not name.startswith("red")]
        assert point.bpp == pytest.approx(np.mean([entry["bpp"] for entry in others]))
        assert point.metrics["psnr"] == pytest.approx(
            np.mean([e["metrics"]["psnr"] for e in others])
        )
    # Losses are against the originals of the same pictures.
    assert curve.points[1].lost["top1"].value == 0
    report = (asked.out / "report.md").read_text()
    assert "6 of 9" in report and "no red pictures" in report
    assert "left out at all qualities" in report

    monkeypatch.setattr(Jpeg, "encode", encode)
    calls: list[int] = []
    again = measure(asked, lambda done, of: calls.append(of))
    assert calls == [3, 3, 3] and not again.failures  # failures are tried again


def test_a_codec_that_fails_on_every_picture(
    classify: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantal.eval.classical.still import Jpeg

    def broken(self: Jpeg, image: Pixels, quality: float) -> bytes:
        raise RuntimeError("not today")

    monkeypatch.setattr(Jpeg, "encode", broken)
    found = evaluate(plan(classify, "classify"))
    assert found.curves == () and len(found.study.failures) == 27
    assert "not today" in (found.plan.out / "report.md").read_text()


def test_a_decoder_that_changes_the_size(classify: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    from quantal.eval.classical.still import Jpeg

    decode = Jpeg.decode
    monkeypatch.setattr(Jpeg, "decode", lambda self, data: decode(self, data)[:-1])
    study = measure(plan(classify, "classify", limit=1))
    assert "picture [15, 24, 3] for one [16, 24, 3]" in study.failures[0]["error"]


def test_a_picture_of_one_pixel_and_a_metric_that_has_no_value(classify: Kit) -> None:
    Image.new("RGB", (1, 1), (9, 9, 99)).save(classify.data / "blue" / "9.png")
    study = measure(plan(classify, "classify", metrics=("psnr", "ssim")))
    assert not study.failures
    entry = study.entries["jpeg", 80.0, "as exported"]["blue/9.png"]
    assert entry["metrics"]["ssim"] is None and entry["prediction"][0] == 0
    assert study.dataset.classes[0] == "blue"


def test_metrics_are_paired_with_the_scores_of_their_pictures(classify: Kit) -> None:
    # Too small for SSIM, and always misclassified: red in the folder of blue pictures.
    Image.new("RGB", (8, 8), (200, 9, 9)).save(classify.data / "blue" / "9.png")
    found = result(asked := plan(classify, "classify", metrics=("psnr", "ssim")), measure(asked))
    for point in found.curves[0].points:
        assert point.pictures == 10 and point.scores["top1"].value == pytest.approx(90)
        assert point.paired == {"psnr": pytest.approx(90), "ssim": pytest.approx(100)}


def test_masks_without_a_class_that_is_known(segment: Kit) -> None:
    for value in (255, 7):
        for mask in (segment.data / "masks").iterdir():
            Image.new("L", (24, 16), value).save(mask)
        with pytest.raises(EvaluationError, match="no mask has a pixel of a class of the model"):
            measure(plan(segment, "segment"))
        assert not (segment.data.parent / "out" / "perception.jsonl").exists()


def test_originals_that_hold_nothing_to_score(segment: Kit) -> None:
    # The only mask with known classes has another size than its picture, which is a failure.
    for mask in (segment.data / "masks").iterdir():
        Image.new("L", (24, 16), 255).save(mask)
    Image.new("L", (4, 4), 1).save(segment.data / "masks" / "0.png")
    study = measure(asked := plan(segment, "segment"))
    with pytest.raises(EvaluationError, match=r"of the 2 originals .* nothing to score: mIoU"):
        result(asked, study)


def test_outputs_that_would_become_data(classify: Kit) -> None:
    (link := classify.data.parent / "link").symlink_to(classify.data)
    for out in (classify.data, classify.data / "deep" / "out", link / "out"):
        with pytest.raises(ArgumentError, match="would become data"):
            measure(plan(classify, "classify", out=out))
    assert not (classify.data / "deep").exists()


def test_a_picture_that_is_none(classify: Kit) -> None:
    (classify.data / "blue" / "9.png").write_bytes(b"nonsense")
    study = measure(plan(classify, "classify"))
    assert len(study.failures) == 4 and "is not a picture" in study.failures[0]["error"]


def test_workers_predict_the_same(classify: Kit) -> None:
    pytest.importorskip("pebble")
    here = measure(plan(classify, "classify", limit=3))
    there = measure(plan(classify, "classify", limit=3, jobs=1, out=classify.data.parent / "other"))
    assert here.entries == there.entries


def test_precisions_share_a_coding_and_make_a_grid(tmp_path: Path, classify: Kit) -> None:
    import torch
    import torchvision

    torch.manual_seed(0)
    weights = tmp_path / "three.pth"
    network = torchvision.models.get_model("squeezenet1_1", weights=None, num_classes=3)
    torch.save(network.state_dict(), weights)
    asked = plan(
        classify,
        "classify",
        model="squeezenet1_1",
        weights=weights,
        preprocess=None,
        limit=3,
        precisions=("float32", "int8"),
    )
    found = evaluate(asked)
    assert set(found.figures.originals) == {"float32", "int8"}
    assert len(found.figures.curves) == 2 and len(found.curves) == 1
    assert "| codec | quality | bpp | float32 | int8 |" in (asked.out / "report.md").read_text()
    calls: list[int] = []
    measure(replace(asked, precisions=("int8",)), lambda done, of: calls.append(of))
    assert calls == []


def test_pictures_that_are_not_rounded_are_rounded_for_models() -> None:
    from quantal.eval.perception.look import to_bytes

    drawn = np.array([[[-3.0, 0.4, 0.6]], [[254.4, 254.6, 300.0]]], np.float32)
    np.testing.assert_array_equal(to_bytes(drawn), [[[0, 0, 1]], [[254, 255, 255]]])


def test_invalid_arguments(classify: Kit) -> None:
    def refused(match: str, **change: Any) -> None:
        with pytest.raises(ArgumentError, match=match):
            measure(plan(classify, "classify", **change))

    refused("did you mean 'jpeg'", codecs=("jepg",))
    refused("did you mean 'psnr'", metrics=("psmr",))
    refused("unknown codec in the list of qualities: 'webp'", qualities={"webp": (1.0,)})
    refused("'jpeg' has no quality 200", qualities={"jpeg": (200.0,)})
    refused("precision 'int8' is not possible", precisions=("int8",))
    out = classify.data.parent / "strange"
    out.mkdir()
    (out / "perception.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(EvaluationError, match="not a journal of this measurement"):
        measure(plan(classify, "classify", out=out))


def test_a_model_that_fails_on_everything(classify: Kit) -> None:
    from . import onnx_writer as onnx

    deaf = onnx.write(
        classify.model.with_name("deaf.onnx"), [onnx.node("Identity", ["x"], "y")], (2,), (2,)
    )
    with pytest.raises(EvaluationError, match=r"failed on all 9 originals; .*rejected"):
        evaluate(plan(classify, "classify", model=str(deaf)))


def command(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(guarded(perception))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_line(classify: Kit, tmp_path: Path) -> None:
    arguments = [
        "--codecs=jpeg:progressive=no,webp",
        "--data", classify.data,
        "--task=classify",
        "--model", classify.model,
        "--preprocess", classify.preprocess,
        "--out", tmp_path / "out",
        "--qualities=5,50",
        "--qualities=webp=0,90",
        "--metrics=psnr",
        "--jobs=0",
    ]  # fmt: skip
    call = command(*arguments)
    assert call.exit_code == 0, call.output
    assert "Where points are lost" in call.stdout and "report.html" in call.stdout

    call = command(*arguments, "--json")
    printed = json.loads(call.stdout)
    first, webp = printed["codecs"]
    assert webp == "webp" and first.startswith("jpeg")
    assert [point["quality"] for point in printed["codecs"]["webp"]["points"]] == [0, 90]
    assert printed["original"]["as exported"]["top1"]["value"] == 100
    assert printed["model"] == "most.onnx" and printed["pictures"] == 9

    (classify.data / "blue" / "9.png").write_bytes(b"nonsense")
    call = command(*arguments)
    assert call.exit_code == 1 and "blue/9.png" in call.stderr
    call = command(*arguments, "--task=clasify")
    assert call.exit_code == 2 and "did you mean 'classify'" in call.stderr


#: A measurement whose JPEG encoder gets its process killed by pictures that are mostly blue.
DEADLY = """
import json, os, signal, sys
from quantal.eval.classical.still import Jpeg

encode = Jpeg.encode

def deadly(self, image, quality):
    red, _, blue = image.reshape(-1, 3).mean(0)
    if blue > red + 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(self, image, quality)

Jpeg.encode = deadly
if __name__ == "__main__":
    from quantal.eval.perception import Plan, measure
    data, model, how, out = sys.argv[1:]
    grid = {"": (60.0,)}
    plan = Plan(("jpeg",), data, "classify", model, out, grid, preprocess=how, jobs=2)
    print(json.dumps([[one["picture"], one["error"]] for one in measure(plan).failures]))
"""


def test_a_killed_worker_costs_its_own_answers(classify: Kit, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(DEADLY)
    words = (script, classify.data, classify.model, classify.preprocess, tmp_path / "out")
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    failed = dict(json.loads(done.stdout))
    assert set(failed) == {f"blue/{i}.png" for i in range(3)}
    assert all("because memory ran out" in reason for reason in failed.values())
