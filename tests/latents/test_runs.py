"""Symbols as runs: whatever integers go in come out, and wrong bytes are named as such."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quantal.errors import CorruptError
from quantal.latents._runs import (
    RUN,
    UNIT,
    deflated,
    from_bytes,
    inflated,
    joined_runs,
    smallest,
    split_runs,
    to_bytes,
)

VALUES = st.one_of(
    st.just(0), st.integers(-2, 2), st.integers(-300, 300), st.integers(-(1 << 31), (1 << 31) - 1)
)


def joined(entries, size, others):
    return joined_runs(entries, [len(entries)], size, others)[0]


@given(arrays(np.int32, st.integers(1, 300), elements=VALUES, fill=st.just(0)))
def test_any_integers_come_back(symbols) -> None:
    entries, others = split_runs(symbols)
    assert np.array_equal(joined(entries, len(symbols), others), symbols)
    assert len(entries) <= 2 * np.count_nonzero(symbols) + len(symbols) // RUN + 2


@pytest.mark.parametrize(
    "zeros", [0, 1, UNIT - 1, UNIT, UNIT + 1, RUN - 1, RUN, RUN + 1, 5 * RUN + 70]
)
def test_runs_of_any_length_end_where_they_should(zeros) -> None:
    for tail in (0, 1, UNIT - 1, UNIT, UNIT + 1, RUN, RUN + 1):
        symbols = np.array([*[0] * zeros, 7, *[0] * tail], np.int8)
        entries, others = split_runs(symbols)
        assert np.array_equal(joined(entries, len(symbols), others), symbols)


def test_several_pictures_are_joined_at_once() -> None:
    noise = np.random.default_rng(1)
    pictures = noise.integers(-3, 4, (5, 200)) * (noise.random((5, 200)) < 0.1)
    split = [split_runs(picture) for picture in pictures]
    entries = np.concatenate([each for each, _ in split])
    others = np.concatenate([each for _, each in split])
    found = joined_runs(entries, [len(each) for each, _ in split], 200, others)
    assert np.array_equal(found, pictures)


def test_nothing_is_something_too() -> None:
    entries, others = split_runs(np.zeros(0, np.int8))
    assert joined(entries, 0, others).shape == (0,)


def test_entries_of_another_size_are_refused() -> None:
    entries, others = split_runs(np.array([0, 1, 0, 5, 0], np.int8))
    with pytest.raises(CorruptError, match="don't end after 6"):
        joined(entries, 6, others)
    with pytest.raises(CorruptError, match="don't end after 4"):
        joined(entries, 4, others)
    with pytest.raises(CorruptError, match="beyond 1"):
        joined(entries, 5, others[:0])
    with pytest.raises(CorruptError, match="don't end"):  # the sum fits, the bounds don't
        joined_runs(np.concatenate([entries, entries]), [1, 2 * len(entries) - 1], 5, others)


@given(arrays(np.int32, st.integers(0, 100), elements=VALUES))
def test_integers_take_the_smallest_type_and_come_back(values) -> None:
    small = smallest(values)
    assert np.array_equal(small, values)
    assert np.array_equal(from_bytes(to_bytes(small), small.itemsize), values)


@given(st.binary(max_size=2000), st.booleans())
def test_deflated_bytes_come_back(data, runs) -> None:
    stored = deflated(data, runs=runs)
    assert len(stored) <= len(data)
    assert bytes(inflated(memoryview(stored), len(data))) == data


def test_a_stream_that_swells_is_not_followed() -> None:
    bomb = memoryview(deflated(bytes(1 << 24), runs=False))
    with pytest.raises(CorruptError, match="announces"):
        inflated(bomb, 100)
    with pytest.raises(CorruptError):
        inflated(memoryview(b"\xff" * 50), 100)
    with pytest.raises(CorruptError, match="announces"):
        inflated(bomb[:-3], 1 << 24)
