"""A perceptual distance to train on: LPIPS (Zhang et al. 2018), and the features it is made of.

Written here in plain torch, because training runs on bare machines; `quantal.eval` measures with
the package lpips. The networks' weights are the user's own files, or torchvision's download.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.errors import ArgumentError, ModelError

__all__ = ["BACKBONES", "Lpips"]


@dataclass(frozen=True)
class _Backbone:
    """A network of torchvision, as LPIPS uses it.

    Attributes:
        layers: (stride, padding) of each convolution, by its number in torchvision's `features`.
        pools: the window of the max-pooling before a layer, by the layer's number.
        taps: numbers of the layers whose outputs LPIPS compares.
        url: where torchvision's weights are.
    """

    layers: dict[int, tuple[int, int]]
    pools: dict[int, int]
    taps: tuple[int, ...]
    url: str


BACKBONES = {
    "alex": _Backbone(
        {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)},
        {3: 3, 6: 3},
        (0, 3, 6, 8, 10),
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    ),
    "vgg": _Backbone(
        dict.fromkeys((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), (1, 1)),
        {5: 2, 10: 2, 17: 2, 24: 2},
        (2, 7, 14, 21, 28),
        "https://download.pytorch.org/models/vgg16-397923af.pth",
    ),
}
#: LPIPS' own scaling of samples in -1..1.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


def _tensors(path: str | Path, purpose: str) -> dict[str, Tensor]:
    try:
        if str(path).endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(path)
        found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return found
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        raise ModelError(f"{purpose}: the weights {path} can't be read: {error}") from error


class Lpips(nn.Module):
    """LPIPS 0.1 between drawn and true pixels, and the features that it is made of.

    Args:
        net: "alex" or "vgg".
        heads: LPIPS' file of weights for that network.
        backbone: a file of the network's weights with torchvision's keys; None for its download.

    Raises:
        ModelError: If a file can't be read, or lacks weights.
        ArgumentError: If there is no such network.
    """

    def __init__(self, net: str, heads: str | Path, backbone: str | Path | None = None) -> None:
        super().__init__()
        if net not in BACKBONES:
            raise ArgumentError(f"LPIPS has no network {net!r}; there are: {', '.join(BACKBONES)}")
        self.plan = BACKBONES[net]
        purpose = f"LPIPS with {net}"
        if backbone is None:
            try:
                state = torch.hub.load_state_dict_from_url(
                    self.plan.url, map_location="cpu", weights_only=True, check_hash=True
                )
            except (OSError, RuntimeError) as error:  # RuntimeError: of another hash
                raise ModelError(
                    f"{purpose}: {self.plan.url} can't be downloaded ({error}); name a file of it"
                ) from error
        else:
            state = _tensors(backbone, purpose)
        lines = _tensors(heads, purpose)
        try:
            for number in self.plan.layers:
                for kind in ("weight", "bias"):
                    value = state[f"features.{number}.{kind}"].float()
                    self.register_buffer(f"{kind}{number}", value, persistent=False)
            for place in range(len(self.plan.taps)):
                line = lines[f"lin{place}.model.1.weight"].float()
                self.register_buffer(f"line{place}", line, persistent=False)
        except KeyError as error:
            raise ModelError(f"{purpose}: the weights lack {error}") from error
        for name, values in (("shift", _SHIFT), ("scale", _SCALE)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    @property
    def widths(self) -> list[int]:
        """Return the number of channels of each map of features."""
        return [len(getattr(self, f"bias{tap}")) for tap in self.plan.taps]

    def features(self, pixels: Tensor) -> list[Tensor]:
        """Return maps of features of pixels [B, 3, H, W] in 0..1, finest first."""
        x = (pixels * 2 - 1 - self.shift) / self.scale  # type: ignore[operator]
        x = x.contiguous(memory_format=torch.channels_last)
        found = []
        for number, (stride, padding) in self.plan.layers.items():
            if number in self.plan.pools:
                x = F.max_pool2d(x, self.plan.pools[number], 2)
            weight, bias = getattr(self, f"weight{number}"), getattr(self, f"bias{number}")
            x = F.conv2d(x, weight, bias, stride, padding).relu()
            if number in self.plan.taps:
                found.append(x)
        return found

    def distance(self, drawn: list[Tensor], true: list[Tensor]) -> Tensor:
        """Return LPIPS [B] between features of equal sizes."""
        total = drawn[0].new_zeros(len(drawn[0]), dtype=torch.float32)
        for place, (one, other) in enumerate(zip(drawn, true, strict=True)):
            difference = (_unit(one) - _unit(other)).square()
            line = getattr(self, f"line{place}")[0]
            total = total + (difference * line).sum(1).flatten(1).mean(1)
        return total

    def forward(self, drawn: Tensor, true: Tensor) -> Tensor:
        """Return LPIPS [B] of pictures [B, 3, H, W] in 0..1."""
        with torch.no_grad():
            known = self.features(true)
        return self.distance(self.features(drawn), known)


def _unit(features: Tensor) -> Tensor:
    """Scale the vector of every position to length 1."""
    wide = features.float()
    return wide / (wide.square().sum(1, keepdim=True) + 1e-10).sqrt()
