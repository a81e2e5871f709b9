"""Index maps go through real bytes and come back; what is damaged or impossible is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantal.entropy import Encoder, TableSet, freeze
from quantal.entropy.indices import (
    ABSENT,
    BoolMap,
    ByteMap,
    CountedTables,
    IndexPrior,
    IntMap,
    Neighbourhood,
    walk_map,
)
from quantal.entropy.indices import prior as module
from quantal.entropy.indices.fit import Sample, fit_prior
from quantal.entropy.walk import Coding, Reading, Writing
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    ModelError,
    QuantalError,
    TruncatedError,
)

TOTAL = 1 << 24

#: How a map's tables begin: those of the prior, and what they add.
Counting = Callable[[IndexPrior], CountedTables]
COUNTING: dict[str, Counting] = {
    "frozen": lambda prior: CountedTables(prior, 0, 0),
    "counting": CountedTables,
    "own states alone": lambda prior: CountedTables(prior, 1 << 20, 0),
    "all states alone": lambda prior: CountedTables(prior, 0, 1 << 20),
    # Counts are halved again and again.
    "as fast as can be": lambda prior: CountedTables(prior, TOTAL, TOTAL),
}
every = pytest.mark.parametrize("counting", list(COUNTING))


class Exchange(Coding):
    """A coding whose symbols a function of states and tables gives."""

    def __init__(self, give: Callable[[ByteMap, TableSet], IntMap]) -> None:
        super().__init__()
        self.give = give

    def _symbols(self, where: Any, tables: TableSet, index: Any, residual: Any) -> IntMap:
        return self.give(index(), tables)


def coded(
    prior: IndexPrior,
    indices: IntMap,
    parents: ByteMap | None = None,
    counting: Counting = CountedTables,
) -> bytes:
    writing = Writing([indices])
    found = walk_map(prior, indices != ABSENT, parents, writing, counting(prior))
    assert np.array_equal(found, indices)
    return writing.finish()


def read(
    prior: IndexPrior,
    data: bytes,
    present: BoolMap,
    parents: ByteMap | None = None,
    counting: Counting = CountedTables,
) -> IntMap:
    reading = Reading(data)
    found = walk_map(prior, present, parents, reading, counting(prior))
    reading.finish()
    return found


def flat_prior(entries: int) -> IndexPrior:
    """One state, all entries alike."""
    tables = TableSet.from_weights([0], [freeze(np.ones(entries), 2.0**-24)])
    return IndexPrior(Neighbourhood.none(entries), tables)


@dataclass(frozen=True)
class Case:
    """Priors and maps that fit each other."""

    prior: IndexPrior
    indices: IntMap
    parents: ByteMap | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    entries, count = draw(st.integers(2, 9)), draw(st.integers(1, 3))
    parents, states = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    around = Neighbourhood(
        count,
        parents,
        rng.integers(0, count, entries).astype(np.uint8),
        rng.integers(0, states, (count + 1) ** 3 * parents).astype(np.uint8),
    )
    rows = [freeze(rng.random(entries) ** 4, 2.0**-24) for _ in range(states)]
    shape = draw(st.tuples(st.integers(0, 14), st.integers(0, 14)))
    kind = draw(st.sampled_from(["all", "none", "some"]))
    present = {"all": np.ones, "none": np.zeros}.get(kind, lambda s, t: rng.random(s) < 0.5)(
        shape, bool
    )
    indices = draw(hnp.arrays(np.int32, shape, elements=st.integers(0, entries - 1)))
    indices = np.where(present, indices, ABSENT).astype(np.int32)
    above = rng.integers(0, parents, shape).astype(np.uint8) if draw(st.booleans()) else None
    return Case(IndexPrior(around, TableSet.from_weights([0] * states, rows)), indices, above)


# -- there and back --------------------------------------------------------------------------


@settings(max_examples=60)
@given(cases())
@every
def test_any_map_survives(counting: str, case: Case) -> None:
    how = COUNTING[counting]
    data = coded(case.prior, case.indices, case.parents, how)
    found = read(case.prior, data, case.indices != ABSENT, case.parents, how)
    assert found.dtype == np.int32
    assert np.array_equal(found, case.indices)


@settings(max_examples=20)
@given(st.lists(cases(), max_size=4))
def test_maps_follow_each_other_in_one_stream(several: list[Case]) -> None:
    writing = Writing([case.indices for case in several])
    for case in several:
        walk_map(case.prior, case.indices != ABSENT, case.parents, writing)
    reading = Reading(writing.finish())
    for case in several:
        found = walk_map(case.prior, case.indices != ABSENT, case.parents, reading)
        assert np.array_equal(found, case.indices)
    reading.finish()


@pytest.mark.parametrize("entries", [2, 1024])
@every
def test_a_map_of_many_renewals_survives(counting: str, entries: int) -> None:
    rng = np.random.default_rng(0)
    indices = (entries * rng.random((60, 75)) ** 3).astype(np.int32)
    prior, how = flat_prior(entries), COUNTING[counting]
    data = coded(prior, indices, None, how)
    assert np.array_equal(read(prior, data, indices != ABSENT, None, how), indices)


def test_tables_that_counted_one_map_serve_the_next() -> None:
    prior, indices = flat_prior(64), np.full((20, 20), 7, np.int32)
    counted, sizes = CountedTables(prior), []
    for _ in range(2):
        writing = Writing([indices])
        walk_map(prior, indices != ABSENT, None, writing, counted)
        sizes.append(len(writing.finish()))
    assert sizes[1] < sizes[0]


def test_a_map_without_positions_costs_nothing() -> None:
    for shape in ((0, 0), (0, 5), (5, 0), (3, 4)):
        indices = np.full(shape, ABSENT, np.int32)
        assert coded(flat_prior(4), indices) == b""
        assert np.array_equal(read(flat_prior(4), b"", np.zeros(shape, bool)), indices)


def test_neighbours_come_before_the_positions_that_they_predict() -> None:
    """Along anti-diagonals, from the top down: left, above and upper left are always known."""
    asked = []

    def exchange(states: ByteMap, tables: TableSet) -> IntMap:
        asked.append(len(states))
        return np.arange(len(states), dtype=np.int32)

    found = walk_map(flat_prior(9), np.ones((3, 4), bool), None, Exchange(exchange))
    assert asked == [1, 2, 3, 3, 2, 1]
    assert found.tolist() == [[0, 0, 0, 0], [1, 1, 1, 0], [2, 2, 1, 0]]


def test_states_are_looked_up_by_left_above_corner_and_parent() -> None:
    classes = np.array([0, 1], np.uint8)
    states = np.arange(81).astype(np.uint8)
    tables = TableSet.from_weights([0] * 81, [freeze(np.ones(2), 2.0**-24)] * 81)
    prior = IndexPrior(Neighbourhood(2, 3, classes, states), tables)
    seen: list[list[int]] = []

    def exchange(states: ByteMap, tables: TableSet) -> IntMap:
        seen.append(states.tolist())
        return np.array([[1], [1, 0], [1]][len(seen) - 1], np.int32)

    parents = np.array([[2, 0], [1, 0]], np.uint8)
    found = walk_map(prior, np.ones((2, 2), bool), parents, Exchange(exchange))
    assert found.tolist() == [[1, 1], [0, 1]]

    def state(left: int, above: int, corner: int, parent: int) -> int:
        return ((left * 3 + above) * 3 + corner) * 3 + parent

    assert seen == [
        [state(2, 2, 2, 2)],
        [state(1, 2, 2, 0), state(2, 1, 2, 1)],
        [state(0, 1, 1, 0)],
    ]


# -- what contexts and counting are worth ----------------------------------------------------


def blurred(seed: int, side: int = 48, entries: int = 16) -> IntMap:
    """A map whose neighbours are alike: smoothed noise, in as many steps as there are entries."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    for axis in (0, 1):
        for shift in (1, 2, 3):
            noise = noise + np.roll(noise, shift, axis)
    order = noise.ravel().argsort().argsort().reshape(noise.shape)
    return (order * entries // noise.size).astype(np.int32)


CLASSES = (np.arange(16) // 4).astype(np.uint8)


def test_contexts_cost_less_than_one_table_for_all() -> None:
    training = [Sample(blurred(seed)) for seed in range(1, 9)]
    contexts = fit_prior(training, CLASSES, 4, 1, 24)
    static = fit_prior(training, CLASSES, 4, 1, 1)
    assert len(static.tables) == 1 < len(contexts.tables) <= 24
    frozen = COUNTING["frozen"]
    sizes = [len(coded(prior, blurred(0), None, frozen)) for prior in (contexts, static)]
    assert sizes[0] < 0.8 * sizes[1]
    assert sizes[1] == pytest.approx(48 * 48 * 4 / 8, rel=0.02)


def test_counting_on_and_on_makes_no_state_like_another() -> None:
    prior = fit_prior([Sample(blurred(seed)) for seed in range(1, 9)], CLASSES, 4, 1, 24)
    large = blurred(0, 128)
    sizes = [len(coded(prior, large, None, COUNTING[how])) for how in ("counting", "frozen")]
    assert sizes[0] < 1.01 * sizes[1]


def test_knowing_the_coarser_map_costs_less() -> None:
    def sample(seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        parents = rng.integers(0, 4, (20, 20)).repeat(2, 0).repeat(2, 1).astype(np.uint8)
        return Sample((4 * parents + rng.integers(0, 4, (40, 40))).astype(np.int32), parents)

    training, one = [sample(seed) for seed in range(1, 9)], sample(0)
    sizes = []
    for parents in (4, 1):
        prior = fit_prior(training, CLASSES, 4, parents, 16)
        data = coded(prior, one.indices, one.parents)
        found = read(prior, data, one.indices != ABSENT, one.parents)
        assert np.array_equal(found, one.indices)
        sizes.append(len(data))
    assert sizes[0] < 0.8 * sizes[1]


def test_counting_learns_what_training_never_saw() -> None:
    prior = fit_prior([Sample(blurred(1))], CLASSES, 4, 1, 8)
    other = (15 * np.random.default_rng(0).random((48, 48)) ** 4).astype(np.int32)
    sizes = [len(coded(prior, other, None, COUNTING[how])) for how in ("counting", "frozen")]
    assert sizes[0] < 0.9 * sizes[1]


# -- tables from counts ----------------------------------------------------------------------


def weights_of(tables: TableSet) -> npt.NDArray[np.int64]:
    return np.stack([tables.weights(t) for t in range(len(tables))])


@given(
    st.integers(2, 9).flatmap(
        lambda slots: hnp.arrays(
            np.int64,
            st.tuples(st.integers(1, 4), st.just(slots)),
            elements=st.integers(0, (1 << 38) // slots),
        )
    )
)
def test_tables_from_any_counts_add_up_and_no_slot_is_empty(counts: npt.NDArray[np.int64]) -> None:
    counts[:, 0] += counts.sum(1) == 0
    weights = weights_of(module._tables(counts))
    assert (weights.sum(1) == TOTAL).all()
    assert weights.min() >= 1
    exact = counts.astype(object) * TOTAL / counts.sum(1, keepdims=True).astype(object)
    assert (abs(weights - exact.astype(np.float64)) <= counts.shape[1] + 1).all()


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 5000)), max_size=12),
    st.sampled_from([(TOTAL, TOTAL), (TOTAL, 0), (0, TOTAL), (1, 1)]),
)
def test_counts_of_any_size_give_tables(
    batches: list[tuple[int, int, int]], added: tuple[int, int]
) -> None:
    rows = [freeze(np.ones(4), 2.0**-24)] * 3
    around = Neighbourhood(1, 1, np.zeros(4, np.uint8), np.arange(8).astype(np.uint8) % 3)
    counted = CountedTables(IndexPrior(around, TableSet.from_weights([0] * 3, rows)), *added)
    for state, symbol, times in batches:
        counted.learn(np.full(times, state, np.uint8), np.full(times, symbol, np.int32))
        weights = weights_of(counted.tables())
        assert (weights.sum(1) == TOTAL).all()
        assert weights.min() >= 1


