"""Latents to bytes and back: quantisers, frozen tables, integer networks, priors and the coder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantal.entropy.exact import ExactLayer, ExactNet
from quantal.entropy.factorized import FactorizedPrior
from quantal.entropy.hyperprior import HyperAnalysis, MeanNet, ScaleNet
from quantal.entropy.rates import RATE_INDICES, RateCurve, rate_lambda
from quantal.entropy.scales import SCALES, index_to_scale, logistic_bits
from quantal.entropy.tables import PRECISION, TableSet, freeze

if TYPE_CHECKING:
    from quantal.entropy.coder import Decoder, Encoder, decode, encode

__all__ = [
    "PRECISION",
    "RATE_INDICES",
    "SCALES",
    "Decoder",
    "Encoder",
    "ExactLayer",
    "ExactNet",
    "FactorizedPrior",
    "HyperAnalysis",
    "MeanNet",
    "RateCurve",
    "ScaleNet",
    "TableSet",
    "decode",
    "encode",
    "freeze",
    "logistic_bits",
    "index_to_scale",
    "rate_lambda",
]


def __getattr__(name: str) -> object:
    # Training needs no arithmetic coder, and may run where constriction isn't installed.
    if name in ("Decoder", "Encoder", "decode", "encode"):
        from quantal.entropy import coder

        return getattr(coder, name)
    raise AttributeError(f"module 'quantal.entropy' has no attribute {name!r}")
