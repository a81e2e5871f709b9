"""Codec `hyperprior`: a mean-scale hyperprior on pyramid transforms."""

from __future__ import annotations

from quantal.codecs.family import SHIPPED, CodecEntry, Family

__all__ = ["FAMILY"]

FAMILY = Family(
    name="hyperprior",
    codec="quantal.codecs.hyperprior.codec:Hyperprior",
    trainer="quantal.train.families.hyperprior:TRAINER",
    codecs=(
        CodecEntry(
            "hyperprior",
            "Mean-scale hyperprior on a three-level pyramid; one model for all rates.",
            SHIPPED / "hyperprior.safetensors",
        ),
    ),
)
