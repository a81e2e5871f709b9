"""Pictures to .qtl files and back: rate targets, metadata, and which codec a file needs.

Importing this package loads no torch; its functions do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantal.files.decode import decode_picture, read_latents, verify
    from quantal.files.encode import Encoded, encode_picture
    from quantal.files.face import compress, decompress, latents, read, write
    from quantal.files.targets import Target

_HOMES = {
    "decode": ("decode_picture", "read_latents", "verify"),
    "encode": ("Encoded", "encode_picture"),
    "face": ("compress", "decompress", "latents", "read", "write"),
    "targets": ("Target",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Encoded",
    "Target",
    "compress",
    "decode_picture",
    "decompress",
    "encode_picture",
    "latents",
    "read",
    "read_latents",
    "verify",
    "write",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'quantal.files' has no attribute {name!r}")
    return getattr(importlib.import_module(f"quantal.files.{_MODULES[name]}"), name)
