"""Codec `wavelet`: a nearly linear analysis, classes instead of networks to read, a deep synthesis.

docs/codecs/wavelet.md specifies the image part.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from quantal.codecs.pyramid.weights import read_entropy_net_weights
from quantal.codecs.transform import TransformCodec
from quantal.codecs.wavelet.net import WaveletNet

__all__ = ["Wavelet"]


class Wavelet(TransformCodec):
    """The codec with its weights loaded; see CodecBase.

    Args:
        name: is written to files.
        weights: the file.
        device: where the floating-point networks run.
    """

    def __init__(self, name: str, weights: Path, device: torch.device) -> None:
        loaded = read_entropy_net_weights(weights, WaveletNet)
        self._net = loaded.net.to(device)
        super().__init__(
            name,
            self._net.analysis,
            self._net.synthesis,
            self._net.entropy.frozen_from(loaded.integers, device),
            WaveletNet.stride,
            device=device,
            model_hash=loaded.hash,
        )

    def networks(self) -> WaveletNet:
        """Return a copy of the floating-point networks; changing it does not change the codec."""
        return copy.deepcopy(self._net)