def test_a_state_that_is_never_seen_keeps_its_table_while_others_count_on() -> None:
    rows = [freeze(np.array([1.0, 3.0])), freeze(np.array([3.0, 1.0]))]
    around = Neighbourhood(1, 1, np.zeros(2, np.uint8), np.arange(8).astype(np.uint8) % 2)
    counted = CountedTables(IndexPrior(around, TableSet.from_weights([0] * 2, rows)), TOTAL, 0)
    symbols, states = np.zeros(40_000, np.int32), np.zeros(40_000, np.uint8)
    for _ in range(30):
        counted.learn(states, symbols)
        weights = weights_of(counted.tables())
    assert weights[0].tolist() == [TOTAL - 2, 1, 1]
    assert (abs(weights[1] - rows[1]) <= 3).all()


def test_a_symbol_seen_in_one_state_is_expected_in_all_and_most_in_its_own() -> None:
    rows = [freeze(np.ones(64), 2.0**-24)] * 2
    around = Neighbourhood(1, 1, np.zeros(64, np.uint8), np.arange(8).astype(np.uint8) % 2)
    counted = CountedTables(IndexPrior(around, TableSet.from_weights([0] * 2, rows)))
    counted.learn(np.zeros(64, np.uint8), np.full(64, 5, np.int32))
    weights = weights_of(counted.tables())
    assert weights[0, 5] > 1.3 * weights[1, 5] > 1.3 * 3 * rows[1][5]
    assert np.array_equal(np.delete(weights[1], 5) > 0, np.ones(64, bool))


