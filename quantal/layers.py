"""The residual block that every floating-point network of Quantal is made of, and its precision.

Spatial reach comes from one depthwise 3x3 convolution a block; everything else is 1x1, where a
multiplication buys most (NAFNet, Chen et al. 2022, and DCVC-FM, Li et al. 2024, argue alike).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["GatedBlock", "half_pays"]

#: Residual branches start at a tenth of their size: the network begins close to the identity,
#: which keeps a KLT initialisation intact.
BRANCH_START = 0.1


class GatedBlock(nn.Module):
    """Depthwise mixing of neighbours, then gated mixing of channels; both residual.

    Maps [B, C, H, W] to the same shape. Reaches one position in each direction and costs
    8 C^2 + 9 C multiplications a position.
    """

    reach = 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.leave = nn.Conv2d(channels, channels, 1)
        self.expand = nn.Conv2d(channels, 4 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)
        self.activation = nn.LeakyReLU(0.1)
        for last in (self.leave, self.project):
            last.weight.data.mul_(BRANCH_START)
            if last.bias is not None:
                nn.init.zeros_(last.bias)

    def start_as_identity(self) -> None:
        """Silence both branches, for a block that joins a trained network."""
        for last in (self.leave, self.project):
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.leave(self.spatial(self.activation(self.enter(x))))
        value, gate = self.expand(x).chunk(2, dim=1)
        return x + self.project(value * gate.relu())


def half_pays(device: torch.device) -> bool:
    """Whether bfloat16 is quicker here: on GPUs, and on CPUs whose oneDNN has it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False  # as on a Mac, where torch lacks even the question below
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
