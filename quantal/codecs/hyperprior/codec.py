"""Codec `hyperprior`: pyramid transforms, exact scales from z, one model for all rates."""

from __future__ import annotations

from quantal.codecs.hyperprior import LAYOUT, NET
from quantal.codecs.pyramid.codec import PyramidCodec
from quantal.entropy.frozen import FrozenHyperprior

__all__ = ["Hyperprior"]


class Hyperprior(PyramidCodec):
    """The codec with its weights loaded; see PyramidCodec."""

    net_type = NET
    layout = LAYOUT
    frozen_type = FrozenHyperprior
