"""The synthetic layer: tiles of text, flat areas and repeats, coded as exact colours.

It is shared by families of codecs. Its tiles are read before those that networks code.
"""

from __future__ import annotations

from quantal.codecs.synthetic.choice import (
    Costs,
    cheaper_tiles,
    choose_tiles,
    guess_costs,
    has_palette,
    looks_synthetic,
)
from quantal.codecs.synthetic.holes import fill_holes
from quantal.codecs.synthetic.layer import (
    TILE,
    decode_layer,
    encode_layer,
    is_justified,
    read_tiles,
)

__all__ = [
    "TILE",
    "Costs",
    "cheaper_tiles",
    "choose_tiles",
    "decode_layer",
    "encode_layer",
    "fill_holes",
    "guess_costs",
    "has_palette",
    "is_justified",
    "looks_synthetic",
    "read_tiles",
]
