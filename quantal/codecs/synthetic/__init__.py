"""The synthetic layer: tiles of text, flat areas and repeats, coded as exact colours.

It is shared by families of codecs. Its tiles are read before those that networks code.
"""

from __future__ import annotations

from quantal.codecs.synthetic.layer import TILE, decode_layer, encode_layer

__all__ = ["TILE", "decode_layer", "encode_layer"]
