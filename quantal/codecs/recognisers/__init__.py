"""Networks that recognise what latents show; they are no codecs, but trained by the same loop."""

from __future__ import annotations

from quantal.codecs.family import Family

__all__ = ["CLASSIFIER", "STEM"]

#: A classifier of latents or of pixels, from scratch.
CLASSIFIER = Family("classifier", "", (), "quantal.train.families.classifier:TRAINER")
#: First layers for an existing classifier, so that it reads latents.
STEM = Family("stem", "", (), "quantal.train.families.stem:TRAINER")
