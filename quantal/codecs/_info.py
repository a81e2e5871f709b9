"""What is told of a codec without loading it; apart, because base.py imports torch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CodecInfo"]


@dataclass(frozen=True)
class CodecInfo:
    """What `quantal codecs` says of a codec; kMAC/pixel: thousand multiplications per pixel."""

    name: str
    media: str
    description: str
    parameters: int
    encode_kmac_per_pixel: float
    decode_kmac_per_pixel: float
    weights: bool
    training_data: str
    training_steps: int