def test_nothing_is_learned_by_frozen_tables() -> None:
    prior = flat_prior(4)
    counted = CountedTables(prior, 0, 0)
    counted.learn(np.zeros(1000, np.uint8), np.zeros(1000, np.int32))
    assert counted.tables() is prior.tables


def test_tables_follow_counts_less_and_less_often() -> None:
    counted, renewed = CountedTables(flat_prior(4)), []
    before = counted.tables()
    for number in range(6000):
        counted.learn(np.zeros(1, np.uint8), np.zeros(1, np.int32))
        if counted.tables() is not before:
            before = counted.tables()
            renewed.append(number + 1)
    gaps = np.diff([0, *renewed])
    assert set(gaps[:32]) == {48}
    assert gaps[-1] > 100
    assert (np.diff(gaps) >= 0).all()


@pytest.mark.parametrize("added", [(-1, 0), (0, -1), (TOTAL + 1, 0), (0, 1 << 60)])
def test_impossible_counting_is_refused(added: tuple[int, int]) -> None:
    with pytest.raises(ArgumentError, match=r"2\^24"):
        CountedTables(flat_prior(4), *added)


# -- damage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("beyond", [16, 17, 1 << 20, -1, -(1 << 31)])
def test_an_index_beyond_the_codebook_is_corrupt(beyond: int) -> None:
    prior, encoder = flat_prior(16), Encoder()
    encoder.put(np.array([beyond], np.int32), np.zeros(1, np.uint8), prior.tables)
    data = encoder.finish()
    with pytest.raises(CorruptError, match=rf"index {beyond} found, expected 0\.\.15"):
        read(prior, data, np.ones((1, 1), bool))


