"""Trainable entropy models over latents of any transform; they freeze to models that code."""

from __future__ import annotations

from quantal.entropy.models.base import Coded, EntropyModel
from quantal.entropy.models.classes import ClassModel
from quantal.entropy.models.context import ContextModel
from quantal.entropy.models.factorized import FactorizedModel
from quantal.entropy.models.hyperprior import HyperpriorModel

__all__ = [
    "ClassModel",
    "Coded",
    "ContextModel",
    "EntropyModel",
    "FactorizedModel",
    "HyperpriorModel",
]
