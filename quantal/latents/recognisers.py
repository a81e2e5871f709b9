"""Networks that recognise what latents show, and their weights files.

A Classifier is trained from scratch, on latents or, to compare, on pixels. A StemNet stands for the
first layers of an existing classifier, so that it reads latents.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantal.codecs.info import Card
from quantal.codecs.sizes import Sizes
from quantal.codecs.weights import read_weights, sound_weights, write_weights
from quantal.errors import ArgumentError
from quantal.latents.adapters import Normaliser, Stem
from quantal.layers import GatedBlock, Unfilled
from quantal.transforms.wavelet import WaveletSynthesis

__all__ = [
    "PIXELS",
    "Classifier",
    "ClassifierConfig",
    "StemConfig",
    "StemNet",
    "fingerprint",
    "indices_of",
    "read_recogniser",
    "write_recogniser",
]

#: What a classifier of pixels has as its source.
PIXELS = "pixels"
_NET = "net."


@dataclass(frozen=True)
class ClassifierConfig(Sizes):
    """Sizes of a Classifier.

    Attributes:
        source: name of the codec whose latents it reads, or "pixels".
        channels: channels of the latents; 3 for pixels.
        names: names of the classes, in the order of the scores.
        widths: channels at 1/16 and 1/32 of the picture's sides.
        blocks: gated blocks at each.
        pixel_widths: channels at 1/4 and 1/8, for pixels.
        pixel_blocks: gated blocks at each.
    """

    source: str = "wavelet"
    channels: int = 64
    names: tuple[str, ...] = ()
    widths: tuple[int, int] = (96, 192)
    blocks: tuple[int, int] = (2, 4)
    pixel_widths: tuple[int, int] = (32, 64)
    pixel_blocks: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) != len(self.names):
            raise ArgumentError(
                "a classifier needs the names of two classes or more, all different"
            )
        if self.source == PIXELS and self.channels != 3:
            raise ArgumentError(f"pixels have 3 channels, not {self.channels}")
        _check_sizes((self.channels, *self.widths, *self.pixel_widths), self.blocks, self)
        _check_sizes((), self.pixel_blocks, self)


def _check_sizes(widths: Sequence[int], counts: Sequence[int], sizes: Sizes) -> None:
    """Raise ArgumentError unless widths are at least 1 and counts of blocks at least 0."""
    if min(widths, default=1) < 1 or min(counts, default=0) < 0:
        raise ArgumentError(f"sizes need widths >= 1 and blocks >= 0: {sizes}")


class _Norm(nn.GroupNorm):
    """Normalisation over all channels and positions of a picture."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)


