"""The picture codec inside a video codec: its transforms, and intra frames."""

from __future__ import annotations

import re
from pathlib import Path

from quantal.codecs.family import SHIPPED
from quantal.codecs.weights import read_header
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.walk import FloatArray, Networks
from quantal.errors import ModelError

__all__ = ["find_picture", "synthesis_unit"]


def synthesis_unit(networks: Networks) -> FloatArray:
    """Return what a unit of each latent of the analysis is to the synthesis, float32 [C, 1, 1].

    The synthesis is trained on what gains make of latents. At low rates these shrink a latent by
    what its quantisation makes of it; at the highest rate the scale between the transforms is left.

    Args:
        networks: networks of the picture codec's entropy model.
    """
    highest = RATE_INDICES - 1.0
    unit: FloatArray = networks("gain", highest) * networks("ungain", highest)
    return unit


def find_picture(name: str, wanted: str, beside: Path | None = None) -> Path:
    """Return the path of a picture codec's weights, present or superseded ones.

    Args:
        name: of the codec.
        wanted: hash of the weights, as hexadecimal digits; empty: the present ones.
        beside: a file whose folder is searched first.

    Raises:
        ModelError: If they are not here, or the name is none of a codec.
    """
    if not re.fullmatch(r"[a-z0-9._-]{1,23}", name):
        raise ModelError(f"{name!r:.40} found as the name of a picture codec; it can't be one")
    folders = [SHIPPED] if beside is None else [beside.parent, SHIPPED]
    for folder in folders:
        for path in (folder / f"{name}.safetensors", *sorted(folder.glob(f"{name}@*.safetensors"))):
            if path.is_file() and wanted in ("", read_header(path).get("hash")):
                return path
    which = f" of hash {wanted}" if wanted else ""
    raise ModelError(
        f"the weights of picture codec {name!r}{which} are missing, which code intra frames; put "
        "them beside the weights of the video codec"
    )
