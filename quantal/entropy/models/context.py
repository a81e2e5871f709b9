"""The context model: latents are coded in steps, each predicted from earlier ones.

Steps go over groups of channels and over the places of 2x2 cells (quantal.entropy.orders). Means
come from floating-point networks, scales from integer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantal.arguments import whole
from quantal.entropy.frozen.context import FrozenContext
from quantal.entropy.frozen.exact_context import ExactContext
from quantal.entropy.frozen.hyperprior import SideModel
from quantal.entropy.models.base import Quantise, Residual, Shape, round_both
from quantal.entropy.models.context_networks import (
    Cells,
    ContextMean,
    ContextScale,
    magnitudes,
)
from quantal.entropy.models.exact_runtime import TorchLayers
from quantal.entropy.models.runtime import TorchNetworks
from quantal.entropy.models.side import SideInformationModel
from quantal.entropy.orders import CELL, Order
from quantal.entropy.scales import SCALES
from quantal.errors import ModelError

__all__ = ["ContextModel"]


class ContextModel(SideInformationModel):
    """Means and scales from side latents and from the latents of earlier steps.

    Args:
        channels: C of the latents, a multiple of what the order needs (4, 16 or 5).
        z_channels: N of the side latents.
        hyper_width: channels inside the hyper-analysis.
        mean_width: channels inside the networks of means.
        scale_width: channels inside the networks of scales.
        order: "core" (8 steps), "places" (4) or "slices" (10); see Order.named().
        adaptive: whether scales depend on the magnitudes of earlier symbols; if not, all of them
            follow from z alone.
    """

    def __init__(
        self,
        channels: int,
        z_channels: int = 128,
        hyper_width: int = 128,
        mean_width: int = 208,
        scale_width: int = 144,
        order: str = "core",
        adaptive: bool = True,
    ) -> None:
        super().__init__(channels, z_channels, hyper_width)
        channels, z_channels = self.channels, self.side.channels
        mean_width = whole("mean_width", mean_width, 1)
        scale_width = whole("scale_width", scale_width, 1)
        self.cells = Cells(Order.named(order, channels))
        spans = self.cells.spans
        self.mean = ContextMean(z_channels, mean_width, spans)
        self.scale = ContextScale(z_channels, scale_width, spans, adaptive)
        #: By how much a symbol is reconstructed nearer to zero than itself, for each scale index.
        self.lean = nn.Parameter(torch.zeros(SCALES))
        self.quantise(True)

    @torch.no_grad()
    def calibrate(self, rms: Tensor, rank: Iterable[int] | None = None) -> None:
        self.hyper_analysis.normaliser.copy_(1 / rms)
        order = rms.argsort(descending=True, stable=True).tolist() if rank is None else list(rank)
        self.cells.set_rank(order)
        self.mean.spread.copy_(self.cells.per_element(rms[None, :, None, None])[0, :, 0, 0])

    @property
    def derived(self) -> frozenset[str]:
        return frozenset(
            name
            for name in self.state_dict()
            if name.startswith("cells.")
            or (name.startswith("scale.") and name.endswith("conv.weight"))
        )

    def derived_state(self, frozen: SideModel) -> dict[str, Tensor]:
        if not isinstance(frozen, FrozenContext):
            raise ModelError(f"{type(frozen).__name__} is not what a context model freezes to")
        weights = self.scale.exported_weights(frozen.exact)
        return {
            "cells.elements": torch.from_numpy(frozen.exact.elements.astype(np.int32)),
            "cells.places": torch.from_numpy(frozen.places.astype(np.int32)),
            **{f"scale.{name}": weight for name, weight in weights.items()},
        }

    def reconstructed(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Return the values that symbols are reconstructed at: likely values of their cells.

        The density falls away from zero, so the mean of a cell is nearer to zero than its middle,
        most of all where scales are small. Symbols between two integers are reconstructed between
        the values of these.

        Args:
            symbols: of any shape.
            index: their scale indices, whole numbers 0..63 of any type.
        """
        return symbols - symbols.clamp(-1, 1) * self.lean[index.long()]

    def side_information(
        self, z_hat: Tensor, rate: Tensor, *condition: Tensor
    ) -> tuple[Tensor, ...]:
        """Return features for the means and features for the scale indices."""
        features = self.mean.features(z_hat, rate)
        with torch.autocast(z_hat.device.type, enabled=False):
            return features, self.scale.features(z_hat, rate)

    def code(
        self, y: Tensor, side: tuple[Tensor, ...], rate: Tensor, quantise: Quantise = round_both
    ) -> Residual:
        cells = self.cells.gather(y)
        gain = self.cells.per_element(self.gain(rate))
        ungain = self.cells.per_element(self.ungain(rate))
        features, scale_features, *beside = side
        known, sizes = cells[:, :0], cells[:, :0]
        residuals, indices, parts = [], [], []
        for step, span in enumerate(self.cells.spans):
            own = (each[:, span] for each in beside)
            mean = self.mean(step, features, known, rate, *own) * gain[:, span]
            with torch.autocast(y.device.type, enabled=False):
                index = self.scale(step, scale_features, sizes, rate)
            residual = cells[:, span] * gain[:, span] - mean
            symbols, later = quantise(residual, index)
            y_hat, seen = (
                (self.reconstructed(each, index.detach().round()) + mean) * ungain[:, span]
                for each in (symbols, later)
            )
            known = torch.cat((known, seen), dim=1)
            sizes = torch.cat((sizes, magnitudes(later)), dim=1)
            parts.append(y_hat)
            residuals.append(residual)
            indices.append(index)
        y_hat = self.cells.scatter(torch.cat(parts, dim=1))
        return Residual(y_hat, torch.cat(residuals, dim=1), torch.cat(indices, dim=1))

    def export_exact(self, largest_input: int) -> ExactContext:
        return self.scale.export(largest_input, self.cells.elements)

    def exact_index(
        self, exact: Any, z: Tensor, symbols: Tensor, rate_index: int, *condition: Tensor
    ) -> Tensor:
        found = []
        for side, known in zip(z.cpu().numpy(), symbols.cpu().numpy(), strict=True):
            features = exact.features(side, rate_index)
            steps = [
                exact.index(step, features, known[: span.start], rate_index)
                for step, span in enumerate(exact.spans)
            ]
            found.append(np.concatenate(steps))
        return torch.from_numpy(np.stack(found))

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        def mean(step: int) -> Callable[..., Tensor]:
            return lambda features, known, rate: self.mean(step, features, known, rate)

        steps = {f"mean.{step}": mean(step) for step in range(len(self.cells.spans))}
        return {
            **self.side_networks(),
            "features": self.mean.features,
            "lean": lambda _: self.lean[None],
            **steps,
        }

    def shapes(self) -> dict[str, list[Shape]]:
        width = self.mean.to_cells.out_channels // CELL**2
        found = super().shapes()
        found["features"] = [(self.side.channels, "h", "w")]
        for step, span in enumerate(self.cells.spans):
            found[f"mean.{step}"] = [(width, "h", "w"), (span.start, "h", "w")]
        return found

    def frozen_from(self, arrays: Mapping[str, Any], device: torch.device) -> FrozenContext:
        networks = TorchNetworks(self.networks(), device)
        frozen = FrozenContext.from_arrays(arrays, self.channels, networks)
        for net in (frozen.exact.trunk, *frozen.exact.steps):
            net.run_by(TorchLayers(net))
        return frozen
