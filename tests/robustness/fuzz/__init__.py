"""The fuzzer: damages files and commands in many ways, and accepts only named errors.

python -m tests.robustness.fuzz [--seconds 60] [--seed 1] [--subject coded,pictures,...]
"""

from __future__ import annotations

from .coded import cases, forged, outcome, repaired, sample_files, scene
from .limits import Fault, limited_memory
from .mutations import Random, cut, extend, flip_bits, overwrite, splice

__all__ = [
    "Fault",
    "Random",
    "cases",
    "cut",
    "extend",
    "flip_bits",
    "forged",
    "limited_memory",
    "outcome",
    "overwrite",
    "repaired",
    "sample_files",
    "scene",
    "splice",
]
