"""Lossless formats for reference; each has a single quality."""

from __future__ import annotations

from typing import Any, ClassVar

from PIL import __version__ as pillow_version
from PIL import features

from quantal.eval.classical.still import Jxl, StillCodec, WebP
from quantal.eval.codecs import Option

__all__ = ["JxlLossless", "Png", "WebPLossless"]

_ONE = (0.0,)


class Png(StillCodec):
    """PNG by zlib."""

    description = "PNG, the smallest that zlib finds"
    format = "PNG"
    options: ClassVar = {}
    qualities = _ONE

    @property
    def version(self) -> str:
        return f"zlib {features.version('zlib')} by Pillow {pillow_version}"

    def save_options(self, quality: float) -> dict[str, Any]:
        return {"optimize": True}


class WebPLossless(WebP):
    """Lossless WebP by libwebp."""

    description = "WebP, lossless"
    options: ClassVar = {"method": Option.whole(6, 0, 6)}
    qualities = _ONE

    def save_options(self, quality: float) -> dict[str, Any]:
        return {"lossless": True, "quality": 80, "method": int(self.values["method"])}


class JxlLossless(Jxl):
    """Lossless JPEG XL by libjxl."""

    description = "JPEG XL, lossless (Modular)"
    options: ClassVar = {"effort": Option.whole(7, 1, 9)}
    qualities = _ONE

    def save_options(self, quality: float) -> dict[str, Any]:
        return {"lossless": True, "effort": int(self.values["effort"]), "num_threads": 0}
