"""Preprocessing of pictures and postprocessing of outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantal.errors import ArgumentError, ModelError
from quantal.eval.perception.inputs import Fit, Preprocess, prepare, read_preprocess
from quantal.eval.perception.outputs import (
    characters,
    classes,
    read_ctc,
    read_map,
    read_yolox,
)

PLAIN = Preprocess((4, 6), "map", scale=1)


def test_stretching_keeps_samples_of_a_picture_that_fits() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    values, fit = prepare(pixels, PLAIN)
    np.testing.assert_array_equal(values[0].transpose(1, 2, 0), pixels)
    assert fit == Fit(4, 6, 4, 6)


def test_channels_layout_and_scaling() -> None:
    pixels = np.full((4, 6, 3), (10, 20, 30), np.uint8)
    how = Preprocess(
        (4, 6), "map", channels="bgr", layout="nhwc", scale=0.1, mean=(1, 1, 1), std=(2, 1, 1)
    )
    values, _ = prepare(pixels, how)
    assert values.shape == (1, 4, 6, 3) and values.dtype == np.float32
    np.testing.assert_allclose(values[0, 0, 0], [1, 1, 0], atol=1e-6)


def test_a_letterbox_pads_below_and_to_the_right() -> None:
    pixels = np.full((20, 10, 3), 200, np.uint8)
    values, fit = prepare(pixels, Preprocess((8, 8), "yolox", "letterbox", pad=114, scale=1))
    assert fit == Fit(20, 10, 8, 4)
    assert (values[0, :, :, :4] == 200).all() and (values[0, :, :, 4:] == 114).all()


def test_a_crop_takes_the_centre() -> None:
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    how = Preprocess((10, 10), "classes", "crop", shorter_side=10, scale=1)
    assert (prepare(pixels, how)[0] == 255).all()


def test_lines_keep_their_proportions_and_a_least_width() -> None:
    how = Preprocess((16, 40), "ctc", "height", pad=127, scale=1)
    values, fit = prepare(np.zeros((32, 50, 3), np.uint8), how)
    assert values.shape == (1, 3, 16, 40) and fit.columns == 25
    assert (values[..., 25:] == 127).all() and (values[..., :25] == 0).all()
    assert prepare(np.zeros((8, 50, 3), np.uint8), how)[0].shape == (1, 3, 16, 100)


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop", "height"])
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_every_size_becomes_an_input(resize: Any, height: int, width: int) -> None:
    how = Preprocess((8, 8), "classes", resize, shorter_side=9)
    values, _ = prepare(np.zeros((height, width, 3), np.uint8), how)
    assert values.shape[2] == 8 and values.shape[3] >= 8


def test_settings_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("road\nsky\n")
    path = tmp_path / "how.json"
    path.write_text(
        json.dumps({"size": [4, 6], "output": "map", "names": "names.txt", "std": [2, 2, 2]})
    )
    assert read_preprocess(path) == Preprocess((4, 6), "map", names=("road", "sky"), std=(2, 2, 2))


def test_settings_in_yaml(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "how.yaml"
    path.write_text("size: [4, 6]\noutput: classes\nnames: 2\n")
    assert read_preprocess(path) == Preprocess((4, 6), "classes", names=("0", "1"))
    path.write_text("size: [4, 6\n")
    with pytest.raises(ArgumentError, match="not valid YAML"):
        read_preprocess(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"chanels": "bgr"}, "did you mean 'channels'"),
        ({"size": None}, "'size' is None, expected a list of 2 numbers"),
        ({"size": [0, 4]}, "expected .height, width. above 0"),
        ({"output": "boxes"}, "'output' is 'boxes', expected classes or yolox or map or ctc"),
        ({"std": [1, 0, 1]}, "'std' has a 0"),
        ({"mean": [1, "a", 1]}, "'mean' is .*expected a list of 3 numbers"),
        ({"scale": "1/255"}, "'scale' is '1/255', expected a number"),
        ({"names": []}, "has no 'names'"),
        ({"names": "none.txt"}, "'names' none.txt can't be opened"),
        ({"names": 1.5}, "must be a list, a text file or a number"),
        ({"resize": "crop"}, "'resize' is crop, which removes"),
        ({"resize": "crop", "output": "classes", "shorter_side": 3}, "at least 6, the crop"),
    ],
)
def test_invalid_settings(tmp_path: Path, change: dict[str, object], match: str) -> None:
    path = tmp_path / "how.json"
    path.write_text(json.dumps({"size": [4, 6], "output": "map", "names": 3, **change}))
    with pytest.raises(ArgumentError, match=match):
        read_preprocess(path)


def test_invalid_files_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "how.json"
    for text, match in (("{", "not valid JSON"), ("[]", "not an object"), ("{}", "has no 'size'")):
        path.write_text(text)
        with pytest.raises(ArgumentError, match=match):
            read_preprocess(path)
    with pytest.raises(ArgumentError, match="can't be opened"):
        read_preprocess(tmp_path / "none.json")


def yolox(*cells: tuple[int, list[float]]) -> NDArray[np.float32]:
    """Output for 32 x 32 with two classes: silent but for the cells named."""
    output = np.zeros((1, 21, 7), np.float32)
    for index, values in cells:
        output[0, index] = values
    return output


def test_a_box_is_found_in_the_picture_s_pixels() -> None:
    # Stride 8, cell (2, 1): centre (16 + 4, 8 + 0), 16 wide, 8 high, in half-size input.
    output = yolox((6, [0.5, 0, np.log(2), 0, 0.9, 0.1, 0.8]))
    found = read_yolox(output, (32, 32), Fit(40, 64, 20, 32), 0.01, 0.65, 2)
    np.testing.assert_allclose(found.boxes, [[24, 8, 56, 24]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.72])
    assert found.classes.tolist() == [1]


def test_overlapping_boxes_of_a_class_are_suppressed() -> None:
    one = [0.5, 0, np.log(2), 0, 0.9, 0.8, 0.1]
    weaker = [-0.5, 0, np.log(2), 0, 0.9, 0.6, 0.1]
    other = [-0.5, 0, np.log(2), 0, 0.9, 0.1, 0.6]
    faint = [0, 0, 0, 0, 0.05, 0.1, 0.1]
    fit = Fit(32, 32, 32, 32)
    found = read_yolox(yolox((6, one), (7, weaker), (0, faint)), (32, 32), fit, 0.01, 0.65, 2)
    np.testing.assert_allclose(found.scores, [0.72])
    found = read_yolox(yolox((6, one), (7, other)), (32, 32), fit, 0.01, 0.65, 2)
    assert found.classes.tolist() == [0, 1]
    none = read_yolox(yolox(), (32, 32), fit, 0.01, 0.65, 2)
    assert none.boxes.shape == (0, 4)


def test_a_map_is_cropped_and_resized_to_the_picture() -> None:
    indices = np.zeros((1, 8, 8), np.int64)
    indices[0, :4, 4:], indices[0, 4:] = 1, 2
    fit = Fit(8, 16, 4, 8)  # the upper half is the picture
    result = read_map(indices, (8, 8), fit, 3)
    assert result.shape == (8, 16)
    assert (result[:, :8] == 0).all() and (result[:, 8:] == 1).all()
    scores = np.eye(3, dtype=np.float32)[indices]
    for layout in (scores, scores.transpose(0, 3, 1, 2)):
        np.testing.assert_array_equal(read_map(layout, (8, 8), fit, 3), result)


def test_text_has_no_blanks_and_no_repetitions() -> None:
    steps = np.eye(4)[[1, 1, 0, 1, 2, 2, 3, 0]][None]
    assert read_ctc(steps, ("a", "b", " ")) == "aab "
    assert characters("a\nb", 4) == ("a", "b", " ")
    assert characters("a\nb\n", 3) == ("a", "b")
    assert characters("a\nb", 3) == ("a", "b")


def test_outputs_of_another_shape_are_refused() -> None:
    fit = Fit(8, 8, 8, 8)
    with pytest.raises(ModelError, match=r"5 scores .*but 3 classes are named"):
        classes(np.zeros((1, 5)), 3)
    with pytest.raises(ModelError, match=r"expected \[1, 21, 7\]"):
        read_yolox(np.zeros((1, 21, 85)), (32, 32), fit, 0.01, 0.65, 2)
    with pytest.raises(ModelError, match="expected a map"):
        read_map(np.zeros((1, 7)), (8, 8), fit, 3)
    with pytest.raises(ModelError, match="a blank and 2 characters"):
        read_ctc(np.zeros((1, 4, 9)), ("a", "b"))
