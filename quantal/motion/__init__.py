"""Motion between the frames of a clip: found by a well-kept video encoder, and followed.

Names are looked up on first use: following motion needs numpy alone, finding it PyAV too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantal.extras import imported

if TYPE_CHECKING:
    from quantal.motion._compensate import compensated, interpolated
    from quantal.motion._search import Search, crf_of

__all__ = ["Search", "compensated", "crf_of", "interpolated"]

_HOMES = {
    "Search": "_search",
    "compensated": "_compensate",
    "crf_of": "_search",
    "interpolated": "_compensate",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'quantal.motion' has no attribute {name!r}")
    return getattr(imported(f"quantal.motion.{_HOMES[name]}", "searches for motion"), name)
