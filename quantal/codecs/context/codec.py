"""Codecs `context-s`, `-m` and `-l`: every step of y is predicted from the steps before it."""

from __future__ import annotations

from quantal.codecs.context import LAYOUT, NET
from quantal.codecs.pyramid.codec import PyramidCodec
from quantal.codecs.transform import ProgressiveTransformCodec
from quantal.entropy.frozen import FrozenContext

__all__ = ["Context"]


class Context(PyramidCodec, ProgressiveTransformCodec):
    """A context codec with its weights loaded; see PyramidCodec."""

    net_type = NET
    layout = LAYOUT
    frozen_type = FrozenContext
