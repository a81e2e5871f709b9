"""The frozen model of predicted frames: a context model of what a prediction leaves.

The bits are read with z, the symbols so far and the symbols of the frame before: integers alone.
The prediction itself, in floating point, enters means only, and is not computed before the last bit
has been read. docs/reference/codecs/video.md specifies the stream.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import IntArray
from quantal.entropy.frozen.base import Array
from quantal.entropy.frozen.context import BAND_CELLS, ContextValues, FrozenContext, Scales
from quantal.entropy.frozen.exact_predicted import ExactPredicted
from quantal.entropy.frozen.factorized import FrozenFactorized
from quantal.entropy.orders import CELL, gather
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import Coding, FloatArray, Networks
from quantal.planes import apply_in_windows, bands, pad_edge

__all__ = ["Condition", "FrozenPredicted", "moved", "still_latents", "uncoded_latents"]

#: Reach in cells of the network that sees the frame before, and of the one that sees predictions.
_PAST_REACH, _LOOK_REACH = 1, 1
#: Blocks of a field along a side of a latent, and units of a vector in a latent.
_BLOCKS, _UNIT = 2, 64


def moved(symbols: IntArray, field: npt.NDArray[np.int16]) -> IntArray:
    """Return the symbols of the frame before where the motion brings them, in whole latents.

    A latent takes the vector of the first of its four blocks, rounded to whole latents.

    Args:
        symbols: int32 [C, h, w].
        field: vectors in quarter pixels, int16 [2, ceil(H / 8), ceil(W / 8)].
    """
    _, height, width = symbols.shape
    steps = (field[:, ::_BLOCKS, ::_BLOCKS].astype(np.int32) + _UNIT // 2) // _UNIT
    columns = np.clip(np.arange(width) + steps[0], 0, width - 1)
    rows = np.clip(np.arange(height)[:, None] + steps[1], 0, height - 1)
    return symbols[:, rows, columns]


def still_latents(field: npt.NDArray[np.int16], rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Return which latents stand still: no vector of theirs or of a latent beside them moves.

    Args:
        field: vectors in quarter pixels, int16 [2, ceil(H / 8), ceil(W / 8)].
        rows: of latents.
        columns: of latents.

    Returns:
        bool [rows, columns].
    """
    moving = pad_edge((field != 0).any(0, keepdims=True), _BLOCKS)[0]
    return _apart(moving.reshape(rows, _BLOCKS, columns, _BLOCKS).any((1, 3)))


def uncoded_latents(symbols: IntArray) -> npt.NDArray[np.bool_]:
    """Return which latents have no symbol, and none beside them: what stands still without motion.

    Args:
        symbols: of the frame before, int32 [C, h, w].

    Returns:
        bool [h, w].
    """
    return _apart((symbols != 0).any(0))


