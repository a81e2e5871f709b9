"""Reading of class indices, as masks of segmentation hold them: stored samples, never colours."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import PngImagePlugin

from quantal.errors import MediaError
from quantal.limits import check_size
from quantal.media._convert import pillow_errors
from quantal.media._read import Readable, _identify, _opened, name_of
from quantal.media._survey.png import survey

__all__ = ["read_indices"]

#: What Pillow multiplies grey samples of few bits by, to fill 0..255.
_STRETCHED = {"L;2": 85, "L;4": 17}


def read_indices(source: Readable) -> npt.NDArray[np.int64]:
    """Read the stored samples of a grey or palette PNG.

    Samples of 1, 2, 4, 8 or 16 bits are returned as they are stored: not stretched to 0..255, not
    looked up in the palette, not turned by EXIF.

    Args:
        source: A path, the bytes of a file, or an open file, as for `read`.

    Returns:
        Indices, int64 [H, W].

    Raises:
        MediaError: The source is no PNG, has colours or transparency, or is too large.
    """
    name = name_of(source, "the mask")
    with _opened(source) as file, pillow_errors(name):
        format_name = _identify(file, name)
        if format_name != "PNG":
            raise MediaError(f"{name} is a mask in {format_name}; expected a PNG")
        image = PngImagePlugin.PngImageFile(io.BytesIO(survey(file.read()).pixels))
        check_size(*image.size)
        raw_mode = str(image.tile[0][3]) if image.tile else ""  # gone once the image is loaded
        if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
            raise MediaError(
                f"{name} is a mask of mode {image.mode}; expected class indices as grey or "
                "palette samples"
            )
        image.load()
        return np.asarray(image).astype(np.int64) // _STRETCHED.get(raw_mode, 1)
