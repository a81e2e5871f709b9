"""Preprocessing of model files, described by a JSON or YAML file.

The file states input size, fitting, channels, scaling, layout and the kind of output (outputs.py).
docs/how-to/perception.md describes every key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError
from quantal.eval._optional import require, unknown

__all__ = ["Fit", "Preprocess", "prepare", "read_preprocess"]

Resize = Literal["stretch", "letterbox", "crop", "height"]
Output = Literal["classes", "yolox", "map", "ctc"]
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing and output of a model file.

    Attributes:
        size: Height and width of the input in pixels; a width of 0 follows from the height.
        output: The kind of output, see outputs.py.
        resize: "stretch" to `size`; "letterbox" keeps the aspect ratio and pads at the right and
            bottom; "crop" scales the shorter side to `shorter_side` and crops the centre;
            "height" scales to the height.
        shorter_side: Length in pixels, for "crop".
        interpolation: "nearest", "bilinear" or "bicubic".
        pad: Sample value of padding, 0..255.
        channels: Order of channels.
        scale: Samples 0..255 become (sample * scale - mean) / std.
        mean: See `scale`.
        std: See `scale`.
        layout: Order of dimensions.
        names: Names of classes, or characters, by index.
        floor: Minimum score of a box.
        overlap: IoU above which the lower of two boxes of a class is removed (NMS).
    """

    size: tuple[int, int]
    output: Output
    resize: Resize = "stretch"
    shorter_side: int = 0
    interpolation: str = "bilinear"
    pad: int = 0
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    layout: Literal["nchw", "nhwc"] = "nchw"
    names: tuple[str, ...] = ()
    floor: float = 0.01
    overlap: float = 0.65


@dataclass(frozen=True)
class Fit:
    """The area of a picture in a network's input, at its top left.

    Attributes:
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        rows: Height of the area in pixels.
        columns: Width of the area in pixels.
    """

    height: int
    width: int
    rows: int
    columns: int


def prepare(pixels: Pixels, how: Preprocess) -> tuple[NDArray[np.float32], Fit]:
    """Preprocess a picture.

    Args:
        pixels: The picture, uint8 [H, W, 3].
        how: The preprocessing.

    Returns:
        The input, float32 [1, 3, h, w] or [1, h, w, 3], and the area of the picture in it.
    """
    image = Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    rows, columns = how.size
    resample = _FILTERS[how.interpolation]
    if how.resize == "stretch":
        fit = Fit(height, width, rows, columns)
        image = image.resize((columns, rows), resample)
    elif how.resize == "letterbox":
        scale = min(rows / height, columns / width)
        fit = Fit(height, width, max(1, int(height * scale)), max(1, int(width * scale)))
        inner = image.resize((fit.columns, fit.rows), resample)
        image = Image.new("RGB", (columns, rows), (how.pad,) * 3)
        image.paste(inner)
    elif how.resize == "crop":
        scale = how.shorter_side / min(height, width)
        tall, wide = max(rows, round(height * scale)), max(columns, round(width * scale))
        fit = Fit(height, width, tall, wide)
        left, top = round((wide - columns) / 2), round((tall - rows) / 2)
        image = image.resize((wide, tall), resample).crop((left, top, left + columns, top + rows))
    else:
        columns = max(how.size[1], math.ceil(width * rows / height))
        fit = Fit(height, width, rows, max(1, math.ceil(width * rows / height)))
        inner = image.resize((fit.columns, rows), resample)
        image = Image.new("RGB", (columns, rows), (how.pad,) * 3)
        image.paste(inner)
    samples = np.asarray(image, np.float32)
    if how.channels == "bgr":
        samples = samples[..., ::-1]
    mean, std = np.array(how.mean, np.float32), np.array(how.std, np.float32)
    values = (samples * np.float32(how.scale) - mean) / std
    if how.layout == "nchw":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None], np.float32), fit


