"""The grid of scales: standard deviations of y's residuals, as 64 indices.

Coding does not evaluate it: it reads stored integers (tables.py).
"""

from __future__ import annotations

import math

__all__ = ["LOG_STEP", "SCALES", "SCALE_MAX", "SCALE_MIN"]

#: Standard deviations in units of the quantiser's step; log-spaced, index 0 is the smallest.
SCALES = 64
SCALE_MIN = 0.11
SCALE_MAX = 80.0
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
