"""Residual blocks of Quantal's floating-point networks, and the precision they run in.

Spatial reach comes from one depthwise 3x3 convolution per block; all other layers are 1x1
convolutions, where multiplications are best spent (NAFNet, Chen et al. 2022, and DCVC-FM, Li et al.
2024, argue alike).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = [
    "BRANCH_START",
    "AttentionBlock",
    "GatedBlock",
    "Unfilled",
    "half_pays",
    "undisturbed",
]

#: Residual branches start at a tenth of their size: the network begins close to the identity,
#: which keeps a KLT initialisation intact.
BRANCH_START = 0.1
#: Positions that a thread widens at a time where no gradient is needed: intermediate values stay in
#: the processor's cache, and little new memory is allocated, whose first touch would be slow.
_PIECE = 1024
#: Functions that fill a tensor with random numbers.
_FILLING = {"uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_"}


class GatedBlock(nn.Module):
    """Depthwise mixing of neighbours, then gated mixing of channels; both are residual.

    Maps [B, C, H, W] to the same shape. A block reaches one position in each direction and costs
    8 C^2 + 9 C multiplications per position.
    """

    reach = 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.leave = nn.Conv2d(channels, channels, 1)
        self.expand = nn.Conv2d(channels, 4 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)
        self.activation = nn.LeakyReLU(0.1, inplace=True)
        for last in (self.leave, self.project):
            last.weight.data.mul_(BRANCH_START)
            if last.bias is not None:
                nn.init.zeros_(last.bias)

    def start_as_identity(self) -> None:
        """Set both branches to zero, for a block that joins a trained network."""
        for last in (self.leave, self.project):
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        branch = self.leave(self.spatial(self.activation(self.enter(x))))
        if torch.is_inference_mode_enabled() and x.is_cpu and branch.dtype == x.dtype:
            return self._mixed_in_place(branch.add_(x))
        x = x + branch
        if torch.compiler.is_compiling():
            return x + self.project(self._gated_traced(x))
        value, gate = self.expand(x).chunk(2, dim=1)
        return x + self.project(value * gate.relu())

    def _gated_traced(self, x: Tensor) -> Tensor:
        """Return the gated values of forward(), for graphs.

        By two convolutions: ONNX Runtime joins the second with its ReLU, and its layout of channels
        stays as it is, which a cut in two would undo.
        """
        weight, bias, half = self.expand.weight, self.expand.bias, self.project.in_channels
        if bias is None:
            raise TypeError("the block's layers have biases")
        value = F.conv2d(x, weight[:half], bias[:half])
        return value * F.conv2d(x, weight[half:], bias[half:]).relu()

    def _mixed_in_place(self, x: Tensor) -> Tensor:
        """Return the second half of forward(), piece by piece; the result is channels_last."""
        last = x.permute(0, 2, 3, 1).contiguous()
        for piece in torch.split(last.flatten(0, 2), _PIECE * torch.get_num_threads()):
            wide = F.linear(piece, self.expand.weight.flatten(1), self.expand.bias)
            value, gate = wide.chunk(2, dim=1)
            mixed = value * gate.relu_()
            piece += F.linear(mixed, self.project.weight.flatten(1), self.project.bias)
        return last.permute(0, 3, 1, 2)


class AttentionBlock(nn.Module):
    """Attention over all tokens, then gated mixing of channels; both are residual.

    Maps [B, N, C] to the same shape.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 4 * channels)
        self.project = nn.Linear(2 * channels, channels)
        for last in (self.proj, self.project):
            last.weight.data.mul_(BRANCH_START)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, channels = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, count, 3, self.heads, channels // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        x = x + self.proj(attended.transpose(1, 2).flatten(2))
        value, gate = self.expand(self.norm2(x)).chunk(2, dim=2)
        return x + self.project(value * gate.relu())


def half_pays(device: torch.device) -> bool:
    """Return whether bfloat16 is faster: on GPUs, and on CPUs whose oneDNN supports it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False  # as on a Mac, where torch lacks even the query below
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Run networks without gradients and in their own precision, whatever the caller's modes."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            stack.enter_context(torch.autocast(device, enabled=False))
        yield


class Unfilled(TorchFunctionMode):
    """A context in which networks are built without memory and without random numbers.

    What is empty, as parameters are before their initialisation, is on the device "meta" until
    `load_state_dict(..., assign=True)` replaces it, and is not initialised, so torch's random state
    stays as it is. Constants are computed as usual: arithmetic on "meta" imports sympy (130 MB).
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty and kwargs.get("device") is None:
            return torch.empty(*args, **{**kwargs, "device": "meta"})
        if func.__name__ in _FILLING:
            filled = kwargs["tensor"] if "tensor" in kwargs else args[0]
            if filled.is_meta:
                return filled
        return func(*args, **kwargs)
