"""Reading and writing of clips: frames with exact times, and the tracks beside them.

What can't be kept is named in `Clip.warnings` and `Writer.warnings`. Based on PyAV and numpy; torch
is not needed.
"""

from __future__ import annotations

from quantal.extras import install_error

try:
    import av as _av  # noqa: F401
except ModuleNotFoundError as _error:
    raise install_error(_error, "clips") or _error from _error

from quantal.clips._clip import Clip
from quantal.clips._pictures import read_pictures
from quantal.clips._properties import Colour, Frame, Pixels, Properties
from quantal.clips._read import read
from quantal.clips._source import Readable
from quantal.clips._tracks import Chapter, Packet, Track
from quantal.clips._write import CLIP_FORMATS, write
from quantal.clips._writer import Writer
from quantal.limits import PIXEL_LIMIT, SIDE_LIMIT

__all__ = [
    "CLIP_FORMATS",
    "PIXEL_LIMIT",
    "SIDE_LIMIT",
    "Chapter",
    "Clip",
    "Colour",
    "Frame",
    "Packet",
    "Pixels",
    "Properties",
    "Readable",
    "Track",
    "Writer",
    "read",
    "read_pictures",
    "write",
]
