"""Pillow's plugin: damaged files and wrong options give an image or errors that callers expect."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from PIL import Image, UnidentifiedImageError

import quantal.pillow  # noqa: F401
from quantal import container
from quantal.errors import QuantalError

from . import coded
from .limits import Fault
from .mutations import Random

__all__ = ["cases", "outcome"]

_OPTIONS: dict[str, tuple[Any, ...]] = {
    "quality": (1, 100, 0, "60", None, 1e9, True),
    "bpp": (0.1, -1, "x", float("nan")),
    "psnr": (30, float("inf")),
    "max_bytes": (10, 100000, 1.5),
    "effort": (0, 1, 9, "1"),
    "resilient": (True, False, 1),
    "strip": ("all", "exif", "gps", ["icc", "xmp"], 7),
    "codec": ("hyperprior", "vq", "nonesuch", 3),
    "device": ("cpu", "gpu", None),
    "exif": (b"", b"broken", None, Image.Exif()),
    "icc_profile": (b"x" * 200, None, "text"),
    "xmp": (b"<x/>", "text", 3),
    "optimize": (True,),
}


def cases(seed: int) -> Iterator[tuple[str, tuple[bytes, dict[str, Any]]]]:
    """Endless (what was done, damaged file and options of saving)."""
    rng = Random(seed)
    for done, data in coded.cases(seed, coded.sample_files()):
        names = rng.sample(sorted(_OPTIONS), rng.randrange(4))
        yield done, (data, {name: rng.choice(_OPTIONS[name]) for name in names})


def outcome(case: tuple[bytes, dict[str, Any]]) -> str:
    """Open, look at and load a file, save an image: "image" or the error; Fault for all else."""
    data, options = case
    found = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                with suppress(Exception):  # Pillow's own, for broken EXIF in any format
                    image.getexif()
                image.load()
            found = "image"
        except (QuantalError, UnidentifiedImageError) as error:
            damaged = not isinstance(error, OSError)
            if damaged and not _names_missing_model(error):
                raise Fault(f"{type(error).__name__} is no OSError: {error}") from error
            found = type(error).__name__
        except Image.DecompressionBombError:  # Pillow's limit on pixels, for any format
            found = "too large for Pillow"
        except Exception as error:
            raise Fault(f"{type(error).__name__}: {error}") from error
        if zlib.crc32(data) % 8 == 0:
            _save(options)
    return found


def _names_missing_model(error: Exception) -> bool:
    return type(error).__name__ in ("ModelError", "OutOfMemoryError")


def _save(options: dict[str, Any]) -> None:
    file = io.BytesIO()
    try:
        Image.new("RGB", (20, 10), "teal").save(file, "QTL", **options)
    except QuantalError:
        return
    except Exception as error:
        raise Fault(f"saving with {options}: {type(error).__name__}: {error}") from error
    container.read(file.getvalue())
