"""Codecs: transform + entropy model + stream layout, one file each, and the registry of them.

Importing this room loads no torch; `load` and the classes do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantal.codecs._info import CodecInfo
from quantal.codecs.registry import DEFAULT_CODEC, CodecEntry, available, load, names

if TYPE_CHECKING:
    from quantal.codecs.base import Codec, Latents

__all__ = [
    "DEFAULT_CODEC",
    "Codec",
    "CodecEntry",
    "CodecInfo",
    "Latents",
    "available",
    "load",
    "names",
]


def __getattr__(name: str) -> object:
    if name in ("Codec", "Latents"):
        from quantal.codecs import base

        return getattr(base, name)
    raise AttributeError(f"module 'quantal.codecs' has no attribute {name!r}")
