"""Codec `hyperprior`: a mean-scale hyperprior on pyramid transforms."""

from __future__ import annotations

from quantal.codecs.family import SHIPPED, CodecEntry, Family

__all__ = ["FAMILY", "LAYOUT", "NET"]

#: Names the meaning of the arrays in files of weights; changes whenever the same integers are used
#: in another way.
LAYOUT = "hyperprior layout 1"
#: The networks in torch; see Family.
NET = "quantal.codecs.hyperprior.net:HyperpriorNet"

FAMILY = Family(
    name="hyperprior",
    codec="quantal.codecs.hyperprior.codec:Hyperprior",
    trainer="quantal.train.families.hyperprior:TRAINER",
    net=NET,
    codecs=(
        CodecEntry(
            "hyperprior",
            "Mean-scale hyperprior on a three-level pyramid; one model for all rates.",
            SHIPPED / "hyperprior.safetensors",
            package="quantal-weights-hyperprior",
        ),
    ),
)
