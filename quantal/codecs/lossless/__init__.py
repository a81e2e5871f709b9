"""Codec `lossless`: samples predicted by integer networks, coarse to fine, kept to the last bit."""

from __future__ import annotations

from quantal.codecs.family import SHIPPED, CodecEntry, Family

__all__ = ["FAMILY", "LAYOUT"]

#: Names the meaning of the arrays in files of weights; changes whenever the same integers are used
#: in another way.
LAYOUT = "lossless layout 1"

FAMILY = Family(
    name="lossless",
    codec="quantal.codecs.lossless.codec:Lossless",
    trainer="quantal.train.families.lossless:TRAINER",
    codecs=(
        CodecEntry(
            "lossless",
            "Every sample kept, 8 or 16 bits, alpha included; smaller than JPEG XL.",
            SHIPPED / "lossless.safetensors",
        ),
    ),
    integers=True,
)
