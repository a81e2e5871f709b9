"""Augmentation that is right for latents: crops on their grid, and flips as a codec sees them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal.arguments import choice, whole
from quantal.codecs.contract import Codec, Pixels
from quantal.codecs.transform import TransformCodec
from quantal.errors import ArgumentError
from quantal.files.matching import named_codec
from quantal.latents._runs import Array
from quantal.latents._sample import Sample
from quantal.latents._scenes import scenes
from quantal.planes import ceil_div

__all__ = ["Crop", "Flip"]

#: Pictures that a flip is fitted on, and those that it is tried on.
_FITTED, _TRIED = 48, 8
#: The largest error of a flip that is any good: a tenth of what the latents hold.
_LARGEST_ERROR = 0.1
#: Keeps channels that hardly vary from being made of noise.
_RIDGE = 1e-6

_FOUND: dict[tuple[str, bytes, str], tuple[Tensor, float]] = {}


class Crop:
    """Cuts a window out of latents at random, on their grid.

    The random numbers are torch's, which differ in every worker of a DataLoader.

    Args:
        rows: height of the window, in latents.
        columns: width of the window, in latents.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = whole("rows", rows, 1), whole("columns", columns, 1)

    def __call__(self, sample: Sample) -> Sample:
        """Return the window; ArgumentError if the picture is smaller, or has no grid."""
        value = _single(sample, "cropped")
        # vq's grid covers whole regions: windows beyond the picture would show nothing.
        height, width = (
            min(side, ceil_div(pixels, sample.stride))
            for side, pixels in zip(value.shape[-2:], (sample.height, sample.width), strict=True)
        )
        if height < self.rows or width < self.columns:
            raise ArgumentError(
                f"{sample.name} has {height}x{width} latents, expected at least "
                f"{self.rows}x{self.columns} to crop; leave small pictures out"
            )
        top = int(torch.randint(height - self.rows + 1, ()))
        left = int(torch.randint(width - self.columns + 1, ()))
        window = value[..., top : top + self.rows, left : left + self.columns]
        # The last row and column may stand for fewer pixels.
        return replace(
            sample,
            values=(window.contiguous(),),
            height=min(self.rows * sample.stride, sample.height - top * sample.stride),
            width=min(self.columns * sample.stride, sample.width - left * sample.stride),
        )


