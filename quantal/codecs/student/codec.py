"""Codec `student`: what a classifier needs to know of a picture, and nothing else.

An encoder with a rate-limited bottleneck is trained, with a stem that reads its latents, to give
the features of a frozen classifier (after Matsubara et al., "Supervised compression for
resource-constrained edge computing systems", 2022). The image part is laid out as that of
`wavelet`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import NoReturn

import torch

from quantal.codecs.contract import Latents
from quantal.codecs.pyramid.weights import read_entropy_net_weights
from quantal.codecs.student.net import StudentNet
from quantal.codecs.transform import TransformCodec
from quantal.errors import ModelError

__all__ = ["Student"]


class Student(TransformCodec):
    """The codec with its weights loaded; see CodecBase.

    Args:
        name: is written to files.
        weights: the file.
        device: where the floating-point networks run.
    """

    draws = False

    def __init__(self, name: str, weights: Path, device: torch.device) -> None:
        loaded = read_entropy_net_weights(weights, StudentNet)
        self._net = loaded.net.to(device)
        super().__init__(
            name,
            self._net.analysis,
            self._no_picture,
            self._net.entropy.frozen_from(loaded.integers, device),
            StudentNet.stride,
            device=device,
            model_hash=loaded.hash,
        )

    def _no_picture(self, latents: object) -> NoReturn:
        raise ModelError(
            f"files of codec {self.name!r} hold features of a classifier, of which no picture can "
            "be drawn; read their latents"
        )

    def synthesise(self, latents: Latents) -> NoReturn:
        self._no_picture(latents)

    def synthesise_unrounded(self, latents: Latents) -> NoReturn:
        self._no_picture(latents)

    def networks(self) -> StudentNet:
        """Return a copy of the floating-point networks; changing it does not change the codec."""
        return copy.deepcopy(self._net)