def read_preprocess(path: Path) -> Preprocess:
    """Read preprocessing from a file; ArgumentError if a setting is missing or invalid."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ArgumentError(f"preprocessing {path} can't be opened: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ArgumentError(f"preprocessing {path} is not in UTF-8: {error}") from error
    if path.suffix.lower() in (".yaml", ".yml"):
        yaml = require("yaml", "preprocessing in YAML", "pyyaml", extra="train")
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ArgumentError(f"preprocessing {path} is not valid YAML: {error}") from error
    else:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise ArgumentError(f"preprocessing {path} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise ArgumentError(f"preprocessing {path} is not an object of settings")
    try:
        return _checked(found, path.parent)
    except ArgumentError as error:
        raise ArgumentError(f"preprocessing {path}: {error}") from error


def _checked(found: Mapping[str, Any], beside: Path) -> Preprocess:
    known = [field.name for field in fields(Preprocess)]
    for key in found:
        if key not in known:
            raise unknown("setting", str(key), known)
    for key in ("size", "output"):
        if key not in found:
            raise ArgumentError(f"it has no {key!r}")
    values: dict[str, Any] = dict(found)
    values["size"] = _numbers(found, "size", 2, whole=True)
    for key in ("mean", "std"):
        if key in found:
            values[key] = _numbers(found, key, 3)
    for key in ("scale", "floor", "overlap", "pad", "shorter_side"):
        value = found.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ArgumentError(f"{key!r} is {found[key]!r}, expected a number")
    choices: dict[str, tuple[str, ...]] = {
        "resize": get_args(Resize),
        "output": get_args(Output),
        "channels": ("rgb", "bgr"),
        "layout": ("nchw", "nhwc"),
        "interpolation": tuple(_FILTERS),
    }
    for key, allowed in choices.items():
        if key in found and found[key] not in allowed:
            raise ArgumentError(f"{key!r} is {found[key]!r}, expected {' or '.join(allowed)}")
    values["names"] = _names(found.get("names", ()), beside)
    how = Preprocess(**values)
    if how.size[0] < 1 or (how.size[1] < 1 and how.resize != "height"):
        raise ArgumentError(f"'size' is {list(how.size)}, expected [height, width] above 0")
    if 0 in how.std:
        raise ArgumentError("'std' has a 0, by which samples would be divided")
    if how.resize == "crop" and how.output != "classes":
        raise ArgumentError("'resize' is crop, which removes areas that masks and boxes need")
    if how.resize == "crop" and how.shorter_side < max(how.size):
        raise ArgumentError(
            f"'shorter_side' is {how.shorter_side}, expected at least {max(how.size)}, the crop"
        )
    if how.output in ("classes", "yolox", "map") and not how.names:
        raise ArgumentError("it has no 'names': of the classes, a list, a text file or a number")
    return how


def _numbers(
    found: Mapping[str, Any], key: str, count: int, whole: bool = False
) -> tuple[Any, ...]:
    value = found[key]
    kinds = (int,) if whole else (int, float)
    right = isinstance(value, (list, tuple)) and len(value) == count
    if not right or any(isinstance(v, bool) or not isinstance(v, kinds) for v in value):
        raise ArgumentError(f"{key!r} is {value!r}, expected a list of {count} numbers")
    return tuple(value)


def _names(found: Any, beside: Path) -> tuple[str, ...]:
    """Return names from a list, a text file in the folder `beside`, or a number of classes."""
    if isinstance(found, int) and not isinstance(found, bool) and found > 0:
        return tuple(str(i) for i in range(found))
    if isinstance(found, str):
        try:
            found = (beside / found).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ArgumentError(f"'names' {found} can't be opened: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ArgumentError(f"'names' {found} is not in UTF-8: {error}") from error
    if not isinstance(found, (list, tuple)) or not all(isinstance(n, (str, int)) for n in found):
        raise ArgumentError("'names' must be a list, a text file or a number")
    return tuple(str(name) for name in found)