def test_a_stream_cut_anywhere_is_an_error() -> None:
    prior = fit_prior([Sample(blurred(1))], CLASSES, 4, 1, 8)
    indices = blurred(0, 24)
    data = coded(prior, indices)
    for length in range(0, len(data), 2):
        with pytest.raises((TruncatedError, CorruptError)):
            read(prior, data[:length], indices != ABSENT)


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.integers(0, 255))
def test_damage_raises_bitstream_errors_alone_and_never_passes(where: int, value: int) -> None:
    prior = fit_prior([Sample(blurred(1, 16))], CLASSES, 4, 1, 8)
    indices = blurred(0, 16)
    data = bytearray(coded(prior, indices))
    if data[where % len(data)] == value:
        return
    data[where % len(data)] = value
    try:
        found = read(prior, bytes(data), indices != ABSENT)
    except BitstreamError:
        return
    assert not np.array_equal(found, indices)


def test_a_map_larger_than_the_stream_is_truncated() -> None:
    data = coded(flat_prior(16), np.zeros((8, 8), np.int32))
    with pytest.raises(TruncatedError):
        read(flat_prior(16), data, np.ones((64, 64), bool))
    with pytest.raises(CorruptError):
        read(flat_prior(16), data, np.ones((2, 2), bool))


def test_maps_that_do_not_fit_are_refused_before_anything_is_exchanged() -> None:
    prior = fit_prior([Sample(blurred(1))], CLASSES, 4, 3, 8)
    present = np.ones((2, 3), bool)

    def never(states: ByteMap, tables: TableSet) -> IntMap:
        raise AssertionError("nothing is to be exchanged")

    for parents, message in (
        (np.zeros((3, 2), np.uint8), "expected uint8"),
        (np.zeros((2, 3), np.int64), "expected uint8"),
        (np.full((2, 3), 3, np.uint8), r"expected 0\.\.2"),
    ):
        with pytest.raises(ArgumentError, match=message):
            walk_map(prior, present, parents, Exchange(never))  # type: ignore[arg-type]
    for wrong in (present.astype(np.uint8), present[0]):
        with pytest.raises(ArgumentError, match="presence"):
            walk_map(prior, wrong, None, Exchange(never))  # type: ignore[arg-type]


