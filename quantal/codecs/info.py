"""What is known of a codec without loading it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Card", "CodecInfo"]


@dataclass(frozen=True)
class Card:
    """The summary of a model in its weights file.

    Attributes:
        parameters: how many numbers were trained.
        encode_kmac_per_pixel: thousand multiplications per pixel to encode.
        decode_kmac_per_pixel: thousand multiplications per pixel to decode.
        training_data: what it was trained on.
        training_steps: for how many steps.
    """

    parameters: int = 0
    encode_kmac_per_pixel: float = 0.0
    decode_kmac_per_pixel: float = 0.0
    training_data: str = ""
    training_steps: int = 0

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Card | None:
        """Return the card in a weights file's metadata; None if there is none."""
        try:
            values: dict[str, Any] = json.loads(metadata["card"])
            kinds = {"int": int, "float": float, "str": str}
            return cls(**{f.name: kinds[str(f.type)](values[f.name]) for f in fields(cls)})
        except (KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class CodecInfo:
    """What `quantal codecs` prints of a codec; the figures are those of its Card.

    Attributes:
        name: of the codec.
        media: what it codes.
        description: a sentence.
        parameters: see Card.
        encode_kmac_per_pixel: see Card.
        decode_kmac_per_pixel: see Card.
        weights: whether its weights are here.
        training_data: see Card.
        training_steps: see Card.
        package: name of the package that brings the weights; empty if they come with Quantal, or
            users name their own.
    """

    name: str
    media: str
    description: str
    parameters: int
    encode_kmac_per_pixel: float
    decode_kmac_per_pixel: float
    weights: bool
    training_data: str
    training_steps: int
    package: str = ""
