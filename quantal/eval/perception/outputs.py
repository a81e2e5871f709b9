"""Postprocessing of network outputs: classes, boxes, maps and text, in pixels of the picture.

The preprocessing file names the kind of output (inputs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quantal.errors import ModelError
from quantal.eval.perception.inputs import Fit

__all__ = ["Found", "characters", "classes", "read_ctc", "read_map", "read_yolox"]

_STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Found:
    """Detected objects.

    Attributes:
        boxes: x1, y1, x2, y2 in pixels of the picture [N, 4].
        scores: Confidences [N].
        classes: Indices of the model's classes [N].
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


def classes(output: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Return the scores of classes [count] from an output [1, count]."""
    scores = np.asarray(output, np.float32).reshape(-1)
    if len(scores) != count:
        raise ModelError(
            f"the model outputs {len(scores)} scores {list(output.shape)}, but {count} classes "
            "are named"
        )
    return scores


def read_yolox(
    output: NDArray[Any], size: tuple[int, int], fit: Fit, floor: float, overlap: float, count: int
) -> Found:
    """Decode boxes of YOLOX (Ge et al. 2021).

    Args:
        output: Raw output [1, N, 5 + classes] over strides 8, 16 and 32. Per cell: offset of the
            centre in cells, logarithm of width and height in cells, probability of an object,
            probabilities of classes.
        size: Height and width of the input in pixels.
        fit: Area of the picture in the input.
        floor: Minimum score.
        overlap: IoU above which the lower of two boxes of a class is removed (NMS).
        count: Number of classes.
    """
    import torchvision

    rows, columns = size
    cells = [
        (x, y, stride)
        for stride in _STRIDES
        for y in range(rows // stride)
        for x in range(columns // stride)
    ]
    values = np.asarray(output, np.float32)
    if values.shape != (1, len(cells), 5 + count):
        raise ModelError(
            f"the model outputs {list(values.shape)}, expected {[1, len(cells), 5 + count]}: "
            f"YOLOX with {count} classes at {columns}x{rows}"
        )
    grid = np.array(cells, np.float32)
    values = values[0]
    centre = (values[:, :2] + grid[:, :2]) * grid[:, 2:]
    half = np.exp(np.minimum(values[:, 2:4], 20)) * grid[:, 2:] / 2
    scores = values[:, 4:5] * values[:, 5:]
    best = scores.argmax(1)
    score = scores[np.arange(len(best)), best]
    keep = score >= floor
    zoom = np.array([fit.width / fit.columns, fit.height / fit.rows] * 2, np.float32)
    boxes = np.concatenate([centre - half, centre + half], 1)[keep] * zoom
    edge = np.array([fit.width, fit.height] * 2, np.float32)
    boxes = np.clip(boxes, 0, edge)
    kept = torchvision.ops.batched_nms(
        torch.from_numpy(boxes),
        torch.from_numpy(score[keep]),
        torch.from_numpy(best[keep]),
        overlap,
    ).numpy()
    return Found(boxes[kept], score[keep][kept], best[keep][kept])


def read_map(
    output: NDArray[Any], size: tuple[int, int], fit: Fit, count: int
) -> NDArray[np.int64]:
    """Return the class of every pixel [H, W] of the picture.

    Maps of scores are resized to the picture before the maximum is taken.

    Args:
        output: Class indices [1, h, w], or scores [1, classes, h, w] or [1, h, w, classes].
        size: Height and width of the input in pixels.
        fit: Area of the picture in the input.
        count: Number of classes.
    """
    values = torch.from_numpy(np.asarray(output))
    if values.ndim == 4 and 1 in (values.shape[1], values.shape[3]) and count > 1:
        values = values.squeeze(1) if values.shape[1] == 1 else values.squeeze(3)
    if values.ndim == 4 and values.shape[1] != count and values.shape[3] == count:
        values = values.permute(0, 3, 1, 2)
    if (values.ndim == 4 and values.shape[1] != count) or values.ndim not in (3, 4):
        raise ModelError(
            f"the model outputs {list(output.shape)}, expected a map [1, h, w] of indices or "
            f"scores of {count} classes"
        )
    # The area of the picture in the map, at the map's resolution.
    height, width = values.shape[-2:]
    rows = max(1, round(fit.rows * height / size[0]))
    columns = max(1, round(fit.columns * width / size[1]))
    values = values[..., :rows, :columns]
    target = (fit.height, fit.width)
    if values.ndim == 4:
        large = torch.nn.functional.interpolate(
            values.float(), target, mode="bilinear", align_corners=False
        )
        return large[0].argmax(0).numpy()
    near = torch.nn.functional.interpolate(values[None].float(), target, mode="nearest-exact")
    return near[0, 0].long().numpy()


def read_ctc(output: NDArray[Any], characters: Sequence[str]) -> str:
    """Return the text of a line by greedy CTC decoding (Graves et al. 2006).

    Args:
        output: Scores [1, steps, 1 + characters]; index 0 is the blank.
        characters: The characters by index, from 1.
    """
    values = np.asarray(output)
    if values.ndim != 3 or values.shape[2] != len(characters) + 1:
        raise ModelError(
            f"the model outputs {list(values.shape)}, expected "
            f"[1, steps, {len(characters) + 1}]: a blank and {len(characters)} characters"
        )
    best = values[0].argmax(1)
    first = np.concatenate([[True], best[1:] != best[:-1]])
    return "".join(characters[i - 1] for i in best[first] if i > 0)


def characters(listed: str, outputs: int) -> tuple[str, ...]:
    """Return characters from lines; a space is added if the network has one output more."""
    names = tuple(listed.split("\n"))
    if names and names[-1] == "" and outputs < len(names) + 1:
        names = names[:-1]
    return (*names, " ") if outputs == len(names) + 2 else names
