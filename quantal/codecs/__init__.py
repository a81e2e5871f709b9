"""Codecs: a transform and an entropy model with a name. A folder per family, and the registry.

Importing this package loads no torch; `load` and the classes do.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from quantal.codecs.family import CodecEntry, Family
from quantal.codecs.info import Card, CodecInfo
from quantal.codecs.registry import DEFAULT_CODEC, available, load, names, register, tuned

if TYPE_CHECKING:
    from quantal.codecs.contract import (
        Codec,
        Concealing,
        Encoding,
        Latents,
        Progressive,
        Resilient,
        Searching,
        StackedLatents,
        Stacking,
    )
    from quantal.codecs.transform import ProgressiveTransformCodec, TransformCodec

__all__ = [
    "DEFAULT_CODEC",
    "Card",
    "Codec",
    "CodecEntry",
    "CodecInfo",
    "Concealing",
    "Encoding",
    "Family",
    "Latents",
    "Progressive",
    "ProgressiveTransformCodec",
    "Resilient",
    "Searching",
    "StackedLatents",
    "Stacking",
    "TransformCodec",
    "available",
    "load",
    "names",
    "register",
    "tuned",
]

_HOMES = {
    "contract": (
        "Codec",
        "Concealing",
        "Encoding",
        "Latents",
        "Progressive",
        "Resilient",
        "Searching",
        "StackedLatents",
        "Stacking",
    ),
    "transform": ("ProgressiveTransformCodec", "TransformCodec"),
}
_MODULES = {name: module for module, names_ in _HOMES.items() for name in names_}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'quantal.codecs' has no attribute {name!r}")
    return getattr(importlib.import_module(f"quantal.codecs.{_MODULES[name]}"), name)
