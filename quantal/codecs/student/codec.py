"""Codec `student`: what a classifier needs to know of a picture, and nothing else.

An encoder with a rate-limited bottleneck is trained, with a stem that reads its latents, to give
the features of a frozen classifier (after Matsubara et al., "Supervised compression for
resource-constrained edge computing systems", 2022). The image part is laid out as that of
`wavelet`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from quantal.codecs.backends import Backend, torch_net
from quantal.codecs.backends.base import Transform
from quantal.codecs.contract import Latents
from quantal.codecs.student import LAYOUT, NET
from quantal.codecs.transform import TransformCodec
from quantal.codecs.weights import read_weights, sound_weights
from quantal.entropy.frozen import FrozenClasses
from quantal.errors import ModelError

if TYPE_CHECKING:
    from quantal.codecs.student.net import StudentNet

__all__ = ["STRIDE", "Student"]

#: Pixels per latent along each axis.
STRIDE = 16


class Student(TransformCodec):
    """The codec with its weights loaded; see CodecBase.

    Args:
        name: is written to files.
        weights: the file.
        backend: runs the floating-point networks.
    """

    draws = False

    def __init__(self, name: str, weights: Path, backend: Backend) -> None:
        file = read_weights(weights, [LAYOUT])
        self._networks = backend.networks(file, NET)
        with sound_weights(file):
            frozen = FrozenClasses.from_arrays(file.arrays, self._networks)
        super().__init__(
            name,
            self._networks.transform("analysis"),
            Transform(self._no_picture),
            frozen,
            STRIDE,
            device=backend.device,
            model_hash=file.check(frozen.integers()),
        )

    def _no_picture(self, latents: object, rate: float = 0.0) -> NoReturn:
        raise ModelError(
            f"files of codec {self.name!r} hold features of a classifier, of which no picture can "
            "be drawn; read their latents"
        )

    def synthesise(self, latents: Latents) -> NoReturn:
        self._no_picture(latents)

    def synthesise_unrounded(self, latents: Latents) -> NoReturn:
        self._no_picture(latents)

    def networks(self) -> StudentNet:
        """Return a copy of the networks in torch; changing it does not change the codec.

        Raises:
            InstallError: If torch is not installed.
        """
        return torch_net(self._networks, NET)  # type: ignore[no-any-return]
