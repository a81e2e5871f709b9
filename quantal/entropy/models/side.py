"""The base of models with side information: z, and gains that follow the rate.

One set of weights serves every rate: y is multiplied by a gain per channel before rounding and by
another after it; both follow the position on the rate axis.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from quantal.arguments import whole
from quantal.entropy.curves import RateCurve, start_log_gain
from quantal.entropy.exact import ExactNet
from quantal.entropy.frozen.base import table_arrays
from quantal.entropy.frozen.exact_context import ExactContext
from quantal.entropy.frozen.factorized import LIMIT
from quantal.entropy.frozen.hyperprior import Z_STRIDE, SideModel
from quantal.entropy.models.base import (
    Coded,
    EntropyModel,
    Quantise,
    Residual,
    Samples,
    Shape,
    detached_copy,
    pad_to,
    round_both,
)
from quantal.entropy.models.factorized import FactorizedModel
from quantal.entropy.models.likelihoods import index_to_scale, logistic_bits
from quantal.entropy.models.networks import HyperAnalysis
from quantal.entropy.models.tables import SymbolCounts, y_tables
from quantal.entropy.rates import ANCHORS
from quantal.errors import ModelError

__all__ = ["SideInformationModel"]

#: The integer networks' rate may differ from the trained ones' by this fraction.
_AGREEMENT = 0.002
#: Samples on which that is checked.
_TESTED = 3


class SideInformationModel(EntropyModel):
    """A model whose latents are coded given side latents z [B, N, h/4, w/4].

    Gains start right for latents that are orthonormal in pixels of 0..1.

    Args:
        channels: C.
        z_channels: N.
        hyper_width: channels inside the hyper-analysis.
    """

    def __init__(self, channels: int, z_channels: int, hyper_width: int) -> None:
        super().__init__(channels)
        channels = self.channels
        z_channels = whole("z_channels", z_channels, 1)
        hyper_width = whole("hyper_width", hyper_width, 1)
        self.hyper_analysis = HyperAnalysis(channels, hyper_width, z_channels)
        self.side = FactorizedModel(z_channels)
        start = start_log_gain()[:, None].expand(ANCHORS, channels)
        self.log_gain = RateCurve(start)
        self.log_ungain = RateCurve(-start)

    # -- what a kind of model defines ------------------------------------------------------------

    @abstractmethod
    def side_information(
        self, z_hat: Tensor, rate: Tensor, *condition: Tensor
    ) -> tuple[Tensor, ...]:
        """Return what follows from z and the condition; the second argument of code().

        Args:
            z_hat: dequantised side latents [B, N, h/4, w/4].
            rate: positions on the rate axis [B].
            condition: what both sides know before; nothing for pictures.
        """

    @abstractmethod
    def code(
        self, y: Tensor, side: tuple[Tensor, ...], rate: Tensor, quantise: Quantise = round_both
    ) -> Residual:
        """Quantise latents given side information.

        Args:
            y: [B, C, h, w], h and w multiples of 4.
            side: of side_information().
            rate: positions on the rate axis [B].
            quantise: maps residuals to symbols.
        """

    @abstractmethod
    def export_exact(self, largest_input: int) -> ExactNet | ExactContext:
        """Return the scale networks as integers.

        Args:
            largest_input: the largest magnitude of z, in units of 2^-8.
        """

    @abstractmethod
    def exact_index(
        self, exact: Any, z: Tensor, symbols: Tensor, rate_index: int, *condition: Tensor
    ) -> Tensor:
        """Return the scale indices of exported networks, int32, in the shape of a Residual.

        Args:
            exact: what export_exact() gave.
            z: int32 [B, N, h/4, w/4] in units of 2^-8.
            symbols: int32, in the shape of a Residual.
            rate_index: 0..63.
            condition: as for side_information().
        """

    # -- what all share --------------------------------------------------------------------------

    def gain(self, rate: Tensor) -> Tensor:
        """Return the multiplier of y before rounding [B, C, 1, 1]."""
        return self.log_gain(rate).exp()[:, :, None, None]

    def ungain(self, rate: Tensor) -> Tensor:
        """Return the multiplier of y's symbols after parsing [B, C, 1, 1]."""
        return self.log_ungain(rate).exp()[:, :, None, None]

    def scaled_z(self, y: Tensor, rate: Tensor) -> Tensor:
        """Map latents [B, C, h, w], h and w multiples of 4, to z in units of its symbols."""
        return self.hyper_analysis(y, rate).float() * self.side.gain(rate)

    def side_networks(self) -> dict[str, Callable[..., Tensor]]:
        """Return the networks that every SideModel calls."""
        return {"z": self.scaled_z, "gain": self.gain, "ungain": self.ungain}

    def shapes(self) -> dict[str, list[Shape]]:
        return {**super().shapes(), "z": [(self.channels, "4h", "4w")]}

    def forward(self, y: Tensor, rate: Tensor) -> Coded:
        height, width = y.shape[-2:]
        coded, bits = self.coded(pad_to(y, Z_STRIDE), rate)
        return Coded(coded.y_hat[..., :height, :width], bits)

    def coded(
        self, y: Tensor, rate: Tensor, *condition: Tensor
    ) -> tuple[Residual, dict[str, Tensor]]:
        """Return the rounding of y [B, C, h, w], h and w multiples of 4, and the bits by name."""
        z_hat, z_bits = self.side(self.hyper_analysis(y, rate), rate)
        coded = self.code(y, self.side_information(z_hat, rate, *condition), rate)
        y_bits = logistic_bits(self.blur(coded.residual), index_to_scale(coded.index))
        return coded, {"y": y_bits.flatten(1).sum(1), "z": z_bits["y"]}

    @torch.no_grad()
    def quantised(self, y: Tensor, rate: Tensor, *condition: Tensor) -> tuple[Tensor, Residual]:
        """Return z's symbols, and the rounding of y, as in a file."""
        y, *condition = (pad_to(each, Z_STRIDE) for each in (y, *condition))  # type: ignore[assignment]
        z = self.scaled_z(y, rate).round().clamp(-LIMIT, LIMIT)
        side = self.side_information(self.side.dequantise(z, rate), rate, *condition)
        return z, self.code(y, side, rate)

    def freeze(self, samples: Samples = ()) -> SideModel:
        model = detached_copy(self)
        largest = int(model.side.units().max()) * LIMIT
        exact = model.export_exact(largest)
        counts, agreement = SymbolCounts(), _Agreement(model, exact)
        for number, (y, rate, *condition) in enumerate(samples):
            z, coded = model.quantised(y, rate, *condition)
            symbols, index = coded.residual.round(), coded.index.round()
            counts.add(symbols, index)
            if number < _TESTED:
                agreement.add(z, symbols, index, rate, *condition)
        agreement.check()
        arrays = {
            **model.side.freeze().integers(),
            **table_arrays("tables.y", y_tables(counts)),
            **exact.arrays("exact"),
        }
        return model.frozen_from(arrays, model.log_gain.anchors.device)

    @abstractmethod
    def frozen_from(self, arrays: Mapping[str, Any], device: torch.device) -> SideModel: ...


