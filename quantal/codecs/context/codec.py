"""Codecs `context-s`, `-m` and `-l`: every step of y is predicted from the steps before it."""

from __future__ import annotations

from quantal.codecs.context import LAYOUT, NET
from quantal.codecs.pyramid.codec import PyramidCodec
from quantal.codecs.synthetic.hybrid import HybridCodec
from quantal.codecs.transform import ProgressiveTransformCodec
from quantal.entropy.frozen import FrozenContext

__all__ = ["Context"]


class Context(HybridCodec, PyramidCodec, ProgressiveTransformCodec):
    """A context codec with its weights loaded; see PyramidCodec, and HybridCodec for screens."""

    net_type = NET
    layout = LAYOUT
    frozen_type = FrozenContext
