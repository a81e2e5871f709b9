"""Latents of many pictures: reading, shards, data sets and augmentation.

The guide is docs/how-to/latents.md. Importing this package loads no torch; its functions do.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from quantal.extras import imported

if TYPE_CHECKING:
    from quantal.latents._augment import Crop, Flip
    from quantal.latents._dataset import LatentDataset
    from quantal.latents._elsewhere import Decoder, tar_samples
    from quantal.latents._failures import Failed
    from quantal.latents._hugging import LatentsFeature as LatentsFeature
    from quantal.latents._pack import Found, Packed, find_files, pack, parse_file, write_shards
    from quantal.latents._read import Symbols, read, read_many
    from quantal.latents._sample import Batch, Sample, collate
    from quantal.latents._shard import About, Shard, find_shards
    from quantal.latents._stream import LatentStream
    from quantal.latents._unpack import Unpacked, unpack

_HOMES = {
    "_augment": ("Crop", "Flip"),
    "_dataset": ("LatentDataset",),
    "_elsewhere": ("Decoder", "tar_samples"),
    "_failures": ("Failed",),
    "_hugging": ("LatentsFeature",),
    "_pack": ("Found", "Packed", "find_files", "pack", "parse_file", "write_shards"),
    "_read": ("Symbols", "read", "read_many"),
    "_sample": ("Batch", "Sample", "collate"),
    "_shard": ("About", "Shard", "find_shards"),
    "_stream": ("LatentStream",),
    "_unpack": ("Unpacked", "unpack"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

# Without LatentsFeature, which needs the package datasets.
__all__ = [
    "About",
    "Batch",
    "Crop",
    "Decoder",
    "Failed",
    "Flip",
    "Found",
    "LatentDataset",
    "LatentStream",
    "Packed",
    "Sample",
    "Shard",
    "Symbols",
    "Unpacked",
    "collate",
    "find_files",
    "find_shards",
    "pack",
    "parse_file",
    "read",
    "read_many",
    "tar_samples",
    "unpack",
    "write_shards",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'quantal.latents' has no attribute {name!r}")
    module = imported(f"quantal.latents.{_MODULES[name]}", "data sets of latents")
    return getattr(module, name)


class _Room(ModuleType):
    """This package, which can be called: `quantal.latents(data)` is read(data)."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from quantal.latents._read import read

        return read(*args, **kwargs)


sys.modules[__name__].__class__ = _Room
