"""Codec `tokens`: tiles of 256x256 pixels as short sequences of binary tokens."""

from __future__ import annotations

from quantal.codecs.family import SHIPPED, CodecEntry, Family

__all__ = ["FAMILY", "NET"]

#: The networks in torch; see Family.
NET = "quantal.codecs.tokens.net:TokenNet"

FAMILY = Family(
    name="tokens",
    codec="quantal.codecs.tokens.codec:Tokens",
    trainer="quantal.train.families.tokens:TRAINER",
    net=NET,
    codecs=(
        CodecEntry(
            "tokens",
            "Tiles of 256x256 as up to 128 binary tokens; any prefix is a picture.",
            SHIPPED / "tokens.safetensors",
            package="quantal-weights-tokens",
        ),
    ),
)
