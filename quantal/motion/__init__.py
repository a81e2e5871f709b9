"""Motion between the frames of a clip, found by a well-kept video encoder.

Importing this package needs PyAV and numpy, but no torch.
"""

from __future__ import annotations

from quantal.motion._search import Search, crf_of

__all__ = ["Search", "crf_of"]
