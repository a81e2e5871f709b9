"""Which file a search for a target ends with, on trials whose sizes are made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from quantal.errors import TargetError
from quantal.files.targets import Target, choose_rate, choose_searched


@dataclass(eq=False)
class Made:
    """A trial of files whose sizes follow a formula; remembers at which rates it was looked at."""

    formula: Callable[[int], int]
    metadata: dict[str, int] = field(default_factory=dict)
    looked_at: set[int] = field(default_factory=set)

    def size(self, rate: int) -> int:
        self.looked_at.add(rate)
        return self.formula(rate)

    def bpp(self, rate: int) -> float:
        return self.size(rate) / 100

    def psnr(self, rate: int) -> float:
        self.looked_at.add(rate)
        return 20 + rate / 10


class AnyRate:
    name = "made"
    rates = range(253)


CODEC: Any = AnyRate()


def plain() -> Made:
    return Made(lambda rate: 100 + 10 * rate)


@pytest.mark.parametrize("limit", [100, 777, 2620])
@pytest.mark.parametrize("excess", [1, 40, 3000])
def test_the_plain_file_is_taken_if_no_searched_one_fits(limit, excess) -> None:
    files, searched = plain(), Made(lambda rate: limit + excess)
    chosen = choose_searched(files, searched, Target(max_bytes=limit), CODEC)
    rate, _ = choose_rate(files, Target(max_bytes=limit), CODEC)
    assert chosen == (files, rate, None)
    assert files.size(rate) <= limit


@pytest.mark.parametrize("part", [0.5, 0.9, 1.1])
def test_a_searched_file_that_fits_is_taken(part) -> None:
    files, searched = plain(), Made(lambda rate: round(part * (100 + 10 * rate)))
    trial, rate, warning = choose_searched(files, searched, Target(max_bytes=1000), CODEC)
    assert trial is searched and warning is None
    assert 985 < searched.size(rate) <= 1000


def test_a_forecast_without_hope_leaves_what_fitted_before() -> None:
    # What rate 10 saves leads to rate 16, where the search fails so badly that all seems lost.
    files, searched = plain(), Made(lambda rate: 150 if rate <= 10 else 1000)
    chosen = choose_searched(files, searched, Target(max_bytes=200), CODEC)
    assert chosen == (searched, 10, None)
    assert searched.looked_at == {10, 16}


@pytest.mark.parametrize("target", [Target(max_bytes=900), Target(bpp=9.0), Target(psnr=33.0)])
def test_a_search_is_made_at_three_rates_at_most(target) -> None:
    searched = Made(lambda rate: 80 + 7 * rate + 60 * (rate % 5))
    choose_searched(plain(), searched, target, CODEC)
    assert 1 <= len(searched.looked_at) <= 3


def test_what_not_even_a_plain_file_keeps_is_refused() -> None:
    with pytest.raises(TargetError, match="at least 100 bytes, 99 were allowed"):
        choose_searched(plain(), Made(lambda rate: 10), Target(max_bytes=99), CODEC)
