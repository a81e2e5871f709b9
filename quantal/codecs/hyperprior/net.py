"""The networks of codec `hyperprior`: y's means and scales follow from z alone."""

from __future__ import annotations

from dataclasses import dataclass

from quantal.codecs.hyperprior import LAYOUT
from quantal.codecs.pyramid.net import PyramidConfig, PyramidNet
from quantal.entropy.models import HyperpriorModel

__all__ = ["HyperpriorConfig", "HyperpriorNet"]


@dataclass(frozen=True)
class HyperpriorConfig(PyramidConfig):
    """Sizes of the codec `hyperprior`; see PyramidConfig."""


class HyperpriorNet(PyramidNet):
    """All networks of the codec."""

    layout = LAYOUT
    config_type = HyperpriorConfig

    @staticmethod
    def entropy_model(config: PyramidConfig) -> HyperpriorModel:
        return HyperpriorModel(
            config.channels[-1],
            config.z_channels,
            config.hyper_width,
            config.mean_width,
            config.scale_width,
        )
