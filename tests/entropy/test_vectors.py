"""The code of motion vectors: round trips, memory from frame to frame, hostile streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantal.entropy.vectors import LIMIT, FieldState, VectorPrior, fit_vectors
from quantal.entropy.walk import Known, Pricing, Reading, Writing
from quantal.errors import ArgumentError, BitstreamError

PRIOR = VectorPrior()


def written(field: np.ndarray, before: FieldState | None = None) -> tuple[bytes, FieldState]:
    writing = Writing(PRIOR.latents(field))
    state = PRIOR.walk(writing, field.shape[1:], before)
    return writing.finish(), state


def read(data: bytes, shape: tuple[int, int], before: FieldState | None = None) -> FieldState:
    reading = Reading(data)
    state = PRIOR.walk(reading, shape, before)
    reading.finish()
    return state


def moving(rows: int, columns: int, seed: int, wild: float = 0.2) -> np.ndarray:
    """A field with a camera's motion, an object and some stray vectors."""
    rng = np.random.default_rng(seed)
    field = np.zeros((2, rows, columns), np.int16)
    field += rng.integers(-20, 20, (2, 1, 1)).astype(np.int16)
    field[:, rows // 3 : rows // 2, columns // 4 : columns // 2] += 9
    stray = rng.random((rows, columns)) < wild
    field[:, stray] = rng.integers(-60, 60, (2, int(stray.sum())))
    return field


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 99), st.floats(0, 1))
def test_a_field_comes_back_by_every_coding(rows, columns, seed, wild) -> None:
    field = moving(rows, columns, seed, wild)
    data, state = written(field)
    assert np.array_equal(state.field, field)
    assert np.array_equal(read(data, (rows, columns)).field, field)
    pricing = Pricing(PRIOR.latents(field))
    PRIOR.walk(pricing, (rows, columns), None)
    assert abs(pricing.bits / 8 - len(data)) < 8
    known = Known(PRIOR.latents(field))
    assert np.array_equal(PRIOR.walk(known, (rows, columns), None).field, field)


def test_what_was_learned_goes_on_and_tries_leave_no_trace() -> None:
    fields = [moving(30, 40, 5, 0.1) + np.int16(k) for k in range(6)]
    alone = sum(len(written(field)[0]) for field in fields)
    state = decoded = None
    together = 0
    for field in fields:
        written(moving(30, 40, 77, 1.0), state)  # another try at the same frame
        data, state = written(field, state)
        decoded = read(data, (30, 40), decoded)
        assert np.array_equal(decoded.field, field)
        together += len(data)
    assert together < alone


def test_frames_that_stand_still_cost_almost_nothing() -> None:
    still = np.zeros((2, 48, 80), np.int16)
    state, sizes = None, []
    for _ in range(8):
        data, state = written(still, state)
        sizes.append(len(data))
    assert sizes[0] <= 40 and sizes[-1] <= 6


@pytest.mark.parametrize("value", [-LIMIT, LIMIT, 1000])
def test_the_longest_vectors_pass(value) -> None:
    field = np.zeros((2, 5, 7), np.int16)
    field[:, 2, 3] = value
    data, _ = written(field)
    assert np.array_equal(read(data, (5, 7)).field, field)


@pytest.mark.parametrize(
    "field",
    [
        np.zeros((2, 4, 4), np.int32),
        np.zeros((4, 4), np.int16),
        np.zeros((2, 0, 4), np.int16),
        np.full((2, 4, 4), LIMIT + 1, np.int16),
    ],
)
def test_what_is_no_field_is_refused(field) -> None:
    with pytest.raises(ArgumentError):
        PRIOR.latents(field)


def test_damaged_streams_give_bitstream_errors_or_short_vectors() -> None:
    rng = np.random.default_rng(0)
    data, _ = written(moving(20, 30, 1))
    refused = 0
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            broken[int(rng.integers(len(broken)))] = int(rng.integers(256))
        try:
            found = read(bytes(broken[: int(rng.integers(1, len(broken) + 1))]), (20, 30))
        except BitstreamError:
            refused += 1
        else:
            assert np.abs(found.field).max() <= LIMIT
    assert refused > 100


def test_random_streams_give_bitstream_errors_or_short_vectors() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        data = rng.integers(0, 256, int(rng.integers(0, 200)), dtype=np.uint8).tobytes()
        try:
            found = read(data, (12, 9))
        except BitstreamError:
            continue
        assert np.abs(found.field).max() <= LIMIT


@pytest.mark.parametrize("shape", [(1, 200), (200, 1), (200, 200)])
def test_large_fields_of_any_vectors_come_back(shape) -> None:
    rng = np.random.default_rng(2)
    field = rng.integers(-LIMIT, LIMIT + 1, (2, *shape)).astype(np.int16)
    assert np.array_equal(read(written(field)[0], shape).field, field)


def test_halves_cost_less_than_quarters() -> None:
    rng = np.random.default_rng(3)
    quarters = rng.integers(-40, 40, (2, 32, 32)).astype(np.int16)
    rows, columns = quarters.copy(), quarters.copy()
    rows[:, :, 1::2], columns[:, 1::2] = rows[:, :, ::2], columns[:, ::2]
    least = 0.7 * len(written(quarters)[0])
    assert len(written(rows)[0]) < least
    assert len(written(columns)[0]) < least


def test_tables_that_are_fitted_make_such_fields_smaller() -> None:
    groups = [[moving(24, 32, 10 * group + k, 0.05) for k in range(3)] for group in range(4)]
    fitted = VectorPrior(fit_vectors(groups[:3]))
    sizes = []
    for prior in (PRIOR, fitted):
        pricing, state = 0.0, None
        for field in groups[3]:
            coding = Pricing(prior.latents(field))
            state = prior.walk(coding, field.shape[1:], state)
            pricing += coding.bits
        sizes.append(pricing)
    assert sizes[1] < sizes[0]
