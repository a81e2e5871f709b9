"""Pictures and clips to .qtl files and back: rate targets, metadata, and which codec a file needs.

Importing this package loads no torch; its functions do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantal.files.clip_copy import CopiedClip, copy_clip
    from quantal.files.clip_decode import StoredClip, open_clip, verify_clip
    from quantal.files.clip_encode import ClipProgress, EncodedClip, encode_clip
    from quantal.files.clip_face import compress_clip, decompress_clip, write_clip
    from quantal.files.clip_part import part_of
    from quantal.files.clip_rate import ClipTarget
    from quantal.files.decode import decode_picture, read_latents, verify
    from quantal.files.encode import Encoded, encode_picture
    from quantal.files.face import compress, decompress, read, samples, write
    from quantal.files.targets import Target

_HOMES = {
    "clip_copy": ("CopiedClip", "copy_clip"),
    "clip_decode": ("StoredClip", "open_clip", "verify_clip"),
    "clip_encode": ("ClipProgress", "EncodedClip", "encode_clip"),
    "clip_face": ("compress_clip", "decompress_clip", "write_clip"),
    "clip_part": ("part_of",),
    "clip_rate": ("ClipTarget",),
    "decode": ("decode_picture", "read_latents", "verify"),
    "encode": ("Encoded", "encode_picture"),
    "face": ("compress", "decompress", "read", "samples", "write"),
    "targets": ("Target",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ClipProgress",
    "ClipTarget",
    "CopiedClip",
    "Encoded",
    "EncodedClip",
    "StoredClip",
    "Target",
    "compress",
    "compress_clip",
    "copy_clip",
    "decode_picture",
    "decompress",
    "decompress_clip",
    "encode_clip",
    "encode_picture",
    "open_clip",
    "part_of",
    "read",
    "read_latents",
    "samples",
    "verify",
    "verify_clip",
    "write",
    "write_clip",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'quantal.files' has no attribute {name!r}")
    return getattr(importlib.import_module(f"quantal.files.{_MODULES[name]}"), name)
