"""Compressed latents as features: what a file holds, as tensors, without drawing the picture.

`quantal.latents` is this room and, as the contract has it, a function: the module can be called.
How latents are read is the business of `quantal.codecs`.
"""

from __future__ import annotations

import sys
from types import ModuleType

from safetensors.torch import save

from quantal.codecs.base import Latents
from quantal.codecs.files import read_latents

__all__ = ["Latents", "latents", "to_safetensors"]


def latents(data: bytes, *, device: str = "auto") -> Latents:
    """The latents in the bytes of a .qtl file; no synthesis is run."""
    return read_latents(data, device=device)


def to_safetensors(latents: Latents) -> bytes:
    """A safetensors file: `y_hat`, `z_hat`, `symbols.0`, `symbols.1`, ...; geometry as metadata."""
    tensors = {"y_hat": latents.y_hat, "z_hat": latents.z_hat}
    tensors |= {f"symbols.{index}": part for index, part in enumerate(latents.symbols)}
    names = ("codec", "width", "height", "rate", "stride")
    metadata = {name: str(getattr(latents, name)) for name in names}
    return save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)


class _Room(ModuleType):
    def __call__(self, data: bytes, *, device: str = "auto") -> Latents:
        return latents(data, device=device)


sys.modules[__name__].__class__ = _Room
