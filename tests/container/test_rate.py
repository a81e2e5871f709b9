"""Quality for people and rate for files name the same thing."""

from __future__ import annotations

from fractions import Fraction

import pytest

from quantal.container import quality_to_rate, rate_to_quality
from quantal.errors import ArgumentError


@pytest.mark.parametrize("quality", range(1, 101))
def test_a_quality_comes_back(quality: int) -> None:
    rate = quality_to_rate(quality)
    assert rate == round(Fraction((quality - 1) * 252, 99))
    assert rate_to_quality(rate) == quality


def test_every_rate_has_a_quality_and_they_rise_together() -> None:
    qualities = [rate_to_quality(rate) for rate in range(253)]
    assert qualities == sorted(qualities)
    assert (qualities[0], qualities[-1]) == (1, 100)


@pytest.mark.parametrize("quality", [0, 101, -1, 50.0, "50", None])
def test_a_quality_outside_is_refused(quality: int) -> None:
    with pytest.raises(ArgumentError, match="from 1 to 100"):
        quality_to_rate(quality)


@pytest.mark.parametrize("rate", [-1, 253, 2.5])
def test_a_rate_outside_is_refused(rate: int) -> None:
    with pytest.raises(ArgumentError, match="from 0 to 252"):
        rate_to_quality(rate)
