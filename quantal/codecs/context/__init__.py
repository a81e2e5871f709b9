"""Codecs `context-s`, `context-m` and `context-l`: channel-and-position context, three sizes."""

from __future__ import annotations

from quantal.codecs.family import SHIPPED, CodecEntry, Family

__all__ = ["FAMILY", "LAYOUT", "NET"]

#: Names the meaning of the arrays in files of weights; changes whenever the same integers are used
#: in another way.
LAYOUT = "context layout 1"
#: The networks in torch; see Family.
NET = "quantal.codecs.context.net:ContextNet"

FAMILY = Family(
    name="context",
    codec="quantal.codecs.context.codec:Context",
    trainer="quantal.train.families.context:TRAINER",
    net=NET,
    codecs=(
        CodecEntry(
            "context-s",
            "Channel-and-position context, small networks; one model for all rates.",
            SHIPPED / "context-s.safetensors",
        ),
        CodecEntry(
            "context-m",
            "Channel-and-position context; one model for all rates.",
            SHIPPED / "context-m.safetensors",
        ),
        CodecEntry(
            "context-l",
            "Channel-and-position context, large networks, for a GPU.",
            SHIPPED / "context-l.safetensors",
        ),
    ),
)