class _Agreement:
    """Compares the bits of the integer networks with those of the trained ones."""

    def __init__(self, model: SideInformationModel, exact: Any) -> None:
        self._model, self._exact = model, exact
        self._trained = self._exported = 0.0

    def add(
        self, z: Tensor, symbols: Tensor, index: Tensor, rate: Tensor, *condition: Tensor
    ) -> None:
        """Compare on the symbols of samples, whose rates are cut to rate indices."""
        units = (z * self._model.side.unit(rate)).to(torch.int32)
        for place, position in enumerate(rate.tolist()):
            part = slice(place, place + 1)
            other = self._model.exact_index(
                self._exact,
                units[part],
                symbols[part].to(torch.int32),
                int(position),
                *(each[part] for each in condition),
            )
            for found, name in ((index[part], "_trained"), (other.float(), "_exported")):
                scale = index_to_scale(found.to(symbols.device))
                bits = float(logistic_bits(symbols[part], scale).sum())
                setattr(self, name, getattr(self, name) + bits)

    def check(self) -> None:
        """Raise ModelError if they differ by more than rounding explains."""
        if self._trained and abs(self._exported / self._trained - 1) > _AGREEMENT:
            raise ModelError(
                f"the integer networks need {self._exported / self._trained - 1:+.2%} bits against "
                f"the trained ones; more than {_AGREEMENT:.1%} means that they were not trained "
                "rounded: call quantise(True) before training ends"
            )
