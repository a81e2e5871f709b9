"""Reading and writing of pictures: pixels, alpha, orientation, ICC, EXIF and XMP.

Everything that can't be kept is named in `Picture.warnings`. Based on Pillow and numpy; torch is
not needed.
"""

from __future__ import annotations

from quantal.limits import PIXEL_LIMIT, SIDE_LIMIT
from quantal.media._alpha import decode_alpha, encode_alpha
from quantal.media._arrays import from_array
from quantal.media._convert import to_image
from quantal.media._exif import EXIF_PREFIX
from quantal.media._image import from_image
from quantal.media._indices import read_indices
from quantal.media._picture import Picture
from quantal.media._read import PICTURE_SUFFIXES, Readable, read
from quantal.media._strip import METADATA_KINDS, strip, stripped_kinds
from quantal.media._write import write

__all__ = [
    "EXIF_PREFIX",
    "METADATA_KINDS",
    "PICTURE_SUFFIXES",
    "PIXEL_LIMIT",
    "SIDE_LIMIT",
    "Picture",
    "Readable",
    "decode_alpha",
    "encode_alpha",
    "from_array",
    "from_image",
    "read",
    "read_indices",
    "strip",
    "stripped_kinds",
    "to_image",
    "write",
]
