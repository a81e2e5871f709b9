"""Declarations of families of codecs: everything about a family in one place, nothing loaded."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["SHIPPED", "CodecEntry", "Family", "resolve"]

#: Where the weights that ship lie.
SHIPPED = Path(__file__).parents[1] / "weights"


@dataclass(frozen=True)
class CodecEntry:
    """One codec of a family.

    Attributes:
        name: is written to files: 1 to 23 characters of a-z, 0-9, "-", "_" and ".".
        description: a sentence.
        weights: path of its weights; None if users always name their own.
        media: what it codes.
        package: name of the package that brings the weights, if they are not in the wheel.
    """

    name: str
    description: str
    weights: Path | None
    media: str = "picture"
    package: str = ""


@dataclass(frozen=True)
class Family:
    """Codecs of one kind; entry points of the group `quantal.codecs` name objects of this type.

    Attributes:
        name: of the family. A recipe's codec belongs to it if it has this name or a codec's of it.
        codec: "module:class" of a Codec, called with (name, weights, device), a torch.device; if
            there is a `net`, with a Backend in its place. "" for networks that serve the codecs of
            another family.
        codecs: those that there are.
        trainer: "module:object" of a quantal.train.Trainer; "" if it is not trained here.
        aliases: further names that `load` takes, to the codec's name that stands in files.
        net: "module:class" of its networks in torch, a backends.torch.CodecNet, if its codecs take
            a Backend and so run by ONNX Runtime too; others need torch.
        integers: whether its codecs run no networks but integer ones, and so need no backend;
            `codec` is then called with (name, weights, "cpu").
    """

    name: str
    codec: str
    codecs: tuple[CodecEntry, ...]
    trainer: str = ""
    aliases: dict[str, str] = field(default_factory=dict)
    net: str = ""
    integers: bool = False


def resolve(target: str) -> Any:
    """Return the object that "module:attribute" names; imports the module."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