def _apart(places: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return where neither a place nor one of the eight around it is true, [h, w]."""
    rows, columns = places.shape
    around = np.pad(places, 1)
    apart = np.ones((rows, columns), np.bool_)
    for row in range(3):
        for column in range(3):
            apart &= ~around[row : row + rows, column : column + columns]
    return apart


@dataclass(frozen=True, eq=False)
class Condition:
    """What a frame is coded given.

    Attributes:
        past: the symbols of the frame before, moved to where they are expected, int32 [C, h, w];
            None if that frame was not coded by this model, which counts as zeros.
        still: which latents stand still, bool [h, w].
        held: where the prediction is taken whole and means are zeros, bool [h, w]: what stands
            still, and more where nothing is known yet. No bit is read by it.
        predicted: returns the prediction of the latents, float32 [C, h, w]; called at most once.
    """

    past: IntArray | None
    still: npt.NDArray[np.bool_]
    held: npt.NDArray[np.bool_]
    predicted: Callable[[], FloatArray]


def _in_cells(places: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return flags of latents [h, w] at the places of cells, [4, ceil(h / 2), ceil(w / 2)]."""
    padded = pad_edge(places[None], CELL)[0]
    rows, columns = padded.shape
    split = padded.reshape(rows // CELL, CELL, columns // CELL, CELL)
    return split.transpose(1, 3, 0, 2).reshape(CELL * CELL, rows // CELL, columns // CELL)


class _Scales(Scales):
    """Scale indices that depend on the frame before as well."""

    exact: ExactPredicted

    def __init__(
        self,
        exact: ExactPredicted,
        z: IntArray,
        rate_index: int,
        rows: int,
        columns: int,
        condition: Condition,
    ) -> None:
        super().__init__(exact, z, rate_index, rows, columns)
        past = condition.past
        if past is None:
            past = np.zeros((len(exact.elements) // CELL**2, rows, columns), np.int32)
        cells = gather(pad_edge(past, CELL), exact.elements)
        still = _in_cells(condition.still).astype(np.int32)
        before = np.empty((exact.past.outputs, self.height, self.width), np.int32)
        for band in bands(self.height, self.width, BAND_CELLS):
            around = slice(max(band.start - _PAST_REACH, 0), band.stop + _PAST_REACH)
            made = exact.past_features(cells[:, around], still[:, around])
            top = band.start - around.start
            before[:, band] = made[:, top : top + band.stop - band.start]
        self.features = np.concatenate((self.features, before))


class _Values(ContextValues):
    """Means and latents given a prediction."""

    model: FrozenPredicted

    @cached_property
    def _predicted(self) -> FloatArray:
        """The prediction, in cells."""
        return gather(pad_edge(self.model.prediction, CELL), self.model.exact.elements)

    @cached_property
    def _held(self) -> npt.NDArray[np.bool_]:
        """Where the prediction is taken whole, in cells."""
        return _in_cells(self.model.condition.held)

    @cached_property
    def _features(self) -> FloatArray:
        return apply_in_windows(
            lambda *parts: self.model.networks("looked", self.rate, *parts),
            super()._features,
            self.model.core // CELL,
            _LOOK_REACH,
            beside=[self._predicted, self._held.astype(np.float32)],
        )

    def _beside(self, span: slice) -> list[FloatArray]:
        places = self.model.exact.elements[span] % CELL**2
        moving = ~self._held[places]
        return [self._predicted[span], moving.astype(np.float32)]

    def y_hat(self) -> FloatArray:
        y_hat: FloatArray = super().y_hat()
        y_hat += self.model.part(self.rate) * self.model.prediction
        return y_hat


class FrozenPredicted(FrozenContext):
    """A context model of d = y - gate * prediction; see models.PredictedModel.

    Coding needs a condition: `model.given(condition)` is the model of one frame.

    Networks beside those of FrozenContext: `gate` gives the part of the prediction that is taken
    off where something moves, [C, 1, 1]; `looked` maps features, the cells of the prediction and
    those of what stands still to features; `mean.K` takes the prediction of its elements as well,
    and 0 where they stand still, else 1.
    """

    progressive = False
    exact: ExactPredicted
    _condition: Condition | None = None

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], channels: int, networks: Networks
    ) -> FrozenPredicted:
        side = FrozenFactorized.from_arrays(arrays)
        exact = ExactPredicted.from_arrays(arrays, "exact", side.largest_value)
        tables = TableSet.from_arrays(arrays, "tables.y")
        return cls(channels, side, tables, exact, networks)

    def given(self, condition: Condition) -> FrozenPredicted:
        """Return the model of a frame that is coded given a condition."""
        bound = copy.copy(self)
        bound._condition = condition
        bound.__dict__.pop("prediction", None)
        return bound

    @property
    def condition(self) -> Condition:
        """What the frame is coded given."""
        if self._condition is None:
            raise ValueError("a predicted model codes given a condition: call given() first")
        return self._condition

    @cached_property
    def prediction(self) -> FloatArray:
        """The prediction of the latents, float32 [C, h, w]."""
        return self.condition.predicted()

    def part(self, rate: float) -> FloatArray:
        """Return the part of the prediction that is taken off y, float32 [C, h, w]."""
        gate = self.networks("gate", rate)
        return np.where(self.condition.held, np.float32(1), gate)

    def latents(self, y: FloatArray, rate: float, z: IntArray | None = None) -> list[Array]:
        return super().latents(y - self.part(rate) * self.prediction, rate, z)

    def scales(self, z: IntArray, rate_index: int, rows: int, columns: int) -> Scales:
        return _Scales(self.exact, z, rate_index, rows, columns, self.condition)

    def values(
        self, z: IntArray, coding: Coding, rate: float, size: tuple[int, int]
    ) -> ContextValues:
        return _Values(self, z, coding, rate, size)
