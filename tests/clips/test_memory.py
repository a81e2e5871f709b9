"""Memory does not grow with the length of a clip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LONG = """
import resource, sys, numpy as np
from fractions import Fraction
from quantal import clips
picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3)).astype(np.uint8)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def go(count):
    with clips.write(sys.argv[1], clips.Properties(96, 64, Fraction(1, 25))) as writer:
        for number in range(count):
            writer.write(clips.Frame(number, picture))
    with clips.read(sys.argv[1]) as clip:
        assert sum(1 for _ in clip) == count
go(100)
before = peak()
go(2500)
print(peak() - before)
"""


# One writer and one reader serve both formats.
@pytest.mark.parametrize("name", ["a.mp4", pytest.param("a.mkv", marks=pytest.mark.thorough)])
def test_memory_does_not_grow_with_the_length(name: str, tmp_path: Path) -> None:
    options = [sys.executable, "-c", LONG, str(tmp_path / name)]
    done = subprocess.run(options, capture_output=True, timeout=300, check=True)
    frame = 96 * 64 * 3
    assert int(done.stdout) * 1024 < 1000 * frame  # 2400 more frames
