"""The base of `hyperprior` and `context-*`: pyramid transforms, and a search for better symbols."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from quantal.codecs.backends import Backend, torch_net
from quantal.codecs.contract import Encoding, Latents, Pixels, Progress
from quantal.codecs.transform import TransformCodec, TransformEncoding
from quantal.codecs.weights import read_weights, sound_weights
from quantal.entropy.frozen.hyperprior import SideModel
from quantal.errors import ArgumentError

if TYPE_CHECKING:
    from quantal.codecs.pyramid.net import PyramidNet
    from quantal.codecs.pyramid.searcher import Searcher

__all__ = ["STRIDE", "PyramidCodec"]

STRIDE = 16


class PyramidCodec(TransformCodec):
    """A codec of a weights file.

    Args:
        name: is written to files.
        weights: the file.
        backend: runs the floating-point networks.
    """

    #: "module:class" of the networks in torch, the layout of their files, and what codes.
    net_type: ClassVar[str]
    layout: ClassVar[str]
    frozen_type: ClassVar[type[SideModel]]
    efforts = (0, 1, 2, 3)

    def __init__(self, name: str, weights: Path, backend: Backend) -> None:
        file = read_weights(weights, [self.layout])
        self._networks = backend.networks(file, self.net_type)
        with sound_weights(file):
            channels = int(file.sizes()["channels"][-1])
            frozen = self.frozen_type.from_arrays(file.arrays, channels, self._networks)
        found = file.check(frozen.integers())
        backend.accelerate(frozen.exact_nets)
        super().__init__(
            name,
            self._networks.transform("analysis"),
            self._networks.transform("synthesis"),
            frozen,
            STRIDE,
            device=backend.device,
            model_hash=found,
        )

    def encoding(self, pixels: Pixels) -> TransformEncoding:
        self._networks.prepare("synthesis")
        return super().encoding(pixels)

    def read(self, payload: bytes, width: int, height: int, rate: int) -> Latents:
        # Networks are loaded while bits are read.
        self._networks.prepare("analysis", "z")
        return super().read(payload, width, height, rate)

    def networks(self) -> PyramidNet:
        """Return a copy of the networks in torch; changing it does not change the codec.

        Raises:
            InstallError: If torch is not installed.
        """
        return torch_net(self._networks, self.net_type)  # type: ignore[no-any-return]

    @property
    def latent_channels(self) -> int:
        """M, the number of latent channels."""
        return self.entropy.channels

    @cached_property
    def _searcher(self) -> Searcher:
        net = torch_net(self._networks, self.net_type, "a search for better symbols (effort)")
        from quantal.codecs.pyramid.searcher import Searcher

        return Searcher(self, net)

    def searching(self, encoding: Encoding, effort: int, progress: Progress) -> Encoding:
        """Return an encoding that searches; see contract.Searching. A search needs torch.

        Effort 1 is one step of descent, then rounding by prices; 2 and 3 are annealing, short and
        long.
        """
        if effort not in self.efforts[1:] or not isinstance(encoding, TransformEncoding):
            raise ArgumentError(f"codec {self.name!r} has no effort {effort}; it has: 0 to 3")
        return _Search(self._searcher, encoding, effort, progress)


class _Search:
    """An encoding that searches at every rate."""

    def __init__(
        self, searcher: Searcher, plain: TransformEncoding, effort: int, progress: Progress
    ) -> None:
        self._searcher, self._plain = searcher, plain
        self._effort, self._progress = effort, progress

    def at(self, rate: int) -> bytes:
        plain = self._plain
        return self._searcher.search(plain.y, plain.pixels, rate, self._effort, self._progress)
