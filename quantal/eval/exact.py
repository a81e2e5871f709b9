"""Codecs that decode every picture without an error: bits per sample and speed, in place of curves.

A sample is one number of one pixel (a sub-pixel); pictures under evaluation have three to a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from quantal.eval.rows import Row

__all__ = ["Exact", "exact_codecs"]

_SAMPLES = 3


@dataclass(frozen=True)
class Exact:
    """What a codec takes to keep pictures as they are.

    Attributes:
        bpsp: bits per sample: those of all files over all samples.
        pictures: how many pictures.
        encode_s: mean seconds to encode a picture.
        decode_s: mean seconds to decode one.
        encode_mp_s: megapixels encoded in a second.
        decode_mp_s: megapixels decoded in a second.
    """

    bpsp: float
    pictures: int
    encode_s: float
    decode_s: float
    encode_mp_s: float
    decode_mp_s: float


def exact_codecs(rows: Iterable[Row]) -> dict[str, Exact]:
    """Return what is known of codecs whose pictures all have an infinite PSNR, by codec.

    Args:
        rows: of a measurement by the metric psnr; failures are left out.
    """
    by_codec: dict[str, list[Row]] = {}
    for row in rows:
        if not row.error:
            by_codec.setdefault(row.codec, []).append(row)
    return {
        codec: _of(own)
        for codec, own in by_codec.items()
        if len({row.quality for row in own}) == 1 and all(map(_is_exact, own))
    }


def _is_exact(row: Row) -> bool:
    value = (row.metrics or {}).get("psnr")
    return value is not None and math.isinf(value)


def _of(rows: list[Row]) -> Exact:
    pixels = sum(row.width * row.height for row in rows)
    encode, decode = sum(row.encode_s or 0 for row in rows), sum(row.decode_s or 0 for row in rows)
    return Exact(
        bpsp=8 * sum(row.bytes or 0 for row in rows) / (_SAMPLES * pixels),
        pictures=len(rows),
        encode_s=encode / len(rows),
        decode_s=decode / len(rows),
        encode_mp_s=pixels / 1e6 / encode if encode else math.inf,
        decode_mp_s=pixels / 1e6 / decode if decode else math.inf,
    )
