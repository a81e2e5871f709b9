"""JPEG, WebP, AVIF, JPEG 2000, JPEG XL and HEIC, through Pillow and its plugins.

Files are complete, without metadata; with an option scale above 1 they start with the picture's
size in 4 bytes. Defaults are the encoders' usual settings for good compression.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError
from quantal.eval._optional import require
from quantal.eval.classical._scale import SCALE, SIZE, resized, scaled_down
from quantal.eval.codecs import ImageCodec, Option

__all__ = ["Avif", "Heic", "Jpeg", "Jpeg2000", "Jxl", "StillCodec", "WebP"]

_SUBSAMPLING = ("4:2:0", "4:2:2", "4:4:4")
_HUNDRED = (0.0, 100.0)


def _library(feature: str, title: str) -> str:
    """Return title and version of a library of Pillow; ArgumentError if Pillow lacks it."""
    if not features.check(feature):
        raise ArgumentError(
            f"this Pillow {pillow_version} was built without {title}; install the wheel of the "
            "package index: pip install --upgrade pillow"
        )
    return f"{title} {features.version(feature)} by Pillow {pillow_version}"


class StillCodec(ImageCodec):
    """A format of Pillow; subclasses give the arguments of `Image.save`."""

    #: Name of the format in `Image.save`.
    format: ClassVar[str]
    limits = _HUNDRED

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        self._scale = int(values.get("scale", SCALE.default))  # not lossless

    @abstractmethod
    def save_options(self, quality: float) -> dict[str, Any]:
        """Return keyword arguments of `Image.save`."""

    def encode(self, image: Pixels, quality: float) -> bytes:
        file = io.BytesIO()
        smaller = Image.fromarray(scaled_down(image, self._scale))
        smaller.save(file, self.format, **self.save_options(quality))
        height, width = image.shape[:2]
        return (SIZE.pack(width, height) if self._scale > 1 else b"") + file.getvalue()

    def decode(self, data: bytes) -> Pixels:
        if self._scale == 1:
            return self._open(data)
        return resized(self._open(data[SIZE.size :]), *SIZE.unpack_from(data))

    def _open(self, file: bytes) -> Pixels:
        with Image.open(io.BytesIO(file), formats=[self.format]) as image:
            return np.asarray(image.convert("RGB"))

    def chosen(self, key: str) -> bool:
        """Whether the option `key` is "yes"."""
        return self.values[key] == "yes"


class Jpeg(StillCodec):
    """JPEG by libjpeg-turbo."""

    description = "JPEG by libjpeg-turbo, optimised Huffman tables, progressive"
    format = "JPEG"
    options: ClassVar = {
        "subsampling": Option("4:2:0", _SUBSAMPLING),
        "progressive": Option.yes(True),
        "optimise": Option.yes(True),
        "scale": SCALE,
    }
    qualities: tuple[float, ...] = (5, 8, 12, 18, 26, 36, 50, 65, 75, 82, 88, 92, 95, 97)

    @property
    def version(self) -> str:
        # The feature `jpg` has the version of the API, not of the library.
        turbo = features.version("libjpeg_turbo")
        return f"libjpeg-turbo {turbo} by Pillow {pillow_version}"

    def save_options(self, quality: float) -> dict[str, Any]:
        return {
            "quality": round(quality),
            "subsampling": self.values["subsampling"],
            "progressive": self.chosen("progressive"),
            "optimize": self.chosen("optimise"),
        }


class WebP(StillCodec):
    """Lossy WebP by libwebp; `method` is the encoder's effort, 0..6."""

    description = "WebP, lossy"
    format = "WEBP"
    options: ClassVar = {"method": Option.whole(6, 0, 6), "scale": SCALE}
    qualities: tuple[float, ...] = (0, 2, 5, 10, 20, 35, 50, 65, 75, 82, 88, 92, 95, 97, 99, 100)

    @property
    def version(self) -> str:
        return _library("webp", "libwebp")

    def save_options(self, quality: float) -> dict[str, Any]:
        return {"quality": round(quality), "method": int(self.values["method"])}


class Avif(StillCodec):
    """AVIF by libaom; `speed` is 0 (slowest) to 10."""

    description = "AVIF: AV1 intra by libaom"
    format = "AVIF"
    options: ClassVar = {
        "speed": Option.whole(6, 0, 10),
        "subsampling": Option("4:2:0", _SUBSAMPLING),
        "scale": SCALE,
    }
    qualities: tuple[float, ...] = (1, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 87, 93, 97)

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # decoder; default: one per core
        super().__init__(name, values)

    @property
    def version(self) -> str:
        return _library("avif", "libavif")

    def save_options(self, quality: float) -> dict[str, Any]:
        return {
            "quality": round(quality),
            "codec": "aom",
            "speed": int(self.values["speed"]),
            "subsampling": self.values["subsampling"],
            "max_threads": 1,
        }


class Jpeg2000(StillCodec):
    """JPEG 2000 by OpenJPEG; the quality is a target PSNR in dB."""

    description = "JPEG 2000 by OpenJPEG, 9/7 wavelet; quality is the PSNR in dB it aims at"
    format = "JPEG2000"
    options: ClassVar = {"scale": SCALE}
    whole = False
    qualities: tuple[float, ...] = (22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44)
    limits = (10.0, 60.0)

    @property
    def version(self) -> str:
        return _library("jpg_2000", "OpenJPEG")

    def save_options(self, quality: float) -> dict[str, Any]:
        return {
            "quality_mode": "dB",
            "quality_layers": [float(quality)],
            "irreversible": True,
            "mct": 1,
        }


class Jxl(StillCodec):
    """Lossy JPEG XL by libjxl; `effort` is 1..9."""

    description = "JPEG XL, lossy (VarDCT)"
    format = "JXL"
    options: ClassVar = {"effort": Option.whole(7, 1, 9), "scale": SCALE}
    qualities: tuple[float, ...] = (5, 10, 16, 24, 32, 42, 52, 62, 72, 80, 86, 90, 93, 96)

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        require("pillow_jxl", f"codec {name!r}", "pillow-jxl-plugin")
        require("pillow_jxl.JpegXLImagePlugin", f"codec {name!r}").DECODE_THREADS = 0
        super().__init__(name, values)

    @property
    def version(self) -> str:
        from importlib.metadata import version

        return f"libjxl by pillow-jxl-plugin {version('pillow-jxl-plugin')}"

    def save_options(self, quality: float) -> dict[str, Any]:
        return {
            "quality": round(quality),
            "effort": int(self.values["effort"]),
            "num_threads": 0,
        }


class Heic(StillCodec):
    """HEIC by x265 in libheif."""

    description = "HEIC: HEVC intra by x265, through libheif"
    format = "HEIF"
    options: ClassVar = {"subsampling": Option("4:2:0", _SUBSAMPLING), "scale": SCALE}
    qualities: tuple[float, ...] = (1, 6, 12, 18, 25, 32, 38, 44, 50, 56, 62, 68, 75, 82)

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        heif = require("pillow_heif", f"codec {name!r}", "pillow-heif")
        heif.register_heif_opener()
        heif.options.DECODE_THREADS = 1
        super().__init__(name, values)

    @property
    def version(self) -> str:
        info = require("pillow_heif", "codec 'heic'").libheif_info()
        return f"libheif {info['libheif']}, {info['HEIF']}"

    def save_options(self, quality: float) -> dict[str, Any]:
        return {
            "quality": round(quality),
            "chroma": self.values["subsampling"].replace(":", ""),
        }
