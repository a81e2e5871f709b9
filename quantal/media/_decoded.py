"""An image that is ready to become a picture, with what its file holds beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from quantal.media._beside import Beside
from quantal.media._picture import Bytes, Deep

__all__ = ["PREMULTIPLIED", "Decoded"]

#: What happens to colours that are stored times alpha.
PREMULTIPLIED = "colours were divided by alpha, by which they are multiplied in the file"


@dataclass
class Decoded:
    """An image of any mode of Pillow, or deep samples in place of its pixels.

    Attributes:
        image: The image; its pixels may not be decoded yet.
        beside: What its file holds beside the pixels.
        alpha: Alpha [H, W] that the image does not have itself.
        deep: Samples of 9 to 16 bits, uint16 [H, W, C] as of `Picture`, in the orientation of the
            stored image; the pixels of `image` are not used then.
        depth: Bits per sample of `deep`.
        warnings: What was changed or dropped so far, one sentence each.
        altered: What was done to samples so far that makes them others, one sentence each.
    """

    image: Image.Image
    beside: Beside
    alpha: Bytes | None = None
    deep: Deep | None = None
    depth: int = 8
    warnings: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as stored."""
        return self.image.size if self.deep is None else (self.deep.shape[1], self.deep.shape[0])

    def alter(self, *sentences: str) -> None:
        """Note what was done to samples, as a warning too."""
        self.warnings += sentences
        self.altered += sentences
