"""The patch discriminator: it looks at pixels, and at the features that LPIPS computes anyway.

Isola et al. 2017; VQGAN, Esser et al. 2021. Features learn sooner and cost little (Sauer et al.
2021, "Projected GANs").
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["Discriminator", "hinge_loss"]


class Discriminator(nn.Module):
    """Logits of patches: is this a photograph? One head for pixels, one for each map of features.

    Args:
        widths: channels of the maps of features.
        width: channels inside.
    """

    def __init__(self, widths: Sequence[int], width: int = 64) -> None:
        super().__init__()

        def layer(inside: int, outside: int, size: int, stride: int = 1) -> nn.Module:
            return spectral_norm(nn.Conv2d(inside, outside, size, stride, size // 2))

        self.pixels = nn.Sequential(
            layer(3, width // 2, 5, 2),
            nn.LeakyReLU(0.2),
            layer(width // 2, width, 5, 2),
            nn.LeakyReLU(0.2),
            layer(width, width, 3),
            nn.LeakyReLU(0.2),
            layer(width, 1, 1),
        )
        self.heads = nn.ModuleList(
            nn.Sequential(
                layer(inside, width, 1),
                nn.LeakyReLU(0.2),
                layer(width, width, 3),
                nn.LeakyReLU(0.2),
                layer(width, 1, 1),
            )
            for inside in widths
        )

    def forward(self, pixels: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Return maps of logits.

        Args:
            pixels: [B, 3, H, W] in 0..1.
            features: of the same pictures.
        """
        logits = [self.pixels(pixels * 2 - 1)]
        for head, map_ in zip(self.heads, features, strict=True):
            # Features of a layer are of about one size, whatever the picture.
            size = map_.detach().float().square().mean((1, 2, 3), keepdim=True).sqrt()
            logits.append(head(map_ / (size + 1e-3)))
        return logits


def hinge_loss(fakes: Sequence[Tensor], reals: Sequence[Tensor]) -> Tensor:
    """Return the discriminator's hinge loss, from maps of logits."""
    each = [
        F.relu(1 + fake.float()).mean() + F.relu(1 - real.float()).mean()
        for fake, real in zip(fakes, reals, strict=True)
    ]
    return torch.stack(each).mean()
