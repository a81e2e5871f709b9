"""Data sets on disk, and errors of invalid ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval.perception import measure
from quantal.eval.perception.classes import match, read_pairs
from quantal.eval.perception.tasks import task

from .conftest import Kit
from .test_run import plan


def grey(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), 90).save(path)


def test_class_folders_and_classes_in_file_names(tmp_path: Path) -> None:
    for name in ("n2/x.png", "n1/b.png", "n1/deeper/a.PNG"):
        grey(tmp_path / "folders" / name)
    found = task("classify").load(tmp_path / "folders")
    assert found.classes == ("n1", "n2")
    assert [(s.name, s.truth) for s in found.samples] == [
        ("n1/b.png", 0),
        ("n1/deeper/a.PNG", 0),
        ("n2/x.png", 1),
    ]
    grey(tmp_path / "flat" / "n01440764_tench.png")
    assert task("classify").load(tmp_path / "flat").classes == ("n01440764_tench",)
    grey(tmp_path / "flat" / "holiday.png")
    with pytest.raises(EvaluationError, match=r"holiday.png names no class \(1 such of 2"):
        task("classify").load(tmp_path / "flat")


def test_a_limit_spreads_over_the_classes(classify: Kit) -> None:
    found = task("classify").load(classify.data).limited(3)
    assert [sample.truth for sample in found.samples] == [0, 1, 2]
    with pytest.raises(ArgumentError, match="at least 1"):
        found.limited(0)


@pytest.mark.parametrize("name", ["classify", "detect", "segment", "read"])
def test_data_that_are_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"there is no .*; expected "):
        task(name).load(tmp_path / "nothing")
    with pytest.raises(EvaluationError, match="expected"):
        task(name).load(tmp_path)


def test_an_unknown_task() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'segment'"):
        task("segmentation")


def test_masks_have_to_be_there_and_be_indices(segment: Kit) -> None:
    found = task("segment").load(segment.data)
    assert found.classes == ("0", "1", "2") and len(found.samples) == 3
    mask = segment.data / "masks" / "1.png"
    Image.open(mask).convert("RGB").save(mask)
    with pytest.raises(EvaluationError, match="mask of mode RGB"):
        task("segment").load(segment.data)
    mask.unlink()
    with pytest.raises(EvaluationError, match="has no mask"):
        task("segment").load(segment.data)


def test_lines_of_text(read: Kit) -> None:
    (first, _) = task("read").load(read.data).samples
    assert [line.text for line in first.truth] == ["aa bb"]
    path = read.data / "text" / "0.csv"
    path.write_text("4,10,76,10,76,26,4,26,one, two\n\n4,10,76,10,76,26,4,26, \n")
    assert [line.text for line in task("read").load(read.data).samples[0].truth] == ["one, two"]
    for wrong in ("1,2,3,total", "1,2,3,4,5,6,7,total", "nan,2,3,4,5,6,7,8,total"):
        path.write_text(wrong)
        with pytest.raises(EvaluationError, match=r"line 1 is .*expected eight numbers"):
            task("read").load(read.data)
    path.write_text("\n")
    with pytest.raises(EvaluationError, match="no line of text"):
        task("read").load(read.data)


def test_boxes_of_a_coco_file(detect: Kit) -> None:
    for data in (detect.data, detect.data / "boxes.json"):
        found = task("detect").load(data)
        assert found.classes == ("thing",)
        assert [s.truth[0].place for s in found.samples] == [(8, 8, 16, 8), (0, 20, 6, 6)]


def test_coco_files_that_lack_something(detect: Kit) -> None:
    path = detect.data / "boxes.json"
    whole = json.loads(path.read_text())

    def refused(match: str) -> None:
        with pytest.raises(EvaluationError, match=match):
            task("detect").load(detect.data)

    path.write_text("{")
    refused("is not valid JSON")
    path.write_text(json.dumps({**whole, "categories": []}))
    refused("has no categories")
    path.write_text(json.dumps({**whole, "annotations": [{"image_id": 7, "category_id": 3}]}))
    refused("an entry of annotations has no bbox")
    path.write_text(
        json.dumps(
            {**whole, "annotations": [{"image_id": 99, "category_id": 3, "bbox": [0, 0, 1, 1]}]}
        )
    )
    refused("names an image or a category")
    path.write_text(json.dumps(whole))
    (detect.data / "more.json").write_text("{}")
    refused("holds 2 JSON files")
    (detect.data / "more.json").unlink()
    (detect.data / "images").rename(detect.data / "val2017")
    assert task("detect").load(detect.data).samples[0].path.is_file()
    (detect.data / "val2017" / "0.png").unlink()
    refused("names the picture 0.png, which is not there")


@pytest.mark.parametrize(
    ("key", "entry", "message"),
    [
        ("annotations", {"bbox": [1, 2]}, r"bbox \[1, 2\], expected four numbers"),
        ("annotations", {"bbox": [1, 2, None, 4]}, r"bbox \[1, 2, null, 4\], expected four"),
        ("annotations", {"bbox": [1, 2, "3", 4]}, "expected four numbers"),
        ("annotations", {"bbox": [1, 2, float("nan"), 4]}, "expected four numbers"),
        ("annotations", {"bbox": None}, "bbox null, expected four numbers"),
        ("annotations", {"area": None}, "area null, expected a number"),
        ("annotations", {"image_id": [7]}, r"image_id \[7\], expected a number or text"),
        ("annotations", {"category_id": {"a": 1}}, r"category_id \{.*expected a number or text"),
        ("images", {"id": [7]}, r"entry of images has the id \[7\], expected a number or text"),
        ("images", {"file_name": None}, "file_name null, expected text"),
        ("categories", {"id": None}, "entry of categories has the id null"),
        ("categories", {"name": ["a"]}, "expected a number or text"),
        ("images", None, "an entry of images is null, expected an object with id, file_name"),
        ("annotations", 5, "an entry of annotations is 5, expected an object with image_id"),
        ("categories", ["a"], r"an entry of categories is \[\"a\"\], expected an object"),
    ],
)
def test_coco_files_that_hold_something_else(
    detect: Kit, key: str, entry: object, message: str
) -> None:
    path = detect.data / "boxes.json"
    whole = json.loads(path.read_text())
    whole[key][1:] = [{**whole[key][0], **entry} if isinstance(entry, dict) else entry]
    path.write_text(json.dumps(whole))
    with pytest.raises(EvaluationError, match=message):
        task("detect").load(path)


def test_a_coco_file_whose_lists_are_none(detect: Kit) -> None:
    path = detect.data / "boxes.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "images": {"id": 7}}))
    with pytest.raises(EvaluationError, match=r"images is .*expected a list of objects"):
        task("detect").load(path)


@pytest.mark.parametrize("parts", [("val",), ("train", "val"), ("Train",)])
def test_a_folder_one_level_too_high(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        grey(tmp_path / part / "n01440764" / "a.png")
        grey(tmp_path / part / "n01443537" / "b.png")
    meant = tmp_path / parts[-1]
    with pytest.raises(EvaluationError, match=rf"n01440764/; .*{meant} seems to be meant"):
        task("classify").load(tmp_path)
    assert task("classify").load(meant).classes == ("n01440764", "n01443537")


def test_classes_that_are_called_as_parts_are(tmp_path: Path) -> None:
    grey(tmp_path / "train" / "steam.png")  # the vehicle
    assert task("classify").load(tmp_path).classes == ("train",)
    grey(tmp_path / "train" / "old" / "steam.png")
    grey(tmp_path / "bus" / "red.png")
    assert task("classify").load(tmp_path).classes == ("bus", "train")


def test_classes_match_by_name_by_pairs_and_in_order() -> None:
    model = ["background", "tench, Tinca tinca", "Potted-Plant", "couch"]
    assert match(model, ["n01440764_tench", "pottedplant"]) == (-1, 0, 1, -1)
    assert match(model, ["sofa"], {"couch": "sofa"}) == (-1, -1, -1, 0)
    assert match(model, ["sofa"], {"3": "sofa"}) == (-1, -1, -1, 0)
    assert match(model, ["fish"], {"Tinca tinca": "fish"}) == (-1, 0, -1, -1)
    assert match(["tench", "goldfish"], ["n01440764", "n01443537"]) == (0, 1)


def test_classes_that_do_not_match_are_named() -> None:
    with pytest.raises(EvaluationError, match=r"1 of the data set's 2 classes .*'sofa'.*--labels"):
        match(["cat", "couch", "dog"], ["cat", "sofa"])
    with pytest.raises(ArgumentError, match="'settee', which the model does not have"):
        match(["cat", "couch"], ["sofa"], {"settee": "sofa"})
    with pytest.raises(ArgumentError, match="'chair', which the data set does not have"):
        match(["cat", "couch"], ["sofa"], {"couch": "chair"})


def test_files_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text('{"car": 8, "truck": 8}')
    assert read_pairs(path) == {"car": "8", "truck": "8"}
    for wrong in ("[", "[1]", '{"car": [8]}'):
        path.write_text(wrong)
        with pytest.raises(ArgumentError, match=r"labels .*labels\.json"):
            read_pairs(path)
    with pytest.raises(ArgumentError, match="can't be opened"):
        read_pairs(tmp_path / "none.json")


def test_a_mask_of_another_size_is_refused(segment: Kit) -> None:
    asked = task("segment")
    (sample, *_) = asked.load(segment.data).samples

    class FixedModel:
        mapping = (0, 1, 2)

        def __call__(self, pixels: Pixels) -> NDArray[np.int64]:
            return np.zeros((4, 4), np.int64)

    with pytest.raises(EvaluationError, match="the mask is 24x16, its picture 4x4"):
        asked.predict(FixedModel(), np.zeros((4, 4, 3), np.uint8), sample)


def test_annotations_for_other_sizes_are_named(detect: Kit) -> None:
    path = detect.data / "boxes.json"
    whole = json.loads(path.read_text())

    def check(width: object, height: object, box: list[float]) -> None:
        changed = json.loads(json.dumps(whole))
        changed["images"][1] |= {"width": width, "height": height}
        changed["annotations"][1]["bbox"] = box
        path.write_text(json.dumps(changed))
        task("detect").check_data(task("detect").load(detect.data))

    inside = [0.0, 20, 6, 6]
    check(32, 32, inside)
    check(None, None, [0, 0, 33.5, 32])  # by rounding
    with pytest.raises(EvaluationError, match=r"1\.png: .* for 64x48 pixels, .* 32x32; scale"):
        check(64, 48, inside)
    with pytest.raises(EvaluationError, match=r"has the width 0 and the height 32, expected"):
        check(0, 32, inside)
    for box in ([20.0, 20, 40, 6], [-9.0, 0, 12, 12], [4.0, 4, -2, 3]):
        with pytest.raises(EvaluationError, match=r"1\.png: the box .* not inside .* 32x32"):
            check(None, None, box)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (32, 20)).save(detect.data / "images" / "1.png", exif=turned)
    with pytest.raises(EvaluationError, match=r"for 32x20 .* 20x32; .* EXIF orientation"):
        check(32, 20, [0, 0, 5, 5])
    check(20, 32, [0, 0, 5, 5])
    (detect.data / "images" / "1.png").unlink()
    with pytest.raises(EvaluationError, match=r"names the picture 1\.png, .*\(1 such of 2\)"):
        check(20, 32, [0, 0, 5, 5])


def test_masks_and_lines_for_other_sizes_are_named(segment: Kit, read: Kit) -> None:
    task("read").check_data(task("read").load(read.data))
    turned = Image.Exif()
    turned[0x0112] = 6
    picture = segment.data / "images" / "1.png"
    Image.open(picture).save(picture, exif=turned)
    failures = measure(plan(segment, "segment")).failures
    assert {entry["picture"] for entry in failures} == {"1.png"}
    assert "the mask is 24x16, its picture 16x24; expected equal" in failures[0]["error"]
    assert "EXIF orientation" in failures[0]["error"]
    (read.data / "text" / "1.csv").write_text("90,10,160,10,160,26,90,26,far away\n")
    with pytest.raises(EvaluationError, match=r"1\.png: the line 'far away' .* outside .* 80x40"):
        task("read").check_data(task("read").load(read.data))
