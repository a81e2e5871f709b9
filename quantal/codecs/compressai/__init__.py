"""Models of CompressAI's zoo as codecs: its networks and tables, Quantal's coder and files.

Importing this package loads neither torch nor CompressAI. `weights` reads weights files, `tables`
converts their tables, `prior` and `sequential` are the walks, `codec` is the Codec.
docs/reference/codecs/compressai.md specifies the image part.
"""

from __future__ import annotations

import struct

from quantal.codecs.family import CodecEntry, Family
from quantal.errors import TruncatedError, UnsupportedVersionError

__all__ = ["ARCHITECTURES", "FAMILY", "HEAD", "NAMES", "ZOO", "unpack_head"]

#: What stands in headers as the codec's name.
FAMILY = "compressai"
#: An architecture's place here is its number in files: new ones go to the end.
ARCHITECTURES = (
    "bmshj2018-factorized",
    "bmshj2018-factorized-relu",
    "bmshj2018-hyperprior",
    "mbt2018-mean",
    "mbt2018",
    "cheng2020-anchor",
    "cheng2020-attn",
    "bmshj2018-hyperprior-vbr",
    "mbt2018-mean-vbr",
    "mbt2018-vbr",
)
#: What people call them.
NAMES = tuple(f"{FAMILY}/{architecture}" for architecture in ARCHITECTURES)
#: The beginning of an image part: the architecture's number, the check value.
HEAD = struct.Struct("<BI")


def unpack_head(image: bytes) -> tuple[str, int]:
    """Return the architecture and the check value of an image part.

    Raises:
        BitstreamError: If there is no such head.
    """
    if len(image) < HEAD.size:
        raise TruncatedError(
            f"the image part has {len(image)} bytes, expected at least {HEAD.size}: it was cut"
        )
    number, check = HEAD.unpack_from(image)
    if number >= len(ARCHITECTURES):
        raise UnsupportedVersionError(
            f"architecture {number} of CompressAI's zoo found, expected 0..{len(ARCHITECTURES) - 1}"
            "; the file needs a newer Quantal: update this one"
        )
    return ARCHITECTURES[number], check


#: Users always name weights of their own.
ZOO = Family(
    name=FAMILY,
    codec="quantal.codecs.compressai.codec:CompressaiCodec",
    codecs=(CodecEntry(FAMILY, "A model of CompressAI's zoo, with your weights.", None),),
    aliases=dict.fromkeys(NAMES, FAMILY),
)
