"""The ladder of rates of `vq`: where codebooks change, files don't jump."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from quantal.codecs.vq.file import Ladder
from quantal.codecs.vq.stream import pack
from quantal.codecs.vq.weights import VqWeights, painter_of, read_vq_weights
from quantal.train.families.vq_ladder import COARSE, fit_ladder, join_ladder

sys.path.insert(0, str(Path(__file__).parent))

from small_vq import pictures, write_small_vq

SHOWN = pictures(4, 256)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> VqWeights:
    return read_vq_weights(write_small_vq(tmp_path_factory.mktemp("vq") / "vq.safetensors"))


def coded(weights: VqWeights, ladder: Ladder, rate: float) -> int:
    """Bytes of all pictures at a rate."""
    painter = painter_of(weights.net, torch.device("cpu"))
    shown = (painter.analyse(p.permute(1, 2, 0).numpy()) for p in SHOWN)
    return sum(len(pack(weights.priors, painter.describe(y, ladder.at(rate)))) for y in shown)


def jumps(weights: VqWeights, ladder: Ladder) -> list[float]:
    """By what part of their bytes files grow where one segment follows another."""
    found = []
    for place, segment in enumerate(ladder.segments[len(COARSE) : -1], len(COARSE)):
        end = 252 * segment.until
        assert ladder.at(end + 1e-9).books == ladder.segments[place + 1].books
        before, after = (coded(weights, ladder, end + step) for step in (-1e-9, 1e-9))
        found.append(after / before - 1)
    return found


def test_a_joined_ladder_has_no_jumps(weights) -> None:
    plain = fit_ladder(weights.net, SHOWN)
    joined = join_ladder(weights.net, plain, weights.priors, SHOWN)
    before, after = jumps(weights, plain), jumps(weights, joined)
    assert max(map(abs, after)) < 0.02
    assert max(map(abs, after)) < max(map(abs, before))
    assert [s.last for s in joined.segments] == [s.last for s in plain.segments]


def test_weights_are_exported_with_a_joined_ladder(weights) -> None:
    plain = fit_ladder(weights.net, pictures())
    assert weights.ladder == join_ladder(weights.net, plain, weights.priors, pictures())
