"""Pyramid transforms around an entropy model: the networks of `hyperprior` and `context-*`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from quantal.codecs.output import TrainingOutput
from quantal.codecs.sizes import Sizes
from quantal.codecs.weights import NET, Array, WeightsFile, sound_weights
from quantal.entropy.models.base import EntropyModel, Shape
from quantal.entropy.models.side import SideInformationModel
from quantal.errors import ArgumentError
from quantal.layers import Unfilled
from quantal.transforms import (
    Kind,
    PyramidAnalysis,
    PyramidSynthesis,
    initialise_with_klt,
    rank_channels,
)

__all__ = ["EntropyNet", "PyramidConfig", "PyramidNet", "stored_name"]

Own = TypeVar("Own", bound="EntropyNet")

_ENTROPY = "entropy."
#: What parts of the entropy model are called in files, where that differs from the code.
_STORED = {"side.prior.": "prior.", "side.log_gain.": "z_log_gain."}


def stored_name(name: str) -> str:
    """Return what files call a tensor of an EntropyNet."""
    if not name.startswith(_ENTROPY):
        return NET + name
    own = name.removeprefix(_ENTROPY)
    for here, there in _STORED.items():
        if own.startswith(here):
            return NET + there + own.removeprefix(here)
    return NET + own


@dataclass(frozen=True)
class PyramidConfig(Sizes):
    """Sizes of the networks: transforms at 1/4, 1/8 and 1/16, then the entropy model.

    Attributes:
        channels: widths at each level; the last is that of the latents.
        blocks: gated blocks at each level.
        z_channels: of the side latents.
        hyper_width: channels inside the hyper-analysis.
        mean_width: channels inside the networks of means.
        scale_width: channels inside the networks of scales.
        kind: of the blocks that follow the gated ones at each level (transforms/stages.py).
        extras: how many of that kind follow at each level.
    """

    channels: tuple[int, int, int] = (64, 128, 320)
    blocks: tuple[int, int, int] = (2, 3, 1)
    z_channels: int = 128
    hyper_width: int = 192
    mean_width: int = 192
    scale_width: int = 192
    kind: Kind = "gated"
    extras: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        widths = (self.z_channels, self.hyper_width, self.mean_width, self.scale_width)
        if len(self.channels) != 3 or len(self.blocks) != 3 or min(*self.channels, *widths) < 1:
            raise ArgumentError(f"sizes need three channels, three blocks, widths >= 1: {self}")


class EntropyNet(nn.Module):
    """Networks with an entropy model, as weights files hold them.

    Attributes:
        layout: layout of the weights file; changes whenever the same integers are used in another
            way.
        config_type: type of `config`.
        config: sizes of the networks; what the class is called with.
        entropy: the entropy model.
    """

    layout: ClassVar[str]
    config_type: ClassVar[type[Sizes]]
    config: Any
    entropy: EntropyModel

    @classmethod
    def of(cls: type[Own], file: WeightsFile) -> Own:
        """Return the networks of a weights file, on the CPU, in evaluation mode.

        Raises:
            ModelError: If the file is damaged.
        """
        with sound_weights(file):
            with Unfilled():
                net = cls(cls.config_type.from_dict(file.sizes()))
            frozen = net.entropy.frozen_from(file.arrays, torch.device("cpu"))
            state = net._state(file.arrays)
            derived = net.entropy.derived_state(frozen).items()
            state |= {_ENTROPY + name: value for name, value in derived}
            net.load_state_dict(state, assign=True)
        net.requires_grad_(False)
        # What is coded comes from the integers; a search follows gradients, which rounding blurs.
        net.entropy.quantise(False)
        return net.eval()

    def _state(self, arrays: Mapping[str, Array]) -> dict[str, Tensor]:
        """Return the state that a file's arrays hold, without what integers determine."""
        names = {stored_name(name): name for name in self.state_dict()}
        own = {names[stored_name(_ENTROPY + name)] for name in self.entropy.derived}
        found = {name: value for name, value in arrays.items() if name.startswith(NET)}
        unknown = sorted(set(found) ^ {stored for stored, name in names.items() if name not in own})
        if unknown:
            raise ValueError(f"its tensors are not those of its sizes: {', '.join(unknown[:3])}")
        return {
            names[name]: torch.from_numpy(value.astype(np.float32)) for name, value in found.items()
        }

    def transforms(self) -> dict[str, nn.Module]:
        """Return the transforms by name; see backends.torch.CodecNet."""
        names = ("analysis", "synthesis")
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def stored_names(self) -> dict[str, str]:
        """Return what files call each tensor that they hold in floating point."""
        derived = {_ENTROPY + name for name in self.entropy.derived}
        return {name: stored_name(name) for name in self.state_dict() if name not in derived}

    def shapes(self) -> dict[str, list[Shape]]:
        """Return what the networks take; see backends.torch.CodecNet."""
        found = self.entropy.shapes()
        found["analysis"] = [(3, "16h", "16w")]
        found["synthesis"] = [(self.entropy.channels, "h", "w")]
        return found

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        """Return all networks of a codec by name; see backends.torch.CodecNet.

        Pixels are in 0..255, and channels lie together in memory.
        """
        found: dict[str, Callable[..., Tensor]] = dict(self.entropy.networks())
        for name, transform in self.transforms().items():
            found[name] = _from_pixels(transform) if name == "analysis" else _to_pixels(transform)
        return found


def _from_pixels(analysis: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda pixels, rate: analysis(pixels / 255)


def _to_pixels(synthesis: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    def drawn(y_hat: Tensor, rate: Tensor) -> Tensor:
        return synthesis(y_hat.contiguous(memory_format=torch.channels_last)) * 255

    return drawn


class PyramidNet(EntropyNet, ABC):
    """All networks of a codec: analysis, synthesis and the entropy model between them."""

    #: Pixels that the sides of training crops are multiples of.
    stride = 64
    config: PyramidConfig
    entropy: SideInformationModel

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__()
        self.config = config
        transform = (config.channels, config.blocks, config.kind, config.extras)
        self.analysis = PyramidAnalysis(*transform)
        self.synthesis = PyramidSynthesis(*transform)
        self.entropy = self.entropy_model(config)

    @staticmethod
    @abstractmethod
    def entropy_model(config: PyramidConfig) -> SideInformationModel:
        """Return the untrained entropy model of a config."""

    @torch.no_grad()
    def initialise(self, pictures: Tensor) -> None:
        """Start from the KLT of pictures [B, 3, H, W] in 0..1; H, W multiples of 16."""
        rms = initialise_with_klt(self.analysis, self.synthesis, pictures)
        self.calibrate(rms)

    def calibrate(self, rms: Tensor) -> None:
        """Prepare the entropy model for latents of these root mean squares [M]."""
        rms = rms.clamp_min(1e-3)
        self.entropy.calibrate(rms, rank_channels(self.synthesis, rms))

    def forward(
        self, pixels: Tensor, rate: Tensor, regions: Tensor | None = None
    ) -> TrainingOutput:
        """Code pictures for training.

        Args:
            pixels: [B, 3, H, W] in 0..1, H and W multiples of 64.
            rate: positions on the rate axis [B], 0..63.
            regions: labels int64 [B, H, W], in training, for transforms of kind "region".

        Returns:
            Reconstructed pixels, and the bits of y and z, [B] each.
        """
        y = self.analysis(pixels, regions).float()
        y_hat, bits = self.entropy(y, rate)
        return TrainingOutput(self.synthesis(y_hat, regions), bits)
