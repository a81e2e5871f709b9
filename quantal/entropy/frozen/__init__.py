"""Entropy models as they code: tables, integer networks and a walk. Nothing here needs torch.

Trainable models freeze to these (quantal.entropy.models).
"""

from __future__ import annotations

from quantal.entropy.frozen.base import Decoded, FrozenModel
from quantal.entropy.frozen.classes import FrozenClasses
from quantal.entropy.frozen.context import FrozenContext
from quantal.entropy.frozen.factorized import FrozenFactorized
from quantal.entropy.frozen.hyperprior import FrozenHyperprior

__all__ = [
    "Decoded",
    "FrozenClasses",
    "FrozenContext",
    "FrozenFactorized",
    "FrozenHyperprior",
    "FrozenModel",
]
