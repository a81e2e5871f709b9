"""The interface of codecs under evaluation, and specs that select them.

    codec("jpeg")   codec("avif:speed=4,subsampling=4:4:4")   codec("hyperprior:rounded=no")

The codecs are in `classical/`, `learned.py` (Quantal's), `compressai.py` (CompressAI's) and
`features.py` (features of classifiers).
"""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from quantal.codecs.contract import Pixels
from quantal.codecs.info import CodecInfo
from quantal.errors import ArgumentError, QuantalError
from quantal.eval._optional import unknown

__all__ = [
    "ROUNDED",
    "Decoded",
    "EvaluatedCodec",
    "ImageCodec",
    "Option",
    "codec",
    "codecs",
    "grids",
    "names",
    "normalised",
    "picture_codec",
    "split_specs",
]

#: A decoded picture: uint8 [H, W, 3], or float32 in 0..255 if rounding is off.
Decoded: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

#: Name -> "module:class" of an EvaluatedCodec, for classical codecs.
_CLASSICAL = {
    "jpeg": "still:Jpeg",
    "webp": "still:WebP",
    "avif": "still:Avif",
    "jpeg2000": "still:Jpeg2000",
    "jxl": "still:Jxl",
    "heic": "still:Heic",
    "hevc": "video:Hevc",
    "av1": "video:Av1",
    "png": "lossless:Png",
    "webp-lossless": "lossless:WebPLossless",
    "jxl-lossless": "lossless:JxlLossless",
    "x264": "clip:X264",
    "x265": "clip:X265",
    "svtav1": "clip:SvtAv1",
    "vp9": "clip:Vp9",
}
_ZOO = "compressai/"
_FEATURES = "features"


@dataclass(frozen=True)
class Option:
    """An option of a codec.

    Attributes:
        default: The default value.
        choices: All allowed values; None allows any text.
    """

    default: str
    choices: tuple[str, ...] | None = None

    @classmethod
    def whole(cls, default: int, low: int, high: int) -> Option:
        """Return an option for a whole number low..high."""
        return cls(str(default), tuple(str(n) for n in range(low, high + 1)))

    @classmethod
    def yes(cls, default: bool) -> Option:
        """Return an option for yes or no."""
        return cls("yes" if default else "no", ("yes", "no"))


#: Whether decoded pictures are rounded to 8 bits; an option of all learned codecs.
ROUNDED = Option.yes(True)


class EvaluatedCodec(ABC):
    """A codec under evaluation, of pictures or of video.

    A higher quality gives larger files and better pictures; its scale is the codec's own.
    """

    #: What it codes: "picture" or "video".
    media: ClassVar[str]
    #: One line for people.
    description: ClassVar[str]
    options: ClassVar[Mapping[str, Option]] = {}
    #: The default qualities of a measurement, about 0.05 to 3 bits per pixel; one if lossless.
    qualities: tuple[float, ...]
    #: Lowest and highest quality.
    limits: tuple[float, float]
    #: Whether qualities are whole numbers.
    whole: ClassVar[bool] = True

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        """Create a codec.

        Args:
            name: The name of the codec in specs.
            values: The value of every option, defaults included.

        Raises:
            ArgumentError: The values contradict each other, or a package is missing.
        """
        self.name = name
        self.values = dict(values)

    @property
    def label(self) -> str:
        """The shortest spec of this codec, such as "avif:speed=4"."""
        changed = [
            f"{key}={value}"
            for key, value in self.values.items()
            if value != self.options[key].default
        ]
        return f"{self.name}:{','.join(changed)}" if changed else self.name

    @property
    @abstractmethod
    def version(self) -> str:
        """Library or weights, with their version; rows of different versions are kept apart."""

    def prepare(self, quality: float) -> None:  # noqa: B027, most codecs have nothing to load
        """Load what this quality needs, so that loading is not part of measured times."""


class ImageCodec(EvaluatedCodec):
    """A still-picture codec under evaluation.

    Files are self-contained: `decode` needs only the bytes.
    """

    media = "picture"

    @abstractmethod
    def encode(self, image: Pixels, quality: float) -> bytes:
        """Encode a picture to the bytes of a file.

        Args:
            image: Pixels, uint8 [H, W, 3].
            quality: A quality within `limits`.
        """

    @abstractmethod
    def decode(self, data: bytes) -> Decoded:
        """Decode the bytes of a file to pixels [H, W, 3], uint8 or float32 in 0..255."""

    @property
    def draws(self) -> bool:
        """Whether pictures can be decoded of its files."""
        return True

    @property
    def joint(self) -> Any:
        """Where what models are shown enters them, a perception.route.Joint; None for pixels."""
        return None

    def undrawn(self, data: bytes) -> Any:
        """Return what models are shown in place of pixels; None for pixels."""
        return None


def names() -> tuple[str, ...]:
    """Return the names of all codecs, except those of CompressAI's zoo."""
    return (*(info.name for info in _learned()), *_CLASSICAL, _FEATURES)


def _learned() -> list[CodecInfo]:
    """Return what is known of Quantal's codecs whose weights are here."""
    from quantal.codecs import available

    return [info for info in available() if info.weights]


