"""Which rates a run draws for the samples of a batch."""

from __future__ import annotations

import pytest
import torch

from quantal.entropy.rates import RATE_INDICES
from quantal.train.objectives.rate_distortion import rate_positions


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("middle", [0.0, 0.5, 0.9])
def test_all_rates_are_drawn_and_none_beyond(middle, generator):
    drawn = rate_positions(100_000, middle, generator)
    assert drawn.min() >= 0 and drawn.max() <= RATE_INDICES - 1
    counts = torch.histc(drawn, RATE_INDICES - 1, 0, RATE_INDICES - 1)
    assert counts.min() > 0


def test_a_sample_from_each_part_of_the_range(generator):
    slices = rate_positions(8, 0.0, generator) / (RATE_INDICES - 1) * 8
    assert slices.floor().tolist() == [*range(8)]


def test_the_middle_is_drawn_more_often_than_the_ends(generator):
    even, bent = (rate_positions(200_000, middle, generator) for middle in (0.0, 0.5))
    even, bent = (torch.histc(drawn, 63, 0, 63) for drawn in (even, bent))
    assert bent[31] / even[31] == pytest.approx(2.0, rel=0.05)
    for end in (0, 62):
        assert bent[end] / even[end] == pytest.approx(2 / 3, rel=0.05)
