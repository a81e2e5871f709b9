"""The picture of codecs: pixels, alpha, deep samples and metadata."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from quantal.arguments import typed, whole
from quantal.errors import ArgumentError, MediaError
from quantal.limits import check_size

__all__ = ["Bytes", "Deep", "Picture"]

Bytes: TypeAlias = npt.NDArray[np.uint8]
Deep: TypeAlias = npt.NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture.

    Every picture has 8 bits per sample in `pixels` and `alpha`. A picture of 9 to 16 bits has its
    samples in `deep` as well; `pixels` and `alpha` are then those samples, scaled and rounded.

    Attributes:
        pixels: RGB, uint8 [H, W, 3].
        alpha: Straight (not premultiplied) alpha, uint8 [H, W].
        grey: Whether the picture is grey; its three channels are then equal.
        icc: ICC profile.
        exif: EXIF from its TIFF header on, without "Exif\\0\\0".
        xmp: XMP packet.
        warnings: What was changed or dropped by reading, one sentence each. That `pixels` have
            fewer bits than `deep` is not among them: see `reduction`.
        deep: Samples of 0..2^depth - 1, uint16 [H, W, C]; C is 1 (grey), 2 (grey and alpha), 3
            (RGB) or 4 (RGB and alpha). None if 8 bits hold all of the picture.
        depth: Bits per sample: 9..16 of `deep`, 8 without it.
        altered: What reading did to samples that makes them others than those of the file, one
            sentence each; empty if `deep`, or `pixels` and `alpha`, are exactly the file's.

    Raises:
        MediaError: An array has another type or shape, or is too large; or a sample of `deep` has
            more bits than `depth`.
        ArgumentError: Something is no array, or no bytes.
    """

    pixels: Bytes
    alpha: Bytes | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    warnings: tuple[str, ...] = ()
    deep: Deep | None = None
    depth: int = 8
    altered: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels, alpha = typed("pixels", self.pixels, np.ndarray), self.alpha
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise MediaError(
                f"pixels {pixels.dtype} {list(pixels.shape)} found, expected uint8 [H, W, 3]"
            )
        check_size(self.width, self.height)
        if alpha is not None:
            typed("alpha", alpha, np.ndarray)
        for kind in ("icc", "exif", "xmp"):
            if getattr(self, kind) is not None:
                typed(kind, getattr(self, kind), bytes)
        if alpha is not None and (alpha.shape != pixels.shape[:2] or alpha.dtype != np.uint8):
            raise MediaError(
                f"alpha {alpha.dtype} {list(alpha.shape)} found, "
                f"expected uint8 [{self.height}, {self.width}]"
            )
        self._check_deep()

    def _check_deep(self) -> None:
        deep = self.deep
        if deep is None:
            if whole("depth", self.depth) != 8:
                raise ArgumentError(f"depth must be 8 without deep samples, not {self.depth}")
            return
        typed("deep", deep, np.ndarray)
        depth = whole("depth", self.depth, 9, 16)
        shape = (self.height, self.width, (1 if self.grey else 3) + (self.alpha is not None))
        if deep.shape != shape or deep.dtype != np.uint16:
            raise MediaError(
                f"deep {deep.dtype} {list(deep.shape)} found, expected uint16 {list(shape)}"
            )
        if depth < 16 and int(deep.max()) >> depth:
            raise MediaError(
                f"a sample of {int(deep.max())} found, expected at most {(1 << depth) - 1} with "
                f"{depth} bits; give their depth"
            )

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def samples(self) -> npt.NDArray[Any]:
        """All samples: uint8 [H, W, C], or uint16 if there is `deep`; C as of `deep`."""
        if self.deep is not None:
            return self.deep
        colour = self.pixels[:, :, :1] if self.grey else self.pixels
        if self.alpha is None:
            return colour
        return np.concatenate([colour, self.alpha[:, :, None]], axis=2)

    @property
    def reduction(self) -> str | None:
        """A sentence that says what `pixels` lose of `deep`; None if the picture has no `deep`."""
        return None if self.deep is None else f"{self.depth}-bit samples were reduced to 8 bits"

    def shallow(self) -> Picture:
        """Return the picture without `deep`; its `reduction` is then a warning and an alteration.

        Codecs of 8 bits take it so that `deep` needs no memory.
        """
        if self.reduction is None:
            return self
        return dataclasses.replace(
            self,
            deep=None,
            depth=8,
            warnings=(*self.warnings, self.reduction),
            altered=(*self.altered, self.reduction),
        )