def _registered() -> dict[str, str]:
    """Return what each of Quantal's codecs codes, those without weights of their own included."""
    from quantal.codecs.registry import families

    return {entry.name: entry.media for family in families() for entry in family.codecs} | {
        info.name: info.media for info in _learned()
    }


def _class_of(name: str) -> type[EvaluatedCodec]:
    if name == _FEATURES:
        where, attribute = "quantal.eval.features", "FeatureCodec"
    elif name in _CLASSICAL:
        module, _, attribute = _CLASSICAL[name].partition(":")
        where = f"quantal.eval.classical.{module}"
    elif name.startswith(_ZOO):
        where, attribute = "quantal.eval.compressai", "CompressAICodec"
    elif (media := _registered().get(name)) is not None:
        where = "quantal.eval.learned"
        attribute = "LearnedVideoCodec" if media == "video" else "LearnedCodec"
    else:
        raise unknown("codec", name, [*names(), f"{_ZOO}ARCHITECTURE"])
    found: type[EvaluatedCodec] = getattr(importlib.import_module(where), attribute)
    return found


def codec(spec: str) -> EvaluatedCodec:
    """Create the codec of a spec.

    Args:
        spec: `name` or `name:option=value,option=value`.

    Raises:
        ArgumentError: The name, an option or a value is unknown, or a package is missing.
    """
    if not isinstance(spec, str):
        raise ArgumentError(f"a codec must be a text, its name and options, not {spec!r:.40}")
    name, _, rest = spec.strip().partition(":")
    kind = _class_of(name)
    values = {key: option.default for key, option in kind.options.items()}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise ArgumentError(f"codec {spec!r}: found {item!r}, expected option=value")
        if key not in kind.options:
            raise unknown(f"option of codec {name!r}:", key, kind.options)
        choices = kind.options[key].choices
        if choices is not None and value not in choices:
            span = f"{choices[0]}..{choices[-1]}" if len(choices) > 8 else ", ".join(choices)
            raise ArgumentError(f"codec {spec!r}: {key} is {value!r}, expected one of {span}")
        values[key] = value
    return kind(name, values)


def picture_codec(spec: str) -> ImageCodec:
    """Create the codec of a spec, which has to code pictures.

    Raises:
        ArgumentError: It codes video, or see codec().
    """
    found = codec(spec)
    if not isinstance(found, ImageCodec):
        raise ArgumentError(f"codec {spec!r} codes video; name a codec of pictures")
    return found


def split_specs(text: str) -> list[str]:
    """Split a list of specs at its commas; `option=value` belongs to the spec before it.

    An empty item is an ArgumentError.

    >>> split_specs("hyperprior,avif:speed=4,subsampling=4:4:4,webp")
    ['hyperprior', 'avif:speed=4,subsampling=4:4:4', 'webp']
    """
    specs: list[str] = []
    pieces = [piece.strip() for piece in text.split(",")]
    if any(pieces) and not all(pieces):
        raise ArgumentError(f"{text!r} has an empty item; leave it out")
    for piece in filter(None, pieces):
        if specs and re.match(r"[\w-]+=", piece):
            specs[-1] += ("," if ":" in specs[-1] else ":") + piece
        else:
            specs.append(piece)
    return specs


def codecs(specs: Sequence[str]) -> list[EvaluatedCodec]:
    """Create the codecs of several specs, without duplicates; ArgumentError if there are none."""
    found = {one.label: one for one in map(codec, specs)}
    if not found:
        raise ArgumentError(f"no codec was named; available: {', '.join(names())}")
    return list(found.values())


def grids(
    coders: Sequence[EvaluatedCodec], asked: Mapping[str, Sequence[float]]
) -> dict[str, tuple[float, ...]]:
    """Return the qualities to measure each codec at, in ascending order, by label.

    Args:
        coders: The codecs.
        asked: Qualities by label, or under "" for all codecs without an entry. Codecs without
            any are measured at their default qualities.

    Raises:
        ArgumentError: An entry names no codec, or a quality is out of a codec's range.
    """
    by_label = {coder.label: coder for coder in coders}
    normal = {normalised(name): values for name, values in asked.items()}
    for name in normal:
        if name and name not in by_label:
            raise unknown("codec in the list of qualities:", name, by_label)
    return {label: _grid(coder, normal) for label, coder in by_label.items()}


def normalised(spec: str) -> str:
    """Return the label of a spec; any other text is returned unchanged."""
    try:
        return codec(spec).label
    except QuantalError:
        return spec


def _grid(coder: EvaluatedCodec, asked: Mapping[str, Sequence[float]]) -> tuple[float, ...]:
    if len(coder.qualities) == 1 and coder.label not in asked:
        return coder.qualities  # lossless
    chosen = asked.get(coder.label, asked.get("", coder.qualities))
    low, high = coder.limits
    for quality in chosen:
        if not low <= quality <= high:
            raise ArgumentError(
                f"codec {coder.label!r} has no quality {quality:g}; expected {low:g} to {high:g}"
            )
        if coder.whole and quality != int(quality):
            raise ArgumentError(
                f"codec {coder.label!r} has no quality {quality:g}; its qualities are whole numbers"
            )
    return tuple(sorted({float(quality) for quality in chosen}))
