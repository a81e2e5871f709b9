"""Training of the codec `hyperprior`."""

from __future__ import annotations

from quantal.codecs.hyperprior.net import HyperpriorNet
from quantal.train.families.pyramid import PyramidTrainer

__all__ = ["TRAINER"]

TRAINER = PyramidTrainer(HyperpriorNet)
