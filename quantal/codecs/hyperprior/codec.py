"""Codec `hyperprior`: pyramid transforms, exact scales from z, one model for all rates."""

from __future__ import annotations

from quantal.codecs.hyperprior.net import HyperpriorNet
from quantal.codecs.pyramid.codec import PyramidCodec

__all__ = ["Hyperprior"]


class Hyperprior(PyramidCodec):
    """The codec with its weights loaded; see PyramidCodec."""

    net_type = HyperpriorNet
