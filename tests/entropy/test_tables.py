"""Tables are integers that add up, or they are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantal.entropy import PRECISION, TableSet, freeze
from quantal.errors import ModelError

TOTAL = 1 << PRECISION


@given(hnp.arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 1)))
def test_frozen_weights_are_positive_and_sum_to_the_total(probabilities):
    if probabilities.sum() == 0:
        probabilities[0] = 1
    weights = freeze(probabilities)
    assert weights.dtype == np.int32
    assert weights.min() >= 1
    assert weights.sum() == TOTAL
    assert len(weights) == len(probabilities) + 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_a_table_set_gives_back_its_weights(sizes):
    weights = [freeze(np.arange(1.0, n + 1)) for n in sizes]
    tables = TableSet.from_weights(list(range(len(sizes))), weights)
    assert len(tables) == len(sizes)
    for table, expected in enumerate(weights):
        assert np.array_equal(tables.weights(table), expected)


def valid():
    tables = TableSet.from_weights([0, -3], [freeze(np.ones(2)), freeze(np.ones(7))])
    return tables.first.copy(), tables.offsets.copy(), tables.cumulative.copy()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f, o, c: c.__setitem__(0, 1),
        lambda f, o, c: c.__setitem__(1, c[2]),
        lambda f, o, c: c.__setitem__(1, -4),
        lambda f, o, c: c.__setitem__(-1, TOTAL - 1),
        lambda f, o, c: c.__setitem__(3, TOTAL + 1),
        lambda f, o, c: o.__setitem__(1, 1),
        lambda f, o, c: o.__setitem__(1, -1),
        lambda f, o, c: o.__setitem__(-1, 99),
        lambda f, o, c: f.__setitem__(0, 2**30),
    ],
)
def test_damaged_tables_are_refused(spoil):
    first, offsets, cumulative = valid()
    spoil(first, offsets, cumulative)
    with pytest.raises(ModelError):
        TableSet(first, offsets, cumulative)


def test_other_types_are_refused():
    first, offsets, cumulative = valid()
    with pytest.raises(ModelError, match="int32"):
        TableSet(first, offsets, cumulative.astype(np.float64))


def test_the_least_bits_are_those_of_the_likeliest_symbol():
    tables = TableSet.from_weights([0], [freeze(np.array([0.75, 0.25]))])
    assert tables.least_bits[0] == pytest.approx(-np.log2(0.75), abs=1e-4)