# -- stored ----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(cases())
def test_a_prior_comes_back_from_its_arrays(case: Case) -> None:
    stored = case.prior.arrays("some.name")
    assert {t.dtype for t in stored.values()} == {np.dtype(np.int32), np.dtype(np.uint8)}
    found = IndexPrior.from_arrays(stored, "some.name")
    assert np.array_equal(weights_of(found.tables), weights_of(case.prior.tables))
    assert (found.around.count, found.around.parents) == (
        case.prior.around.count,
        case.prior.around.parents,
    )
    assert found.entries == case.prior.entries
    data = coded(case.prior, case.indices, case.parents)
    present = case.indices != ABSENT
    assert np.array_equal(read(found, data, present, case.parents), case.indices)


Spoil = Callable[[dict[str, npt.NDArray[Any]]], object]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t.update(shape=t["shape"].astype(np.float32)),
        lambda t: t.update(shape=np.array([4, 1, 1], np.int32)),
        lambda t: t.update(shape=np.array(4, np.int32)),
        lambda t: t["shape"].__setitem__(0, 0),
        lambda t: t["shape"].__setitem__(0, -1),
        lambda t: t["shape"].__setitem__(0, 5),
        lambda t: t["shape"].__setitem__(0, 2**31 - 1),
        lambda t: t["shape"].__setitem__(1, 0),
        lambda t: t["shape"].__setitem__(1, 2),
        lambda t: t.update(classes=t["classes"].astype(np.int32)),
        lambda t: t.update(classes=t["classes"].astype(np.float16)),
        lambda t: t.update(classes=t["classes"][None]),
        lambda t: t.update(classes=t["classes"][:-1]),
        lambda t: t.update(classes=t["classes"][:0]),
        lambda t: t["classes"].__setitem__(3, 4),
        lambda t: t.update(states=t["states"][:-1]),
        lambda t: t.update(states=t["states"].astype(np.int32)),
        lambda t: t["states"].__setitem__(9, 8),
        lambda t: t.update(weights=t["weights"].astype(np.int64)),
        lambda t: t.update(weights=t["weights"][0]),
        lambda t: t.update(weights=t["weights"][:0]),
        lambda t: t.update(weights=t["weights"][:, :-1]),
        lambda t: t.update(weights=t["weights"][:, :0]),
        lambda t: t.update(weights=np.tile(t["weights"], (40, 1))),
        lambda t: t["weights"].__setitem__((0, 0), 0),
        lambda t: t["weights"].__setitem__((0, 0), -5),
        lambda t: np.add.at(t["weights"], (1, 2), 1),
    ],
)
def test_damaged_priors_are_refused(spoil: Spoil) -> None:
    training = [Sample(blurred(seed)) for seed in (1, 2)]
    stored = fit_prior(training, CLASSES, 4, 1, 8).arrays("p")
    named = {name.removeprefix("p."): array.copy() for name, array in stored.items()}
    assert len(named["weights"]) == 8
    spoil(named)
    with pytest.raises(ModelError):
        IndexPrior.from_arrays({f"p.{name}": t for name, t in named.items()}, "p")


@pytest.mark.parametrize("name", ["shape", "classes", "states", "weights"])
def test_a_prior_that_lacks_a_tensor_is_a_key_error(name: str) -> None:
    stored = flat_prior(4).arrays("p")
    del stored[f"p.{name}"]
    with pytest.raises(KeyError, match=name):
        IndexPrior.from_arrays(stored, "p")


def test_neighbourhoods_that_bytes_cannot_hold_are_refused() -> None:
    classes = np.zeros(300, np.uint8)
    for count, parents in ((256, 1), (1, 257)):
        with pytest.raises(ModelError, match="classes"):
            Neighbourhood(count, parents, classes, np.zeros(1, np.uint8))
    whole = Neighbourhood(1, 256, classes, np.zeros(8 * 256, np.uint8))
    with pytest.raises(ModelError, match="one dimension"):
        replace(whole, states=whole.states[None])
    with pytest.raises(ModelError, match="0 entries"):
        Neighbourhood.none(0)
    with pytest.raises(ModelError, match="1 entries"):
        Neighbourhood.none(1)


def test_tables_of_other_symbols_are_refused() -> None:
    tables = TableSet.from_weights([1], [freeze(np.ones(4))])
    with pytest.raises(ModelError, match="from 0 on"):
        IndexPrior(Neighbourhood.none(4), tables)


# -- fitting ---------------------------------------------------------------------------------


