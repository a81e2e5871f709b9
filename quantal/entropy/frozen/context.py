"""The frozen context model: every step of y is predicted from z and the steps before it.

The stream is one stack of symbols: all of z, then y step by step over the whole plane, each step
band by band of rows. It is progressive: a prefix of the bytes is a coarser picture.
docs/reference/codecs/context.md specifies it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from quantal.entropy.coder import IndexArray, IntArray
from quantal.entropy.exact import ExactNet
from quantal.entropy.frozen.base import Array, Values
from quantal.entropy.frozen.exact_context import ExactContext
from quantal.entropy.frozen.factorized import FrozenFactorized
from quantal.entropy.frozen.hyperprior import Z_STRIDE, SideModel
from quantal.entropy.orders import CELL, gather, scatter
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import Coding, FloatArray, Networks
from quantal.planes import apply_in_windows, bands, ceil_div, pad_edge

__all__ = ["BAND_CELLS", "ContextValues", "FrozenContext", "Scales"]

#: Cells in a band: 4 megapixels at a stride of 16. Part of the format.
BAND_CELLS = 4096
#: Cells per axis of what one element of z stands for.
_Z_CELLS = Z_STRIDE // CELL
#: Reach of the networks: scales in cells, their trunk in elements of z, means in cells.
_SCALE_REACH, _TRUNK_REACH, _MEAN_REACH = 1, 1, 2


class Scales:
    """Scale indices of one plane, from z and from the symbols so far: integers alone."""

    def __init__(
        self, exact: ExactContext, z: IntArray, rate_index: int, rows: int, columns: int
    ) -> None:
        """Compute the features.

        Args:
            exact: the networks.
            z: int32 [..., N, h', w'], in units of 2^-8.
            rate_index: 0..63.
            rows: of latents.
            columns: of latents.
        """
        self.exact, self.rate_index = exact, rate_index
        self.height, self.width = ceil_div(rows, CELL), ceil_div(columns, CELL)
        self.ragged = (rows % CELL != 0, columns % CELL != 0)
        self.features = self._features(z)
        #: The input of the steps so far, and the end of the elements whose magnitudes it has.
        self._seen: npt.NDArray[np.float32] | None = None
        self._ends = 0

    def _features(self, z: IntArray) -> IntArray:
        """Return the features of z, int32 [..., F, h/2, w/2]."""
        exact = self.exact
        size = (exact.trunk.outputs, self.height, self.width)
        features = np.empty((*z.shape[:-3], *size), np.int32)
        for band in bands(self.height, self.width, BAND_CELLS, _Z_CELLS):
            low, high = band.start // _Z_CELLS, ceil_div(band.stop, _Z_CELLS)
            around = slice(max(low - _TRUNK_REACH, 0), high + _TRUNK_REACH)
            made = exact.features(z[..., around, :], self.rate_index)
            top = (low - around.start) * _Z_CELLS
            features[..., band, :] = made[..., top : top + band.stop - band.start, : self.width]
        return features

    def index(self, step: int, band: slice, known: IntArray) -> IndexArray:
        """Return the table indices of one step in a band, uint8 [..., n, rows, w].

        Args:
            step: which.
            band: rows of cells.
            known: the symbols so far.
        """
        span = self.exact.spans[step]
        around = slice(max(band.start - _SCALE_REACH, 0), band.stop + _SCALE_REACH)
        if band == slice(0, self.height) and self.exact.adaptive:
            made = self.exact.steps[step](self._seen_before(span.start, known), self.rate_index)
        else:
            made = self.exact.index(
                step,
                self.features[..., around, :],
                known[..., : span.start, around, :],
                self.rate_index,
            )
        top = band.start - around.start
        index = made[..., top : top + band.stop - band.start, :].astype(np.uint8)
        # A last cell may reach beyond the latents; elements there are certain to be zero.
        places = self.exact.elements[span] % (CELL * CELL)
        if self.ragged[0] and band.stop == self.height:
            index[..., places >= CELL, -1, :] = 0
        if self.ragged[1]:
            index[..., places % CELL == 1, :, -1] = 0
        return index

    def _seen_before(self, end: int, known: IntArray) -> npt.NDArray[np.float32]:
        """Return the input of a step on the whole plane, kept from step to step.

        Args:
            end: of the elements of earlier steps.
            known: the symbols so far.

        Returns:
            Features and magnitudes, whole numbers in float32 [..., F + end, h, w].
        """
        first = self.features.shape[-3]
        if self._seen is None:
            *lead, _, height, width = known.shape
            self._seen = np.empty((*lead, first + known.shape[-3], height, width), np.float32)
            self._seen[..., :first, :, :] = self.features
        new = slice(self._ends, end)
        if end > self._ends:
            sizes = self.exact.magnitudes(known[..., new, :, :])
            self._seen[..., first + new.start : first + new.stop, :, :] = sizes
            self._ends = end
        return self._seen[..., : first + end, :, :]


class ContextValues(Values):
    """Means and latents of one plane, step by step, in floating point.

    The means of a step need the latents of the steps before it. These are computed on demand: for a
    residual when writing, for all steps when latents are asked for.
    """

    def __init__(
        self, model: FrozenContext, z: IntArray, coding: Coding, rate: float, size: tuple[int, int]
    ) -> None:
        """Prepare for a plane.

        Args:
            model: the model.
            z: symbols of the side latents.
            coding: has begun the part of y, [..., 4C, h/2, w/2].
            rate: position on the rate axis.
            size: rows and columns of y.
        """
        self.model, self.rate, self.size = model, rate, size
        self.symbols, index = coding.symbols[-1], coding.index[-1]
        if index is None:
            raise ValueError("the walk keeps no scale indices")
        self.index = index
        self._z_hat = model.side.dequantised(z, rate)
        #: The current step, and its means in units of its symbols.
        self._step, self._mean = -1, np.empty(0, np.float32)

    @property
    def z_hat(self) -> FloatArray:
        return self._z_hat

    def _per_element(self, name: str) -> FloatArray:
        """Return a network's value per channel as one per element of a cell [4C, 1, 1]."""
        channel = self.model.exact.elements // (CELL * CELL)
        return self.model.networks(name, self.rate)[channel]

    @cached_property
    def _gain(self) -> FloatArray:
        return self._per_element("gain")

    @cached_property
    def _ungain(self) -> FloatArray:
        return self._per_element("ungain")

    @cached_property
    def _lean(self) -> FloatArray:
        return self.model.lean()

    @cached_property
    def _features(self) -> FloatArray:
        """The features of z that all steps share, at the cells."""
        height, width = self.symbols.shape[-2:]
        features = apply_in_windows(
            lambda part: self.model.networks("features", self.rate, part),
            self._z_hat,
            self.model.core // CELL // _Z_CELLS,
            0,
            _Z_CELLS,
        )
        return features[..., :height, :width]

    def _beside(self, span: slice) -> list[FloatArray]:
        """Return what networks of means take beside features and earlier latents."""
        return []

    @cached_property
    def _known(self) -> FloatArray:
        """The latents so far, in cells."""
        return np.empty(self.symbols.shape, np.float32)

    def _advance(self, step: int) -> None:
        """Compute the means of a step, and the latents of all steps before it."""
        while self._step < step:
            if self._step >= 0:
                self._reconstruct()
            self._step += 1
            span = self.model.exact.spans[self._step]
            name = f"mean.{self._step}"
            mean = apply_in_windows(
                lambda *parts, name=name: self.model.networks(name, self.rate, *parts),  # type: ignore[misc]
                self._features,
                self.model.core // CELL,
                _MEAN_REACH,
                beside=[self._known[..., : span.start, :, :], *self._beside(span)],
            )
            mean *= self._gain[span]
            self._mean = mean

    def _reconstruct(self) -> None:
        """Compute the latents of the current step, for the steps after it.

        A symbol is reconstructed nearer to zero than the middle of its cell, because values there
        are likelier.
        """
        span = self.model.exact.spans[self._step]
        values = self.symbols[..., span, :, :].astype(np.float32)
        values -= np.sign(values) * self._lean.take(self.index[..., span, :, :])
        values += self._mean
        np.multiply(values, self._ungain[span], out=self._known[..., span, :, :])

    def residual(self, step: int, band: slice, cells: FloatArray) -> FloatArray:
        """Return the values that are rounded to the symbols of a step in a band."""
        self._advance(step)
        span = self.model.exact.spans[step]
        residual: FloatArray = cells[..., span, band, :] * self._gain[span]
        residual -= self._mean[..., band, :]
        return residual

    def y_hat(self) -> FloatArray:
        self._advance(len(self.model.exact.spans) - 1)
        self._reconstruct()
        rows, columns = self.size
        latents = scatter(self._known, self.model.places)[..., :rows, :columns]
        return np.ascontiguousarray(latents)


