"""Codec `wavelet`: a nearly linear analysis, classes instead of networks to read, a deep synthesis.

docs/reference/codecs/wavelet.md specifies the image part.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quantal.codecs.backends import Backend, torch_net
from quantal.codecs.transform import TransformCodec
from quantal.codecs.wavelet import LAYOUT, NET
from quantal.codecs.weights import read_weights, sound_weights
from quantal.entropy.frozen import FrozenClasses

if TYPE_CHECKING:
    from quantal.codecs.wavelet.net import WaveletNet

__all__ = ["STRIDE", "Wavelet"]

#: Pixels per latent along each axis.
STRIDE = 16


class Wavelet(TransformCodec):
    """The codec with its weights loaded; see CodecBase.

    Args:
        name: is written to files.
        weights: the file.
        backend: runs the floating-point networks.
    """

    def __init__(self, name: str, weights: Path, backend: Backend) -> None:
        file = read_weights(weights, [LAYOUT])
        self._networks = backend.networks(file, NET)
        with sound_weights(file):
            frozen = FrozenClasses.from_arrays(file.arrays, self._networks)
        super().__init__(
            name,
            self._networks.transform("analysis"),
            self._networks.transform("synthesis"),
            frozen,
            STRIDE,
            device=backend.device,
            model_hash=file.check(frozen.integers()),
        )

    def networks(self) -> WaveletNet:
        """Return a copy of the networks in torch; changing it does not change the codec.

        Raises:
            InstallError: If torch is not installed.
        """
        return torch_net(self._networks, NET)  # type: ignore[no-any-return]
