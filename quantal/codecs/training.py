"""What the training loop asks of a codec: a network that estimates its own rate and picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantal.codecs._context_net import ContextNet
from quantal.codecs._hyperprior_net import HyperpriorNet
from quantal.codecs._net import CodecNet, pad_to
from quantal.codecs._token_net import TokenNet
from quantal.codecs._token_weights import read_token_weights
from quantal.codecs._vq_conceal import ConcealNet
from quantal.codecs._vq_net import VqNet
from quantal.codecs._vq_weights import read_vq_weights
from quantal.codecs._weights import read_weights
from quantal.errors import ArgumentError, ModelError
from quantal.layers import GatedBlock
from quantal.transforms.attention import WindowAttentionBlock

__all__ = [
    "CodecNet",
    "GenerativeNet",
    "Trainable",
    "net_type",
    "pad_to",
    "start_from_weights",
    "trainable",
]

#: Networks that draw at a rate they are told, instead of estimating it.
GenerativeNet = VqNet | TokenNet
Trainable = CodecNet | VqNet | TokenNet | ConcealNet

#: Parts of a network that say how y is coded.
_CODING = ("cells", "mean", "scale", "lean")
#: Networks by the first word of a codec's name: `context-m` is a `context`.
_FAMILIES: dict[str, type[Trainable]] = {
    "hyperprior": HyperpriorNet,
    "context": ContextNet,
    "vq": VqNet,
    "vq-conceal": ConcealNet,
    "tokens": TokenNet,
}


def net_type(name: str) -> type[Trainable]:
    """The networks of a codec; raises ModelError if it has none that train here."""
    family = name if name in _FAMILIES else name.partition("-")[0]
    if family not in _FAMILIES:
        known = ", ".join(_FAMILIES)
        raise ModelError(f"there is no trainable codec {name!r}; there are the families {known}")
    return _FAMILIES[family]


def trainable(name: str, model: Mapping[str, Any]) -> Trainable:
    """Build the untrained network of a codec; `model` overrides its sizes."""
    kind = net_type(name)
    try:
        return kind(kind.config_type.from_dict(model))  # type: ignore[arg-type]
    except TypeError as error:
        raise ArgumentError(f"model sizes of {name!r}: {error}") from error


def start_from_weights(net: Trainable, path: Path, crops: Tensor) -> None:
    """Give a network what fits of a weights file, to train on from there.

    Of the same codec that is everything. Of another with the same channels, transforms and gains
    fit: blocks that the file lacks begin as the identity, the rest begins untrained, told by crops
    [B, 3, H, W] how large the latents are. A network of indices takes its own codec's alone.
    """
    if isinstance(net, CodecNet):
        _start_from_codec(net, path, crops)
        return
    found = read_vq_weights(path).net if isinstance(net, VqNet) else read_token_weights(path).net
    own, known = net.config.to_dict(), found.config.to_dict()
    own.pop("refine_width", None)  # what refines can join later: it starts as the identity
    if own != {name: known[name] for name in own}:
        raise ModelError(f"weights {path.name} have sizes {found.config}, the recipe {net.config}")
    net.load_state_dict({**net.state_dict(), **found.state_dict()})


def _start_from_codec(net: CodecNet, path: Path, crops: Tensor) -> None:
    found = read_weights(path).net
    if found.config.channels != net.config.channels:
        raise ModelError(
            f"weights {path.name} have sizes {found.config}, the recipe {net.config}; "
            "their channels have to be the same"
        )
    known = found.state_dict()
    for transform in ("analysis", "synthesis"):
        for name, block in getattr(net, transform).named_modules(prefix=transform):
            joins = isinstance(block, GatedBlock | WindowAttentionBlock)
            if joins and f"{name}.leave.weight" not in known:
                block.start_as_identity()
    own = net.state_dict()
    fitting = {n: v for n, v in known.items() if n in own and own[n].shape == v.shape}
    # How y is coded is taken as a whole or not at all: its parts mean nothing to another order.
    coding = {n for n in own if n.partition(".")[0] in _CODING}
    alike = getattr(found.config, "order", None) == getattr(net.config, "order", None)
    if not alike or not coding <= fitting.keys():
        fitting = {n: v for n, v in fitting.items() if n not in coding}
    net.load_state_dict(fitting, strict=False)
    if not coding <= fitting.keys():
        with torch.no_grad():
            rms = net.analysis(crops).square().mean((0, 2, 3)).sqrt()
        net.set_spread(rms.clamp_min(1e-3))
