"""Codecs `video-s` and `video-m`: frames predicted in the latents of a picture codec."""

from __future__ import annotations

from quantal.codecs.family import SHIPPED, CodecEntry, Family

__all__ = ["FAMILY", "LAYOUT", "NET"]

#: Names the meaning of the arrays in files of weights; changes whenever the same integers are used
#: in another way.
LAYOUT = "video layout 1"
#: The networks in torch; see Family.
NET = "quantal.codecs.video.net:VideoNet"

_STILL = "predicted from the latents of the frame before, without motion: cheap to decode."

FAMILY = Family(
    name="video",
    codec="quantal.codecs.video.codec:Video",
    trainer="quantal.train.families.video:TRAINER",
    net=NET,
    codecs=(
        CodecEntry(
            "video-s",
            "Video by motion compensation in the latents of context-s.",
            SHIPPED / "video-s.safetensors",
            "video",
            package="quantal-weights-video-s",
        ),
        CodecEntry(
            "video-s-still",
            f"Video {_STILL}",
            SHIPPED / "video-s-still.safetensors",
            "video",
            package="quantal-weights-video-s",
        ),
        CodecEntry(
            "video-m",
            "Video by motion compensation in the latents of context-m.",
            SHIPPED / "video-m.safetensors",
            "video",
        ),
    ),
)
