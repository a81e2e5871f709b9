"""Latents to bytes and back: entropy models, quantisers, tables, integer networks, the coder.

Names are looked up on first use: coding needs no torch, training no arithmetic coder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantal.extras import imported

if TYPE_CHECKING:
    from quantal.entropy.circuits import (
        Circuit,
        decode_blocks,
        encode_blocks,
        estimate_blocks,
        fit_circuit,
    )
    from quantal.entropy.coder import Decoder, Encoder, decode, encode, estimate_bits
    from quantal.entropy.curves import RateCurve, rate_lambda
    from quantal.entropy.exact import ExactLayer, ExactNet
    from quantal.entropy.fixed_point import FixedPoint
    from quantal.entropy.frozen import (
        Decoded,
        FrozenClasses,
        FrozenContext,
        FrozenFactorized,
        FrozenHyperprior,
        FrozenModel,
    )
    from quantal.entropy.indices import IndexPrior, walk_map
    from quantal.entropy.models import (
        ClassModel,
        Coded,
        ContextModel,
        EntropyModel,
        FactorizedModel,
        HyperpriorModel,
    )
    from quantal.entropy.models.likelihoods import index_to_scale, logistic_bits
    from quantal.entropy.quantisers import (
        CascadeQuantiser,
        FiniteScalarQuantiser,
        Quantised,
        Quantiser,
        SignQuantiser,
        Use,
        VectorQuantiser,
        kmeans,
    )
    from quantal.entropy.rates import RATE_INDICES, lambda_at
    from quantal.entropy.scales import SCALES
    from quantal.entropy.tables import PRECISION, TableSet, freeze
    from quantal.entropy.walk import Coding, Known, Networks, Pricing, Reading, Writing

#: Where each public name stands.
_HOMES = {
    "circuits": (
        "Circuit",
        "decode_blocks",
        "encode_blocks",
        "estimate_blocks",
        "fit_circuit",
    ),
    "coder": ("Decoder", "Encoder", "decode", "encode", "estimate_bits"),
    "curves": ("RateCurve", "rate_lambda"),
    "exact": ("ExactLayer", "ExactNet"),
    "fixed_point": ("FixedPoint",),
    "frozen": (
        "Decoded",
        "FrozenClasses",
        "FrozenContext",
        "FrozenFactorized",
        "FrozenHyperprior",
        "FrozenModel",
    ),
    "indices": ("IndexPrior", "walk_map"),
    "models": (
        "ClassModel",
        "Coded",
        "ContextModel",
        "EntropyModel",
        "FactorizedModel",
        "HyperpriorModel",
    ),
    "models.likelihoods": ("index_to_scale", "logistic_bits"),
    "quantisers": (
        "CascadeQuantiser",
        "FiniteScalarQuantiser",
        "Quantised",
        "Quantiser",
        "SignQuantiser",
        "Use",
        "VectorQuantiser",
        "kmeans",
    ),
    "rates": ("RATE_INDICES", "lambda_at"),
    "scales": ("SCALES",),
    "tables": ("PRECISION", "TableSet", "freeze"),
    "walk": ("Coding", "Known", "Networks", "Pricing", "Reading", "Writing"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "PRECISION",
    "RATE_INDICES",
    "SCALES",
    "CascadeQuantiser",
    "Circuit",
    "ClassModel",
    "Coded",
    "Coding",
    "ContextModel",
    "Decoded",
    "Decoder",
    "Encoder",
    "EntropyModel",
    "ExactLayer",
    "ExactNet",
    "FactorizedModel",
    "FiniteScalarQuantiser",
    "FixedPoint",
    "FrozenClasses",
    "FrozenContext",
    "FrozenFactorized",
    "FrozenHyperprior",
    "FrozenModel",
    "HyperpriorModel",
    "IndexPrior",
    "Known",
    "Networks",
    "Pricing",
    "Quantised",
    "Quantiser",
    "RateCurve",
    "Reading",
    "SignQuantiser",
    "TableSet",
    "Use",
    "VectorQuantiser",
    "Writing",
    "decode",
    "decode_blocks",
    "encode",
    "encode_blocks",
    "estimate_bits",
    "estimate_blocks",
    "fit_circuit",
    "freeze",
    "index_to_scale",
    "kmeans",
    "lambda_at",
    "logistic_bits",
    "rate_lambda",
    "walk_map",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'quantal.entropy' has no attribute {name!r}")
    module = imported(f"quantal.entropy.{_MODULES[name]}", "entropy models in training")
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
