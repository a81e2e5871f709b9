"""The networks of the `context` codecs: what is coded of y tells means and scales of the rest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quantal.codecs._net import CodecNet, Coded, NetConfig, Quantise
from quantal.entropy.context import (
    Cells,
    ContextMean,
    ContextScale,
    ExactContext,
    Order,
    magnitudes,
)
from quantal.entropy.scales import SCALES
from quantal.transforms import rank_channels

__all__ = ["ContextConfig", "ContextNet"]


@dataclass(frozen=True)
class ContextConfig(NetConfig):
    """Sizes, and how y is coded: see entropy/context.py for `order` and `adaptive`."""

    blocks: tuple[int, int, int] = (4, 5, 1)
    hyper_width: int = 128
    mean_width: int = 208
    scale_width: int = 144
    order: str = "core"
    adaptive: bool = True


class ContextNet(CodecNet):
    """All networks of a `context` codec, whatever its size."""

    layout = "context layout 1"
    config_type = ContextConfig
    exact_type = ExactContext

    def __init__(self, config: ContextConfig) -> None:
        super().__init__(config)
        self.cells = Cells(Order.named(config.order, config.channels[-1]))
        spans = self.cells.spans
        self.mean = ContextMean(config.z_channels, config.mean_width, spans)
        self.scale = ContextScale(config.z_channels, config.scale_width, spans, config.adaptive)
        #: How much nearer to zero than itself a symbol is drawn, for each scale index.
        self.lean = nn.Parameter(torch.zeros(SCALES))

    def set_spread(self, rms: Tensor) -> None:
        self.hyper_analysis.normaliser.copy_(1 / rms)
        self.cells.set_rank(rank_channels(self.synthesis, rms))
        self.mean.spread.copy_(self.cells.per_element(rms[None, :, None, None])[0, :, 0, 0])

    @property
    def derived(self) -> frozenset[str]:
        return frozenset(
            name
            for name in self.state_dict()
            if name.startswith("cells.")
            or (name.startswith("scale.") and name.endswith("conv.weight"))
        )

    def export_exact(self, largest_input: int) -> ExactContext:
        return self.scale.export(largest_input, self.cells.elements)

    def restore(self, exact: ExactContext) -> None:
        self.cells.set_elements(exact.elements)
        self.scale.restore(exact)

    def drawn(self, symbols: Tensor, index: Tensor) -> Tensor:
        """Where symbols are reconstructed: a likely value of their cell, not its middle.

        The density falls away from zero, so the mean of a cell lies on its near side, most of all
        where scales are small. index: whole numbers 0..63, of any type. Symbols between two
        whole ones are drawn between what these are.
        """
        return symbols - symbols.clamp(-1, 1) * self.lean[index.long()]

    def told(self, z_hat: Tensor, position: Tensor) -> tuple[Tensor, ...]:
        """Features for the means and for the scale indices."""
        features = self.mean.features(z_hat, position)
        with torch.autocast(z_hat.device.type, enabled=False):
            return features, self.scale.features(z_hat, position)

    def code_told(
        self, y: Tensor, told: tuple[Tensor, ...], position: Tensor, quantise: Quantise
    ) -> Coded:
        cells = self.cells.gather(y)
        gain = self.cells.per_element(self.gain(position))
        ungain = self.cells.per_element(self.ungain(position))
        features, scale_features = told
        known, sizes = cells[:, :0], cells[:, :0]
        residuals, indices, parts = [], [], []
        for step, span in enumerate(self.cells.spans):
            mean = self.mean(step, features, known, position) * gain[:, span]
            with torch.autocast(y.device.type, enabled=False):
                index = self.scale(step, scale_features, sizes, position)
            residual = cells[:, span] * gain[:, span] - mean
            symbols, later = quantise(residual, index)
            y_hat, seen = (
                (self.drawn(each, index.detach().round()) + mean) * ungain[:, span]
                for each in (symbols, later)
            )
            known = torch.cat((known, seen), dim=1)
            sizes = torch.cat((sizes, magnitudes(later)), dim=1)
            parts.append(y_hat)
            residuals.append(residual)
            indices.append(index)
        y_hat = self.cells.scatter(torch.cat(parts, dim=1))
        return Coded(y_hat, torch.cat(residuals, dim=1), torch.cat(indices, dim=1))

    def exact_index(
        self, exact: ExactContext, z: Tensor, symbols: Tensor, rate_index: int
    ) -> Tensor:
        features = exact.features(z, rate_index)
        steps = [
            exact.index(step, features, symbols[:, : span.start], rate_index)
            for step, span in enumerate(self.cells.spans)
        ]
        return torch.cat(steps, dim=1)
