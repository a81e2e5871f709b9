"""Codec `vq`: vector-quantised, generative, for very low rates; and its concealment."""

from __future__ import annotations

from quantal.codecs.family import SHIPPED, CodecEntry, Family

__all__ = ["CONCEALMENT", "FAMILY", "NET"]

#: The networks in torch; see Family.
NET = "quantal.codecs.vq.net:VqNet"

FAMILY = Family(
    name="vq",
    codec="quantal.codecs.vq.codec:Vq",
    trainer="quantal.train.families.vq:TRAINER",
    net=NET,
    codecs=(
        CodecEntry(
            "vq",
            "Vector-quantised ladder, generative; for 0.01 to 0.1 bits per pixel.",
            SHIPPED / "vq.safetensors",
            package="quantal-weights-vq",
        ),
    ),
)
#: The network that makes up lost cells: trained, but no codec.
CONCEALMENT = Family(
    name="vq-conceal",
    codec="",
    net="quantal.codecs.vq.conceal_net:ConcealNet",
    codecs=(),
    trainer="quantal.train.families.vq_conceal:TRAINER",
)
