"""Codec `student`: pictures coded for a classifier alone; a stem gives its features."""

from __future__ import annotations

from quantal.codecs.family import CodecEntry, Family

__all__ = ["FAMILY", "LAYOUT", "NET"]

#: Names the meaning of the arrays in files of weights; changes whenever the same integers are used
#: in another way.
LAYOUT = "student layout 1"
#: The networks in torch; see Family.
NET = "quantal.codecs.student.net:StudentNet"

FAMILY = Family(
    name="student",
    codec="quantal.codecs.student.codec:Student",
    trainer="quantal.train.families.student:TRAINER",
    net=NET,
    codecs=(
        CodecEntry(
            "student",
            "Features of one classifier in a few hundred bytes; no picture can be drawn of them.",
            None,
        ),
    ),
)
