"""Conversion between quality and stored rate."""

from __future__ import annotations

from fractions import Fraction

import pytest

from quantal.container import quality_to_rate, rate_to_quality
from quantal.errors import ArgumentError


@pytest.mark.parametrize("quality", range(1, 101))
def test_a_quality_round_trips(quality: int) -> None:
    rate = quality_to_rate(quality)
    assert rate == round(Fraction((quality - 1) * 252, 99))
    assert rate_to_quality(rate) == quality


def test_every_rate_has_a_quality_in_ascending_order() -> None:
    qualities = [rate_to_quality(rate) for rate in range(253)]
    assert qualities == sorted(qualities)
    assert (qualities[0], qualities[-1]) == (1, 100)


@pytest.mark.parametrize("quality", [0, 101, -1, 50.0, "50", None])
def test_a_quality_out_of_range_is_an_error(quality: int) -> None:
    with pytest.raises(ArgumentError, match=r"quality must be"):
        quality_to_rate(quality)


@pytest.mark.parametrize("rate", [-1, 253, 2.5])
def test_a_rate_out_of_range_is_an_error(rate: int) -> None:
    with pytest.raises(ArgumentError, match=r"rate must be"):
        rate_to_quality(rate)
