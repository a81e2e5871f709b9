"""Evaluation of codecs on real files: rate, distortion, cost and machine perception.

    codec("avif:speed=4")                  any codec: Quantal's, classical or CompressAI's
    metric("ms-ssim")                      the quality of a decoded picture
    measure_rd(Plan(...)), write_report    rate-distortion on a folder of pictures, and a report
    bd, compare, read_side                 Bjøntegaard deltas

Machine perception is in `quantal.eval.perception`. Names are imported when first used; the
packages that they need are in the extra `quantal[eval]`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantal.eval.bdrate import BD, bd, compare
    from quantal.eval.codecs import ImageCodec, codec
    from quantal.eval.curves import Curve, Sheet, published, sheets
    from quantal.eval.metrics import metric
    from quantal.eval.rd import Plan, RDResult, measure_rd
    from quantal.eval.report import write_report
    from quantal.eval.sides import read_side

_HOMES = {
    "BD": "bdrate",
    "Curve": "curves",
    "ImageCodec": "codecs",
    "Plan": "rd",
    "RDResult": "rd",
    "Sheet": "curves",
    "bd": "bdrate",
    "codec": "codecs",
    "compare": "bdrate",
    "measure_rd": "rd",
    "metric": "metrics",
    "published": "curves",
    "read_side": "sides",
    "sheets": "curves",
    "write_report": "report",
}

__all__ = [
    "BD",
    "Curve",
    "ImageCodec",
    "Plan",
    "RDResult",
    "Sheet",
    "bd",
    "codec",
    "compare",
    "measure_rd",
    "metric",
    "published",
    "read_side",
    "sheets",
    "write_report",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'quantal.eval' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"quantal.eval.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
