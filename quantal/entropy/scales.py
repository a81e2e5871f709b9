"""The grid of scales: how widely the residuals of y spread, as 64 indices.

Coding evaluates nothing of this: it reads stored integers (tables.py).
"""

from __future__ import annotations

import math

__all__ = ["LOG_STEP", "SCALES", "SCALE_MAX", "SCALE_MIN"]

#: Standard deviations in units of the quantiser's step; log-spaced, index 0 is the smallest.
SCALES = 64
SCALE_MIN = 0.11
SCALE_MAX = 80.0
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