class FrozenContext(SideModel):
    """Means and scales of y follow from z and from the steps before; see models.ContextModel.

    Networks beside those of SideModel: `features` maps dequantised z [N, h, w] to features that all
    steps share [W, 2h, 2w], at the cells; `mean.K` maps these and the latents of the steps before
    step K [k, h, w] to its means [n, h, w]; `lean` gives the fraction by which a symbol is
    reconstructed nearer to zero, for each scale index [64].

    Args:
        channels: C.
        side: the model of z.
        y_tables: 64 tables, one for each scale index; index 0 is certain of zero.
        exact: the coding order and the scale networks.
        networks: its floating-point networks.
    """

    progressive = True

    def __init__(
        self,
        channels: int,
        side: FrozenFactorized,
        y_tables: TableSet,
        exact: ExactContext,
        networks: Networks,
    ) -> None:
        super().__init__(channels, side, y_tables, networks)
        self.exact = exact
        if len(exact.elements) != channels * CELL * CELL:
            raise ValueError(f"a cell has {len(exact.elements)} elements, expected 4 x {channels}")
        if not y_tables.certain[0] or y_tables.first[0] != 0:
            raise ValueError("scale index 0 does not mean a sure zero")
        self.places: npt.NDArray[np.intp] = np.argsort(exact.elements)

    @property
    def exact_nets(self) -> tuple[ExactNet, ...]:
        return self.exact.nets

    @property
    def parts(self) -> int:
        return 1 + len(self.exact.spans)

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], channels: int, networks: Networks
    ) -> FrozenContext:
        """Build a model from the result of integers().

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of such a model.
        """
        side = FrozenFactorized.from_arrays(arrays)
        exact = ExactContext.from_arrays(arrays, "exact", side.largest_value)
        tables = TableSet.from_arrays(arrays, "tables.y")
        return cls(channels, side, tables, exact, networks)

    def exact_arrays(self) -> dict[str, Array]:
        return self.exact.arrays("exact")

    def lean(self) -> FloatArray:
        return self.networks("lean", 0.0)

    def latents(self, y: FloatArray, rate: float, z: IntArray | None = None) -> list[Array]:
        z = self.quantised_z(y, rate) if z is None else z
        return [z, gather(pad_edge(y, CELL), self.exact.elements)]

    def scales(self, z: IntArray, rate_index: int, rows: int, columns: int) -> Scales:
        """Return the scale indices of a plane.

        Args:
            z: int32 [N, h', w'], in units of 2^-8.
            rate_index: 0..63.
            rows: of latents.
            columns: of latents.
        """
        return Scales(self.exact, z, rate_index, rows, columns)

    def values(
        self, z: IntArray, coding: Coding, rate: float, size: tuple[int, int]
    ) -> ContextValues:
        """Return the means and latents of a plane.

        Args:
            z: symbols of the side latents.
            coding: has begun the part of y.
            rate: position on the rate axis.
            size: rows and columns of y.
        """
        return ContextValues(self, z, coding, rate, size)

    def on_grid(self, symbols: Sequence[Array], rows: int, columns: int) -> Array:
        found: Array = scatter(self.join(symbols)[1], self.places)[..., :rows, :columns]
        return found

    def split(self, symbols: Sequence[IntArray]) -> list[IntArray]:
        z, *cells = symbols
        return [z, *(each[..., span, :, :] for each in cells for span in self.exact.spans)]

    def join(self, symbols: Sequence[IntArray]) -> list[IntArray]:
        return [symbols[0], np.concatenate(symbols[1:], axis=-3)]

    def walk(
        self, coding: Coding, rows: int, columns: int, rate: float, parts: int | None = None
    ) -> Values:
        z = self.code_z(coding, rows, columns, rate)
        coding.complete_part()
        scales = self.scales(self.side.values(z, rate), int(rate), rows, columns)
        shape = (self.channels * CELL * CELL, scales.height, scales.width)
        symbols = coding.begin(shape, indexed=True)
        values = self.values(z, coding, rate, (rows, columns))
        spans = self.exact.spans if parts is None else self.exact.spans[: parts - 1]
        for step, span in enumerate(spans):
            for band in bands(scales.height, scales.width, BAND_CELLS, _Z_CELLS):
                coding.code(
                    (..., span, band, slice(None)),
                    self.y_tables,
                    index=lambda step=step, band=band: scales.index(step, band, symbols),  # type: ignore[misc]
                    residual=lambda cells, step=step, band=band: values.residual(  # type: ignore[misc]
                        step, band, cells
                    ),
                )
            coding.complete_part()
        return values
