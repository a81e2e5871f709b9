"""Codec `wavelet`: wavelet packets and a shallow analysis, made for learning on its latents."""

from __future__ import annotations

from quantal.codecs.family import SHIPPED, CodecEntry, Family

__all__ = ["FAMILY", "LAYOUT", "NET"]

#: Names the meaning of the arrays in files of weights; changes whenever the same integers are used
#: in another way.
LAYOUT = "wavelet layout 1"
#: The networks in torch; see Family.
NET = "quantal.codecs.wavelet.net:WaveletNet"

FAMILY = Family(
    name="wavelet",
    codec="quantal.codecs.wavelet.codec:Wavelet",
    trainer="quantal.train.families.wavelet:TRAINER",
    net=NET,
    codecs=(
        CodecEntry(
            "wavelet",
            "Wavelet packets and a nearly linear encoder, for learning on latents; quick to read.",
            SHIPPED / "wavelet.safetensors",
            package="quantal-weights-wavelet",
        ),
    ),
)
