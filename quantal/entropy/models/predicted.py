"""The model of a predicted frame: a context model of what a prediction of its latents leaves.

What is coded is d = y - gate * y_p, where y_p is what both sides predict and the gate follows the
channel and the rate. All redundancy between frames is removed here and nowhere else (after Sun et
al., "Spatiotemporal entropy model is all you need for learned video compression", 2021; Li et al.,
"Deep contextual video compression", 2021, for conditions in place of residual pictures).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.entropy.curves import RateCurve
from quantal.entropy.frozen.exact_predicted import ExactPredicted
from quantal.entropy.frozen.hyperprior import Z_STRIDE, SideModel
from quantal.entropy.frozen.predicted import FrozenPredicted
from quantal.entropy.models.base import Residual, Shape, pad_to
from quantal.entropy.models.context import ContextModel
from quantal.entropy.models.context_networks import magnitudes
from quantal.entropy.models.exact_runtime import TorchLayers
from quantal.entropy.models.predicted_networks import PredictedMean, PredictedScale
from quantal.entropy.models.runtime import TorchNetworks
from quantal.entropy.orders import CELL
from quantal.errors import ModelError

__all__ = ["Predicted", "PredictedModel"]

#: The gate of every channel before training.
_GATE = 0.97


class Predicted(NamedTuple):
    """Result of a PredictedModel.

    Attributes:
        y_hat: reconstructed latents [B, C, h, w].
        symbols: of the latents, whole numbers [B, C, h, w].
        bits: bits of each coded tensor by its name, [B] each.
    """

    y_hat: Tensor
    symbols: Tensor
    bits: dict[str, Tensor]


class PredictedModel(ContextModel):
    """Latents given a prediction of them, and the symbols of the frame before.

    The condition that SideInformationModel speaks of has three parts: the prediction [B, C, h, w];
    the symbols of the frame before, moved to where they are expected, [B, C, h, w], zeros if that
    frame was not coded by this model; and what stands still, 0 or 1, [B, 1, h, w]. There the
    prediction is taken whole and means are zeros: a picture that stands still stays as it is.

    Args:
        channels: C of the latents, a multiple of 4.
        z_channels: N of the side latents.
        hyper_width: channels inside the hyper-analysis.
        mean_width: channels inside the networks of means.
        scale_width: channels inside the networks of scales.
        past_width: features of the frame before that scales depend on.
        order: see Order.named().
    """

    mean: PredictedMean
    scale: PredictedScale

    def __init__(
        self,
        channels: int,
        z_channels: int = 128,
        hyper_width: int = 128,
        mean_width: int = 208,
        scale_width: int = 144,
        past_width: int = 32,
        order: str = "places",
    ) -> None:
        super().__init__(channels, z_channels, hyper_width, mean_width, scale_width, order)
        spans = self.cells.spans
        self.mean = PredictedMean(z_channels, mean_width, spans)
        self.scale = PredictedScale(z_channels, scale_width, spans, past_width)
        self.gates = RateCurve.ramp(channels, _GATE, _GATE)
        self.quantise(True)

    @torch.no_grad()
    def set_sizes(self, left: Tensor, predicted: Tensor) -> None:
        """Normalise by root mean squares of each channel [C]: of d, and of predictions."""
        self.hyper_analysis.normaliser.copy_(1 / left)
        for buffer, rms in ((self.mean.spread, left), (self.mean.predicted_spread, predicted)):
            buffer.copy_(self.cells.per_element(rms[None, :, None, None])[0, :, 0, 0])

    def gate(self, rate: Tensor) -> Tensor:
        """Return the part of the prediction that is taken off y [B, C, 1, 1]."""
        return self.gates(rate)[:, :, None, None]

    def given(self, rate: Tensor, predicted: Tensor, still: Tensor) -> Tensor:
        """Return what is taken off y: the gated prediction [B, C, h, w]."""
        gate = self.gate(rate)
        return (gate + (1 - gate) * still) * predicted

    def predict(
        self, y: Tensor, rate: Tensor, predicted: Tensor, past: Tensor, still: Tensor
    ) -> Predicted:
        """Code latents given a condition, for training.

        Args:
            y: latents [B, C, h, w], float32.
            rate: positions on the rate axis [B].
            predicted: the prediction [B, C, h, w].
            past: symbols of the frame before [B, C, h, w].
            still: what stands still, 0 or 1, [B, 1, h, w].
        """
        height, width = y.shape[-2:]
        y, predicted, past, still = (pad_to(each, Z_STRIDE) for each in (y, predicted, past, still))
        given = self.given(rate, predicted, still)
        coded, bits = self.coded(y - given, rate, predicted, past, still)
        symbols = self.cells.scatter(coded.residual.detach().round())
        y_hat = coded.y_hat + given
        return Predicted(y_hat[..., :height, :width], symbols[..., :height, :width], bits)

    @torch.no_grad()
    def quantised(self, y: Tensor, rate: Tensor, *condition: Tensor) -> tuple[Tensor, Residual]:
        predicted, _, still = condition
        return super().quantised(y - self.given(rate, predicted, still), rate, *condition)

    def side_information(
        self, z_hat: Tensor, rate: Tensor, *condition: Tensor
    ) -> tuple[Tensor, ...]:
        """Return features for the means and for the scale indices, and for each element of cells
        the prediction and whether it moves."""
        predicted, past = (self.cells.gather(each) for each in condition[:2])
        still = F.pixel_unshuffle(condition[2], CELL)
        features, scale_features = super().side_information(z_hat, rate)
        features = self.mean.looked(features, predicted, still, rate)
        with torch.autocast(z_hat.device.type, enabled=False):
            before = self.scale.past_features(magnitudes(past), still)
        moving = 1 - still[:, self.cells.elements % CELL**2]
        return features, torch.cat((scale_features, before), dim=1), predicted, moving

    def exact_index(
        self, exact: Any, z: Tensor, symbols: Tensor, rate_index: int, *condition: Tensor
    ) -> Tensor:
        _, past, still = (pad_to(each, Z_STRIDE) for each in condition)
        cells = (self.cells.gather(past), F.pixel_unshuffle(still, CELL))
        arrays = (each.to(torch.int32).cpu().numpy() for each in (z, symbols, *cells))
        found = []
        for side, known, before, fixed in zip(*arrays, strict=True):
            features = np.concatenate(
                (exact.features(side, rate_index), exact.past_features(before, fixed))
            )
            steps = [
                exact.index(step, features, known[: span.start], rate_index)
                for step, span in enumerate(exact.spans)
            ]
            found.append(np.concatenate(steps))
        return torch.from_numpy(np.stack(found))

    def export_exact(self, largest_input: int) -> ExactPredicted:
        return self.scale.export(largest_input, self.cells.elements)

    def derived_state(self, frozen: SideModel) -> dict[str, Tensor]:
        if not isinstance(frozen, FrozenPredicted):
            raise ModelError(f"{type(frozen).__name__} is not what a predicted model freezes to")
        return super().derived_state(frozen)

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        def mean(step: int) -> Callable[..., Tensor]:
            return lambda features, known, predicted, moving, rate: self.mean(
                step, features, known, rate, predicted, moving
            )

        steps = {f"mean.{step}": mean(step) for step in range(len(self.cells.spans))}
        return {**super().networks(), "gate": self.gate, "looked": self.mean.looked, **steps}

    def shapes(self) -> dict[str, list[Shape]]:
        found = super().shapes()
        elements = self.cells.spans[-1].stop
        width = found["mean.0"][0][0]
        found["looked"] = [(width, "h", "w"), (elements, "h", "w"), (CELL**2, "h", "w")]
        for step, span in enumerate(self.cells.spans):
            own: Shape = (span.stop - span.start, "h", "w")
            found[f"mean.{step}"] += [own, own]
        return found

    def frozen_from(self, arrays: Mapping[str, Any], device: torch.device) -> FrozenPredicted:
        networks = TorchNetworks(self.networks(), device)
        frozen = FrozenPredicted.from_arrays(arrays, self.channels, networks)
        for net in frozen.exact.nets:
            net.run_by(TorchLayers(net))
        return frozen