def test_without_samples_all_entries_are_alike() -> None:
    prior = fit_prior([], CLASSES, 4, 2, 8)
    assert len(prior.tables) == 1
    assert prior.tables.least_bits.min() == pytest.approx(4, abs=0.01)
    nothing = Sample(np.full((3, 3), ABSENT, np.int32))
    empty = Sample(np.zeros((0, 4), np.int32))
    found = fit_prior([nothing, empty], CLASSES, 4, 2, 8)
    assert np.array_equal(weights_of(found.tables), weights_of(prior.tables))


def test_every_entry_stays_possible_however_rare() -> None:
    prior = fit_prior([Sample(np.zeros((200, 200), np.int32))], CLASSES, 4, 1, 8)
    assert weights_of(prior.tables)[:, :-1].min() > 2**24 / 2**18
    assert prior.tables.least_bits.min() < 0.01


def test_no_state_is_stored_that_no_context_has() -> None:
    for states in (1, 2, 7, 256):
        prior = fit_prior([Sample(blurred(1))], CLASSES, 4, 1, states)
        assert len(prior.tables) <= states
        assert sorted(set(prior.around.states.tolist())) == list(range(len(prior.tables)))


def test_more_states_never_cost_more_on_what_they_were_fitted_to() -> None:
    samples = [Sample(blurred(seed)) for seed in range(4)]
    priors = [fit_prior(samples, CLASSES, 4, 1, states) for states in (1, 4, 16)]
    frozen = COUNTING["frozen"]
    sizes = [sum(len(coded(p, s.indices, None, frozen)) for s in samples) for p in priors]
    assert sizes[0] > sizes[1] > sizes[2]


def test_contexts_hardly_seen_cost_no_more_than_one_table_for_all() -> None:
    training = [Sample(blurred(seed, 32, 256)) for seed in (1, 2, 3)]
    classes = (np.arange(256) // 64).astype(np.uint8)
    priors = [fit_prior(training, classes, 4, 1, states) for states in (24, 1)]
    sizes = [len(coded(p, blurred(0, 48, 256), None, COUNTING["frozen"])) for p in priors]
    assert sizes[0] < 0.97 * sizes[1]


def test_what_training_never_saw_gets_the_state_that_is_most_like_all() -> None:
    samples = [
        Sample(blurred(n), np.full((48, 48), p, np.uint8)) for n, p in ((1, 0), (2, 0), (3, 2))
    ]
    samples.append(Sample(np.full((70, 70), 3, np.int32), np.full((70, 70), 2, np.uint8)))
    prior = fit_prior(samples, CLASSES, 4, 3, 16)
    unseen = prior.around.states.reshape(5, 5, 5, 3)[..., 1]
    total = np.bincount(np.concatenate([s.indices.ravel() for s in samples]), minlength=16) + 0.25
    bits = -np.log2(weights_of(prior.tables)[:, :-1] / TOTAL) @ total
    assert (unseen == bits.argmin()).all()


def test_parents_are_ignored_where_contexts_do_not_ask() -> None:
    parents = np.full((48, 48), 3, np.uint8)
    alone, beside = (
        fit_prior([Sample(blurred(1), above)], CLASSES, 4, 1, 8) for above in (None, parents)
    )
    assert np.array_equal(alone.around.states, beside.around.states)
    assert coded(alone, blurred(0)) == coded(beside, blurred(0), parents)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (Sample(np.full((2, 2), 16, np.int32)), r"16, expected .* 0\.\.15"),
        (Sample(np.full((2, 2), -2, np.int32)), r"-2\.\.0, expected"),
        (Sample(np.zeros(4, np.int32)), "expected"),
        (Sample(np.zeros((2, 2), np.int32), np.zeros((1, 2), np.uint8)), "expected uint8"),
        (Sample(np.zeros((2, 2), np.int32), np.full((2, 2), 9, np.uint8)), "parent's class is 9"),
    ],
)
def test_samples_that_do_not_fit_are_refused(sample: Sample, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        fit_prior([sample], CLASSES, 4, 2, 8)


@pytest.mark.parametrize("states", [0, 257])
def test_states_that_a_byte_cannot_name_are_refused(states: int) -> None:
    with pytest.raises(ArgumentError, match=r"1\.\.256"):
        fit_prior([], CLASSES, 4, 1, states)


def test_classes_that_do_not_fit_are_refused() -> None:
    for classes, count in ((CLASSES, 3), (CLASSES, 0), (CLASSES, 256), (CLASSES[:1], 4)):
        with pytest.raises(QuantalError):
            fit_prior([], classes, count, 1, 8)
