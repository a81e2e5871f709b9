"""Quantal: learned image and video codecs that write real files.

Names are looked up on first use, so that `import quantal` stays quick and loads neither torch nor
numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantal.codecs.registry import load
    from quantal.files.face import compress, decompress, latents, read, write

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "compress",
    "decompress",
    "latents",
    "load",
    "read",
    "write",
]

_HOMES = {
    "compress": "quantal.files.face",
    "decompress": "quantal.files.face",
    "latents": "quantal.files.face",
    "load": "quantal.codecs.registry",
    "read": "quantal.files.face",
    "write": "quantal.files.face",
}
_ROOMS = (
    "codecs",
    "container",
    "entropy",
    "errors",
    "eval",
    "files",
    "media",
    "train",
    "transforms",
)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value: object = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"quantal.{name}")
    raise AttributeError(f"module 'quantal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
