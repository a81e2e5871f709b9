"""How large pictures and frames of clips may be."""

from __future__ import annotations

from quantal.errors import MediaError

__all__ = ["PIXEL_LIMIT", "SIDE_LIMIT", "check_size"]

SIDE_LIMIT = 65535
"""Maximum width and height in a .qtl file, in pixels."""

PIXEL_LIMIT = 1 << 30
"""Maximum number of pixels; larger pictures would need more than 7 GB of memory."""


def check_size(
    width: int,
    height: int,
    *,
    what: str = "the picture is",
    remedy: str = "resize it or cut it into pieces",
) -> None:
    """Raise MediaError if a size in pixels exceeds the limits.

    Args:
        width: in pixels.
        height: in pixels.
        what: begins the message.
        remedy: ends the message.
    """
    size = f"{width}x{height}"
    if not (1 <= width <= SIDE_LIMIT and 1 <= height <= SIDE_LIMIT):
        raise MediaError(f"{what} {size} pixels, expected 1..{SIDE_LIMIT} each; {remedy}")
    if width * height > PIXEL_LIMIT:
        raise MediaError(
            f"{what} {size} = {width * height} pixels, expected at most {PIXEL_LIMIT}; {remedy}"
        )
