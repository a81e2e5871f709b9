"""Pixels to latents and back: networks only, no coding and no files."""

from __future__ import annotations

from quantal.extras import install_error

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as _error:
    raise install_error(_error, "transforms in training") or _error from _error

from quantal.transforms.klt import principal_components
from quantal.transforms.pyramid import (
    CENTRE,
    PyramidAnalysis,
    PyramidSynthesis,
    initialise_with_klt,
)
from quantal.transforms.regions import region_labels
from quantal.transforms.saliency import rank_channels
from quantal.transforms.stages import KINDS, Kind
from quantal.transforms.windows import apply_in_windows

__all__ = [
    "CENTRE",
    "KINDS",
    "Kind",
    "PyramidAnalysis",
    "PyramidSynthesis",
    "apply_in_windows",
    "initialise_with_klt",
    "principal_components",
    "rank_channels",
    "region_labels",
]
