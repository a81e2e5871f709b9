"""Training of the codecs `context-s`, `context-m` and `context-l`."""

from __future__ import annotations

from quantal.codecs.context.net import ContextNet
from quantal.train.families.pyramid import PyramidTrainer

__all__ = ["TRAINER"]

TRAINER = PyramidTrainer(ContextNet)