class Flip:
    """Flips latents at random, to those of the flipped picture.

    A flip of pixels flips the latents' grid and mixes channels: that mixing is very nearly linear,
    a matrix [M, M] that is the same everywhere and at all rates. It is for latents, not for
    symbols, which are what is left after a prediction.

    A last column (or row) that stands for less than a whole stride is cut off first, whether a
    picture is flipped or not: in the flipped picture the grid would lie elsewhere. A picture that
    is narrower (or lower) than a stride stays as it is.

    Args:
        codec: its name, or the codec.
        axis: "horizontal" exchanges left and right, "vertical" top and bottom.
        chance: probability that a picture is flipped, 0..1.
        pictures: some dozens of pictures, uint8 [H, W, 3], on which the matrix is fitted; their
            sides are multiples of the stride. Default: drawn scenes.

    Attributes:
        codec: name of the codec.
        model_hash: hash of the codec's model, 4 bytes.
        matrix: channels of the flipped picture from those of the picture, float32 [M, M].
        error: error of the flip on pictures that it was not fitted on, relative to the latents
            (root of the ratio of energies).

    Raises:
        ArgumentError: The codec's latents do not follow a flip this way.
    """

    def __init__(
        self,
        codec: str | Codec,
        axis: str = "horizontal",
        chance: float = 0.5,
        pictures: Iterable[Pixels] | None = None,
    ) -> None:
        self.axis = choice("axis", axis, ("horizontal", "vertical"))
        try:
            self.chance = float(chance)
        except (TypeError, ValueError):
            self.chance = math.nan
        if not 0 <= self.chance <= 1:
            raise ArgumentError(f"chance must be a number 0..1, not {chance!r:.40}")
        loaded = named_codec(codec, "auto")
        if not isinstance(loaded, TransformCodec):
            raise ArgumentError(
                f"codec {loaded.name!r} has no analysis whose latents follow a flip: those of a "
                "codebook, as in vq and tokens, don't; flip the pictures before they are coded"
            )
        self.codec, self.model_hash = loaded.name, loaded.model_hash
        key = (loaded.name, loaded.model_hash, axis)
        if pictures is not None:
            self.matrix, self.error = _fitted(loaded, axis, list(pictures))
        else:
            if key not in _FOUND:
                _FOUND[key] = _fitted(loaded, axis, scenes(_FITTED + _TRIED))
            self.matrix, self.error = _FOUND[key]
        if not self.error <= _LARGEST_ERROR:
            raise ArgumentError(
                f"latents of codec {loaded.name!r} follow a flip only to within {self.error:.2f} "
                f"of what they hold, expected {_LARGEST_ERROR}; flip the pictures before they are "
                "coded"
            )

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample, flipped or not; ArgumentError if it has no latents of this codec."""
        value = _single(sample, "flipped")
        if sample.codec == self.codec and sample.model_hash != self.model_hash:
            raise ArgumentError(
                f"{sample.name} is of the model {sample.model_hash.hex()} of codec "
                f"{self.codec!r}, this flip is for {self.model_hash.hex()}: make it with the codec "
                "whose weights wrote the file"
            )
        if sample.kind != "latents" or sample.codec != self.codec:
            raise ArgumentError(
                f"{sample.name} has {sample.kind} of codec {sample.codec!r}, this flip is for "
                f"latents of {self.codec!r}: make the data set with values='latents'"
            )
        side = "width" if self.axis == "horizontal" else "height"
        dimension = -1 if self.axis == "horizontal" else -2
        whole_ones = getattr(sample, side) // sample.stride
        if not whole_ones:
            return sample
        value = value.narrow(dimension, 0, whole_ones)
        if float(torch.rand(())) < self.chance:
            value = torch.einsum("nm,m...->n...", self.matrix, value.flip(dimension))
        sides: dict[str, Any] = {side: whole_ones * sample.stride}
        return replace(sample, values=(value.contiguous(),), **sides)


def _single(sample: Sample, what: str) -> Tensor:
    """Return the one tensor of a sample on the latents' grid."""
    if sample.kind == "symbols":
        raise ArgumentError(
            f"symbols in coding order can't be {what}; make the data set with values='grid' or "
            "'latents'"
        )
    return sample.values[0]


def _fitted(codec: TransformCodec, axis: str, pictures: list[Pixels]) -> tuple[Tensor, float]:
    """Return the matrix of a flip and its error."""
    if len(pictures) < _TRIED + 1:
        raise ArgumentError(f"{len(pictures)} pictures found, a flip takes at least {_TRIED + 1}")
    dimension = 1 if axis == "horizontal" else 0
    before, after = [], []
    for pixels in pictures:
        if any(side % codec.stride for side in pixels.shape[:2]):
            raise ArgumentError(
                f"a picture of {pixels.shape[1]}x{pixels.shape[0]} found, expected multiples of "
                f"{codec.stride}; crop it"
            )
        y = np.flip(codec.analyse(pixels), dimension + 1)
        before.append(y.reshape(len(y), -1).astype(np.float64))
        y = codec.analyse(np.ascontiguousarray(np.flip(pixels, dimension)))
        after.append(y.reshape(len(y), -1).astype(np.float64))
    x, t = (np.concatenate(part[:-_TRIED], axis=1) for part in (before, after))
    power = x @ x.T
    power += _RIDGE * np.trace(power) / len(power) * np.eye(len(power))
    matrix = np.linalg.solve(power, x @ t.T).T
    x, t = (np.concatenate(part[-_TRIED:], axis=1) for part in (before, after))
    return torch.from_numpy(matrix.astype(np.float32)), _error(matrix @ x, t)


def _error(found: Array, expected: Array) -> float:
    return float(np.sqrt(np.sum((found - expected) ** 2) / np.sum(expected**2)))
