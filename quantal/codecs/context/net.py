"""The networks of the `context` codecs: earlier latents predict means and scales of later ones."""

from __future__ import annotations

from dataclasses import dataclass

from quantal.codecs.context import LAYOUT
from quantal.codecs.pyramid.net import PyramidConfig, PyramidNet
from quantal.entropy.models import ContextModel
from quantal.errors import ArgumentError

__all__ = ["ContextConfig", "ContextNet"]


@dataclass(frozen=True)
class ContextConfig(PyramidConfig):
    """Sizes, and how y is coded; see PyramidConfig.

    Attributes:
        order: the coding order; see quantal.entropy.orders.Order.named().
        adaptive: whether scales depend on the magnitudes of earlier symbols.
    """

    blocks: tuple[int, int, int] = (4, 5, 1)
    hyper_width: int = 128
    mean_width: int = 208
    scale_width: int = 144
    order: str = "core"
    adaptive: bool = True


class ContextNet(PyramidNet):
    """All networks of a `context` codec of any size."""

    layout = LAYOUT
    config_type = ContextConfig

    @staticmethod
    def entropy_model(config: PyramidConfig) -> ContextModel:
        if not isinstance(config, ContextConfig):
            raise ArgumentError(f"{config} has no coding order")
        return ContextModel(
            config.channels[-1],
            config.z_channels,
            config.hyper_width,
            config.mean_width,
            config.scale_width,
            config.order,
            config.adaptive,
        )
