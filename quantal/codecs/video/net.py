"""The networks that a video codec adds to those of a picture codec."""

from __future__ import annotations

from dataclasses import dataclass

from quantal.codecs.pyramid.net import EntropyNet
from quantal.codecs.sizes import Sizes
from quantal.codecs.video import LAYOUT
from quantal.entropy.models.predicted import PredictedModel
from quantal.errors import ArgumentError

__all__ = ["VideoConfig", "VideoNet"]


@dataclass(frozen=True)
class VideoConfig(Sizes):
    """What predicted frames are coded with.

    Attributes:
        picture: name of the picture codec that has the transforms and codes intra frames.
        picture_hash: of its weights, as hexadecimal digits; empty until they are known.
        motion: whether frames are predicted from the motion-compensated frame before, instead of
            from its latents.
        channels: of the latents; those of the picture codec.
        z_channels: of the side latents.
        hyper_width: channels inside the hyper-analysis.
        mean_width: channels inside the networks of means.
        scale_width: channels inside the networks of scales.
        past_width: features of the frame before that scales depend on.
        order: the coding order; see quantal.entropy.orders.Order.named().
    """

    picture: str = "context-m"
    picture_hash: str = ""
    motion: bool = True
    channels: int = 320
    z_channels: int = 128
    hyper_width: int = 128
    mean_width: int = 208
    scale_width: int = 144
    past_width: int = 32
    order: str = "places"

    def __post_init__(self) -> None:
        widths = (self.z_channels, self.hyper_width, self.mean_width, self.scale_width)
        if min(self.channels, *widths, self.past_width) < 1:
            raise ArgumentError(f"sizes need widths >= 1: {self}")


class VideoNet(EntropyNet):
    """The entropy model of predicted frames."""

    layout = LAYOUT
    config_type = VideoConfig
    config: VideoConfig
    entropy: PredictedModel

    def __init__(self, config: VideoConfig) -> None:
        super().__init__()
        self.config = config
        self.entropy = PredictedModel(
            config.channels,
            config.z_channels,
            config.hyper_width,
            config.mean_width,
            config.scale_width,
            config.past_width,
            config.order,
        )
