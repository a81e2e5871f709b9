"""An image that is ready to become a picture, with what its file holds beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from quantal.media._beside import Beside
from quantal.media._picture import Bytes

__all__ = ["Decoded"]


@dataclass
class Decoded:
    """An image of any mode of Pillow.

    Attributes:
        image: The image; its pixels may not be decoded yet.
        beside: What its file holds beside the pixels.
        alpha: Alpha [H, W] that the image does not have itself.
        warnings: What was changed so far, one sentence each.
    """

    image: Image.Image
    beside: Beside
    alpha: Bytes | None = None
    warnings: list[str] = field(default_factory=list)
