"""File names of any bytes: pictures, classes and models in journals, tables and reports."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from quantal.cli import app
from quantal.errors import EvaluationError
from quantal.eval.perception import evaluate
from quantal.eval.perception.tasks import task

from .conftest import Kit
from .test_run import plan

NOBODY = 65534


def named(folder: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


@pytest.mark.parametrize(
    ("kit", "name"), [(n, n) for n in ("classify", "segment", "read")], indirect=["kit"]
)
def test_a_whole_measurement(kit: Kit, name: str) -> None:
    data = named(kit.data.parent, b"d\xe4ta")
    kit.data.rename(data)
    old = "red/0" if name == "classify" else "images/0"
    for folder in (old.partition("/")[0], "masks", "text"):
        for path in (data / folder).glob("0.*") if (data / folder).is_dir() else ():
            path.rename(named(path.parent, b"caf\xe9" + path.suffix.encode()))
    model = named(kit.data.parent, b"m\xf6del.onnx")
    kit.model.rename(model)
    out = named(kit.data.parent, b"\xfcber")
    found = evaluate(plan(replace(kit, data=data, model=model), name, out=out))
    assert found.study.failures == []
    assert any(r"caf\xe9.png" in sample.name for sample in found.study.dataset.samples)
    for path in out.iterdir():
        if path.suffix not in (".png", ".parquet"):
            assert "\\udc" not in path.read_text("utf-8")
    assert r"m\xf6del.onnx" in (out / "report.md").read_text("utf-8")
    assert json.loads((out / "perception.json").read_text("utf-8"))["data"].endswith(r"d\xe4ta")


def test_classes_that_look_alike_stay_apart(classify: Kit) -> None:
    (classify.data / "red").rename(named(classify.data, b"r\xe9d"))
    shutil.copytree(named(classify.data, b"r\xe9d"), named(classify.data, rb"r\xe9d"))
    found = task("classify").load(classify.data)
    assert set(found.classes) == {"blue", "green", r"r\xe9d", r"r\xe9d (2)"}
    assert len({sample.name for sample in found.samples}) == 12
    assert len({sample.truth for sample in found.samples}) == 4


def test_texts_of_a_coco_file_that_no_file_holds(detect: Kit) -> None:
    path = detect.data / "boxes.json"
    whole = json.loads(path.read_text())
    whole["categories"][0]["name"] = "\ud800thing"
    whole["images"][1]["file_name"] = os.fsdecode(b"\xe9.png")
    path.write_text(json.dumps(whole))
    with pytest.raises(EvaluationError, match=r"names the picture \\xe9.png, which is not there"):
        task("detect").load(detect.data)
    (detect.data / "images" / "1.png").rename(named(detect.data / "images", b"\xe9.png"))
    found = task("detect").load(detect.data)
    assert found.classes == (r"\ud800thing",)
    assert [sample.name for sample in found.samples] == ["0.png", r"\xe9.png"]


def test_what_cannot_be_read_is_named_and_the_rest_is_measured(classify: Kit) -> None:
    (classify.data / "red" / "0.png").unlink()
    (classify.data / "red" / "0.png").symlink_to("nothing.png")
    os.mkfifo(classify.data / "blue" / "pipe.png")
    found = evaluate(plan(classify, "classify"))
    reasons = {entry["picture"]: entry["error"] for entry in found.study.failures}
    assert reasons["red/0.png"].startswith("can't be opened: No such file")
    assert reasons["blue/pipe.png"] == "is not a file"
    assert len(reasons) == 2 and found.curves[0].points[0].pictures == 8


def test_a_folder_of_a_class_that_may_not_be_listed(small_photograph: Image.Image) -> None:
    with tempfile.TemporaryDirectory() as name:
        root, own = Path(name), os.geteuid()
        if own == 0:  # root may list everything
            os.chown(root, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            for label in ("cat", "dog"):
                (root / label / "more").mkdir(parents=True)
                small_photograph.save(root / label / "0.png")
            (root / "cow").symlink_to("nowhere")
            (root / "dog" / "more").chmod(0)
            found = task("classify").load(root)
            (root / "dog" / "more").chmod(0o700)
        finally:
            os.seteuid(own)
    assert [sample.name for sample in found.samples] == ["cat/0.png", "dog/0.png"]
    assert found.unreadable == {
        "cow": "is a link to nothing",
        "dog/more": "can't be listed: Permission denied",
    }


def test_the_command_names_what_it_left(classify: Kit) -> None:
    (classify.data / "cow").symlink_to("nowhere")
    words = (
        "eval", "perception", "--codecs", "jpeg", "--data", classify.data, "--task", "classify",
        "--model", classify.model, "--preprocess", classify.preprocess, "--qualities", "20,80",
        "--metrics", "psnr", "--jobs", "0", "--out", classify.data.parent / "out",
    )  # fmt: skip
    call = CliRunner().invoke(app, [str(word) for word in words])
    assert call.exit_code == 1 and "cow: is a link to nothing" in call.stderr
