"""The base of all trainable entropy models: latents in, reconstructed latents and bits out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.arguments import whole
from quantal.entropy.fixed_point import quantise_layers
from quantal.entropy.frozen.base import FrozenModel
from quantal.entropy.rounding import add_noise, round_through

__all__ = [
    "Coded",
    "EntropyModel",
    "Quantise",
    "Residual",
    "Samples",
    "Shape",
    "detached_copy",
    "pad_to",
    "round_both",
]

#: Latents [B, C, h, w] and their positions on the rate axis [B], on which tables are counted; then
#: what they are coded given, if anything.
Samples = Iterable[tuple[Tensor, ...]]
#: Sizes of an array behind its batch: numbers, or multiples of what a picture's size decides, such
#: as "h", "2w" and "16h".
Shape = tuple[int | str, ...]
#: Maps residuals and scale indices of one shape to two sets of symbols: those that latents are
#: reconstructed from, and those that later steps take.
Quantise = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

Own = TypeVar("Own", bound="EntropyModel")


class Coded(NamedTuple):
    """Result of an entropy model.

    Attributes:
        y_hat: reconstructed latents [B, C, h, w].
        bits: bits of each coded tensor by its name, [B] each.
    """

    y_hat: Tensor
    bits: dict[str, Tensor]


@dataclass(frozen=True)
class Residual:
    """Latents before and after rounding.

    Attributes:
        y_hat: reconstructed latents [B, C, h, w].
        residual: the values that are rounded to symbols, in the model's own arrangement.
        index: scale indices of the same shape, not yet rounded.
    """

    y_hat: Tensor
    residual: Tensor
    index: Tensor


class EntropyModel(nn.Module, ABC):
    """A model of latents [B, C, h, w] of any size and from any transform.

    Attributes:
        channels: C.
        rounded: whether the training rate is that of rounded symbols, as in files, instead of noisy
            ones.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = whole("channels", channels, 1)
        self.rounded = False

    @abstractmethod
    def forward(self, y: Tensor, rate: Tensor) -> Coded:
        """Estimate the bits of latents, and reconstruct them.

        Args:
            y: latents [B, C, h, w], float32.
            rate: positions on the rate axis [B], 0 (coarsest) to 63.

        Returns:
            y_hat [B, C, h, w] and bits by name, [B] each; both have gradients.
        """

    @abstractmethod
    def freeze(self, samples: Samples = ()) -> FrozenModel:
        """Return the model that codes: tables, integer networks, and copies of the other networks.

        Args:
            samples: latents and their rates, like those to be coded; symbols are counted on them.
                Without any, tables follow from the distribution that training assumed.

        Raises:
            ModelError: If the integer networks would not code as the trained ones do.
        """

    @abstractmethod
    def frozen_from(self, arrays: Mapping[str, Any], device: torch.device) -> FrozenModel:
        """Return the model that codes, from the integers of an earlier frozen one.

        Args:
            arrays: what its integers() gave.
            device: where floating-point networks run.

        Raises:
            KeyError, ValueError, ModelError: If the arrays are not those of such a model.
        """

    def networks(self) -> dict[str, Callable[..., Tensor]]:
        """Return the floating-point networks that the frozen model calls by name."""
        return {}

    def shapes(self) -> dict[str, list[Shape]]:
        """Return the sizes of what these networks take, beside the rate, by name."""
        return {name: [] for name in self.networks()}

    @property
    def derived(self) -> frozenset[str]:
        """Names of the state that a weights file holds as integers only."""
        return frozenset()

    def derived_state(self, frozen: Any) -> dict[str, Tensor]:
        """Return the derived state, by name, from the integers of a frozen model."""
        return {}

    def calibrate(self, rms: Tensor, rank: Iterable[int] | None = None) -> None:
        """Prepare for latents of a known size, before training.

        Args:
            rms: root mean square of each channel [C].
            rank: channels, most important first; default: by their size.
        """

    def quantise(self, on: bool = True) -> None:
        """Switch the rounding of the networks that become integers; on by default."""
        quantise_layers(self.modules(), on)

    def price_rounded(self, on: bool) -> None:
        """Let the training rate be that of rounded symbols, as in files, instead of noisy ones."""
        for module in self.modules():
            if isinstance(module, EntropyModel):
                module.rounded = on

    def blur(self, values: Tensor) -> Tensor:
        """Return values to count bits of: rounded or, in training, noisy unless `rounded`.

        Noise has a gradient, but costs more where symbols are nearly always zero.
        """
        return add_noise(values) if self.training and not self.rounded else round_through(values)


def round_both(residual: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    """Round to the nearest symbols, for reconstruction and for later steps alike; a Quantise."""
    symbols = round_through(residual)
    return symbols, symbols


def pad_to(x: Tensor, multiple: int) -> Tensor:
    """Extend [B, C, H, W] at the right and the bottom to whole multiples by repeating its edge."""
    bottom, right = -x.shape[-2] % multiple, -x.shape[-1] % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


def detached_copy(model: Own) -> Own:
    """Return a copy for coding that further training of the model does not change."""
    copy = deepcopy(model).eval().requires_grad_(False)
    copy.quantise(True)
    return copy