class Classifier(nn.Module):
    """Latents [B, C, h, w] of any size, or pixels [B, 3, H, W] in 0..1, to scores of classes.

    Args:
        config: sizes.
    """

    layout = "latent classifier layout 1"
    config_type = ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        first, second = config.widths
        self.normaliser = Normaliser(config.channels)
        self.enter = (
            _pixel_stem(config) if config.source == PIXELS else nn.Conv2d(config.channels, first, 1)
        )
        self.fine = nn.Sequential(*(GatedBlock(first) for _ in range(config.blocks[0])))
        self.step = nn.Sequential(_Norm(first), nn.Conv2d(first, second, 2, stride=2))
        self.coarse = nn.Sequential(*(GatedBlock(second) for _ in range(config.blocks[1])))
        self.norm = nn.LayerNorm(second)
        self.answer = nn.Linear(second, len(config.names))

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [B, classes]."""
        found = self.fine(self.enter(self.normaliser(x)))
        # Odd sides: the last row and column are repeated.
        bottom, right = (side % 2 for side in found.shape[-2:])
        found = F.pad(found, (0, right, 0, bottom), mode="replicate")
        found = self.coarse(self.step(found)).mean((2, 3))
        scores: Tensor = self.answer(self.norm(found))
        return scores


def _pixel_stem(config: ClassifierConfig) -> nn.Sequential:
    """Return layers from pixels to 1/16, in three steps."""
    layers: list[nn.Module] = []
    width, steps = 3, (4, 2, 2)
    outs = (*config.pixel_widths, config.widths[0])
    for step, out, count in zip(steps, outs, (*config.pixel_blocks, 0), strict=True):
        layers += [nn.Conv2d(width, out, step, stride=step)]
        layers += [GatedBlock(out) for _ in range(count)]
        layers += [_Norm(out)] if count else []
        width = out
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class StemConfig(Sizes):
    """Sizes of a stem, and where it joins a classifier.

    Attributes:
        source: name of the codec whose latents it reads.
        channels: channels of the latents.
        backbone: name of a classifier in torchvision whose layers are its `features`.
        first: the first layer of its `features` that is kept.
        width: channels inside the stem.
        blocks: gated blocks of the stem.
        out_channels: channels that layer `first` takes.
        scale: positions that layer `first` takes for one that the stem reads, along each axis.
        synthesis_width: channels of the synthesis that comes first, at the latents' stride.
        synthesis_blocks: its gated blocks, the first of those that `wavelet` has; the stem then
            reads the packets of wavelets that it gives. None, and the stem reads latents.
    """

    source: str = "wavelet"
    channels: int = 64
    backbone: str = "mobilenet_v2"
    first: int = 11
    width: int = 192
    blocks: int = 4
    out_channels: int = 64
    scale: int = 1
    synthesis_width: int = 256
    synthesis_blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        widths = (self.channels, self.width, self.out_channels, self.scale, self.synthesis_width)
        _check_sizes(widths, (self.blocks, *self.synthesis_blocks), self)

    def synthesis(self) -> WaveletSynthesis | None:
        """Return the untrained synthesis that comes first, if any."""
        if not self.synthesis_blocks:
            return None
        return WaveletSynthesis(self.channels, self.synthesis_width, self.synthesis_blocks)


class StemNet(Stem):
    """A Stem with its sizes, as weights files hold it.

    Attributes:
        synthesis: what latents go through first, if anything; the stem reads its packets.
        teacher: fingerprint() of the classifier that it was trained for, uint8 [4].
    """

    teacher: Tensor

    layout = "latent stem layout 1"
    config_type = StemConfig

    def __init__(self, config: StemConfig) -> None:
        synthesis = config.synthesis()
        channels = config.channels if synthesis is None else 3 * 4**synthesis.depth
        super().__init__(channels, config.width, config.blocks, config.out_channels, config.scale)
        self.synthesis = synthesis
        self.config = config
        self.register_buffer("teacher", torch.zeros(4, dtype=torch.uint8))

    def inputs(self, latents: Tensor) -> Tensor:
        """Return what the stem itself reads of latents [B, C, h, w]: them, or their packets."""
        return latents if self.synthesis is None else self.synthesis.packets(latents)

    def forward(self, latents: Tensor) -> Tensor:
        """Map [B, C, h, w] to what layer `first` takes."""
        return super().forward(self.inputs(latents))

    @torch.no_grad()
    def start_from(self, latents: Tensor, features: Tensor) -> None:
        super().start_from(self.inputs(latents), features)


def fingerprint(network: nn.Module) -> Tensor:
    """Return the first 4 bytes of a SHA-256 over the names and values of a network's state."""
    found = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return torch.tensor(list(found.digest()[:4]), dtype=torch.uint8)


_KINDS: dict[str, type[Classifier | StemNet]] = {k.layout: k for k in (Classifier, StemNet)}


def write_recogniser(path: Path, net: Classifier | StemNet, card: Card) -> None:
    """Write a weights file, whole or not at all.

    Args:
        path: path to the file.
        net: the network.
        card: its summary.
    """
    state = net.state_dict()
    floats = {_NET + name: value.cpu().half().numpy() for name, value in state.items()}
    texts = {"model": json.dumps(net.config.to_dict()), "card": json.dumps(asdict(card))}
    write_weights(path, net.layout, floats, {}, texts)


def read_recogniser(path: Path) -> Any:
    """Read a Classifier or a StemNet, in evaluation mode, on the CPU.

    Args:
        path: path to the file.

    Raises:
        ModelError: If the file is missing, damaged or of another kind.
    """
    file = read_weights(path, list(_KINDS))
    kind = _KINDS[file.layout]
    with sound_weights(file):
        # No memory for what a file says before its tensors are found to be of these sizes.
        with Unfilled():
            net = kind(kind.config_type.from_dict(file.sizes()))  # type: ignore[arg-type]
        state = {
            name.removeprefix(_NET): torch.from_numpy(value.astype(np.float32))
            for name, value in file.arrays.items()
        }
        net.load_state_dict(state, assign=True)
    file.check({})
    return net.requires_grad_(False).eval()


def indices_of(labels: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the index of each label among the names of classes.

    Raises:
        ArgumentError: If a label is none of them.
    """
    known = {name: index for index, name in enumerate(names)}
    unknown = sorted(set(labels) - known.keys())
    if unknown:
        where = "; each class needs a folder of its own" if not unknown[0] else ""
        raise ArgumentError(
            f"pictures of class {unknown[0]!r} found, expected one of {', '.join(names)}; set "
            f"`model.names` to the classes of the data{where}"
        )
    return [known[label] for label in labels]
