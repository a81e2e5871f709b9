"""What tests of training share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def sizes() -> dict[str, Any]:
    """Of a network that trains in seconds, of `hyperprior` or a `context` codec."""
    return {
        "channels": [8, 12, 16],
        "blocks": [1, 1, 1],
        "z_channels": 8,
        "hyper_width": 8,
        "mean_width": 8,
        "scale_width": 8,
    }
