"""Circuits code blocks exactly, at the cost that they state, and refuse what is none of theirs."""

from __future__ import annotations

import dataclasses
import hashlib
from fractions import Fraction
from itertools import product
from typing import Any

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantal.entropy import Decoder, Encoder
from quantal.entropy.circuits import (
    Circuit,
    chow_liu_tree,
    coding,
    decode_blocks,
    encode_blocks,
    estimate_blocks,
    fit_circuit,
)
from quantal.entropy.coder import ROW_TOTAL
from quantal.errors import ArgumentError, BitstreamError, CorruptError, ModelError

_TOTAL = 1 << 16
GOLDEN = "23a148d14a5b29c1"


def rows(generator: np.random.Generator, *shape: int, sharp: float = 1.0) -> np.ndarray[Any, Any]:
    """Return random rows of weights that sum to 2^16."""
    exact = generator.dirichlet([sharp] * shape[-1], shape[:-1])
    weights = (exact * (_TOTAL - shape[-1])).astype(np.int32) + 1
    weights[..., 0] += _TOTAL - weights.sum(-1)
    return weights.astype(np.int32)


def random_circuit(
    seed: int, nodes: int = 7, states: int = 3, values: int = 4, sharp: float = 1.0
) -> Circuit:
    generator = np.random.default_rng(seed)
    path, parents = [0], [-1]
    for node in range(1, nodes):
        path = path[: generator.integers(1, len(path) + 1)]
        parents.append(path[-1])
        path.append(node)
    transitions = rows(generator, nodes, states, states, sharp=sharp)
    transitions[0] = transitions[0, 0]
    return Circuit(
        generator.permutation(nodes).astype(np.int32),
        np.array(parents, np.int32),
        transitions,
        rows(generator, nodes, states, values, sharp=sharp),
    )


def random_samples(circuit: Circuit, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    shape = count, circuit.nodes
    return np.random.default_rng(seed).integers(0, circuit.values, shape).astype(np.uint8)


def joint(circuit: Circuit, sample: list[int]) -> Fraction:
    """Return the probability of the first values of a sample, by the sum over all states."""
    total = Fraction(0)
    for states in product(range(circuit.states), repeat=len(sample)):
        weight = Fraction(1)
        for node, (state, value) in enumerate(zip(states, sample, strict=True)):
            parent = int(circuit.parents[node])
            above = 0 if parent < 0 else states[parent]
            weight *= Fraction(int(circuit.transitions[node, above, state]), _TOTAL)
            weight *= Fraction(int(circuit.leaves[node, state, value]), _TOTAL)
        total += weight
    return total


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0]))
def test_conditionals_are_those_of_the_whole_sum(seed: int, sharp: float) -> None:
    circuit = random_circuit(seed, nodes=5, states=2, values=3, sharp=sharp)
    samples = random_samples(circuit, 4, seed)
    found: list[np.ndarray[Any, Any]] = []

    def step(node: int, weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        assert (weights >= 1).all() and (weights.sum(1) == ROW_TOTAL).all()
        found.append(weights)
        return samples[:, circuit.variables[node]].astype(np.int32)

    coding._walk(circuit, len(samples), step)
    for place, sample in enumerate(samples):
        values = sample[circuit.variables].tolist()
        for node, weights in enumerate(found):
            known = joint(circuit, values[:node]) if node else Fraction(1)
            for value in range(circuit.values):
                exact = joint(circuit, [*values[:node], value]) / known
                share = Fraction(int(weights[place, value]), ROW_TOTAL)
                # Beliefs have 26 bits, which states that few values speak for may not reach.
                slack = exact / 1000 if sharp == 1 else Fraction(1, 100)
                assert abs(share - exact) <= slack + Fraction(1, 1 << 20)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(1, 12), st.sampled_from([0.02, 1.0]))
def test_blocks_round_trip(seed: int, count: int, nodes: int, sharp: float) -> None:
    circuit = random_circuit(seed, nodes, states=1 + seed % 5, values=2 + seed % 7, sharp=sharp)
    samples = random_samples(circuit, count, seed)
    data = encode_blocks(circuit, samples)
    assert np.array_equal(decode_blocks(circuit, data, count), samples)
    assert abs(8 * len(data) - estimate_blocks(circuit, samples)) <= 64


@pytest.mark.parametrize(("states", "values"), [(1, 2), (256, 2), (2, 256), (64, 256)])
def test_extreme_circuits_round_trip(states: int, values: int) -> None:
    circuit = random_circuit(1, 4, states, values, sharp=0.01)
    samples = random_samples(circuit, 300)
    data = encode_blocks(circuit, samples)
    assert np.array_equal(decode_blocks(circuit, data, 300), samples)


def test_parts_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = random_circuit(3)
    samples = random_samples(circuit, 50)
    bits = estimate_blocks(circuit, samples)
    monkeypatch.setattr(coding, "_BLOCKS", 7)
    data = encode_blocks(circuit, samples)
    assert np.array_equal(decode_blocks(circuit, data, 50), samples)
    assert estimate_blocks(circuit, samples) == pytest.approx(bits)


def test_every_value_in_between_is_a_whole_number(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = random_circuit(5, nodes=9, states=256, values=3, sharp=0.01)
    plain = coding._scaled
    largest = 0.0

    def watched(values: np.ndarray[Any, Any], bits: int = 26) -> np.ndarray[Any, Any]:
        nonlocal largest
        largest = max(largest, float(values.max()))
        assert (values == np.floor(values)).all() and (values.max(1) > 0).all()
        scaled = plain(values, bits)
        assert ((scaled.max(1) >= 1 << bits - 1) & (scaled.max(1) < 1 << bits)).all()
        return scaled

    monkeypatch.setattr(coding, "_scaled", watched)
    encode_blocks(circuit, random_samples(circuit, 20))
    assert largest < 1 << 53


def test_weights_hold_their_sum_at_the_bounds() -> None:
    rows = np.full((3, 256), float(1 << 49))
    rows[1, 1:], rows[2] = 0, 1
    exact = [int(value) for value in rows[0]]
    weights = coding._weights(rows)
    assert (weights.sum(1) == ROW_TOTAL).all() and weights.min() == 1
    assert weights[1].tolist() == [ROW_TOTAL - 255] + [1] * 255
    assert abs(weights[0] - ROW_TOTAL * exact[0] // sum(exact)).max() <= 256


def test_a_golden_stream_stays_the_same() -> None:
    """All of it is made of whole numbers, so that any change is one of the coding."""

    def made(*shape: int) -> np.ndarray[Any, Any]:
        weights = 1 + np.arange(np.prod(shape)).reshape(shape) ** 3 % 9973
        weights[..., 0] += _TOTAL - weights.sum(-1)
        return weights.astype(np.int32)

    transitions = made(7, 5, 5)
    transitions[0] = transitions[0, 0]
    parents = np.array([-1, 0, 1, 1, 0, 4, 0], np.int32)
    circuit = Circuit(np.arange(7, dtype=np.int32)[::-1], parents, transitions, made(7, 5, 6))
    samples = (np.arange(70).reshape(10, 7) ** 2 % 37 % 6).astype(np.uint8)
    assert hashlib.sha256(encode_blocks(circuit, samples)).hexdigest()[:16] == GOLDEN


# -- rows of the coder ----------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 256))
def test_rows_are_coded_to_the_last_integer(seed: int, values: int) -> None:
    generator = np.random.default_rng(seed)
    exact = generator.dirichlet([0.05] * values, 20)
    weights = np.floor(exact * (ROW_TOTAL - values)).astype(np.int64) + 1
    weights[:, 0] += ROW_TOTAL - weights.sum(1)
    symbols = generator.integers(0, values, 20).astype(np.int32)
    encoder = Encoder()
    encoder.put_rows(symbols, weights)
    data = encoder.finish()
    decoder = Decoder(data)
    assert np.array_equal(decoder.take_rows(weights), symbols)
    decoder.finish()
    # Each symbol alone, by a coder of whole numbers (Duda's rANS as constriction has it).
    state, words = 0x0151544C, []
    for row, symbol in reversed(list(zip(weights.tolist(), symbols.tolist(), strict=True))):
        own, below = row[symbol], 1 + sum(row[:symbol])
        if state >> 40 >= own:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        state = (state // own << 24) + below + state % own
    words += [state & 0xFFFFFFFF] + ([state >> 32] if state >> 32 else [])
    assert np.array(words, "<u4").tobytes().rstrip(b"\0") == data


@pytest.mark.parametrize(
    ("symbols", "weights"),
    [
        ([0], [[ROW_TOTAL - 1, 2]]),
        ([0], [[ROW_TOTAL, 0]]),
        ([2], [[ROW_TOTAL - 5, 5]]),
        ([-1], [[ROW_TOTAL - 5, 5]]),
        ([0, 0], [[ROW_TOTAL - 5, 5]]),
        ([0], [ROW_TOTAL]),
    ],
)
def test_impossible_rows_are_refused(symbols: list[int], weights: Any) -> None:
    with pytest.raises(ArgumentError):
        Encoder().put_rows(np.array(symbols, np.int32), np.array(weights, np.int64))


def test_a_slot_that_nothing_is_coded_with_is_corrupt() -> None:
    ends = np.array([[0, ROW_TOTAL, 0]], np.int64)
    coder = constriction.stream.stack.AnsCoder(np.array([0x0151544C], np.uint32))
    model = constriction.stream.model.Categorical(perfect=False)
    coder.encode_reverse(np.array([0], np.int32), model, (ends - 1).clip(0).astype(float))
    data = coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")
    with pytest.raises(CorruptError, match="none that is written"):
        Decoder(data).take_rows(np.array([[ROW_TOTAL]], np.int64))


# -- what is refused ------------------------------------------------------------------------------


def test_damaged_streams_are_refused_or_known_to_be_others() -> None:
    circuit = random_circuit(2)
    samples = random_samples(circuit, 30)
    data = encode_blocks(circuit, samples)
    hostile = [data[:cut] for cut in range(len(data))] + [data + b"\1", data + b"\0", b"\xff" * 99]
    for place in range(len(data)):
        hostile.append(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
    for broken in hostile:
        with pytest.raises(BitstreamError):
            decode_blocks(circuit, broken, 30)


def test_another_count_and_another_circuit_are_refused() -> None:
    circuit = random_circuit(2)
    data = encode_blocks(circuit, random_samples(circuit, 30))
    for count in (0, 29, 31, 1 << 50):
        with pytest.raises(BitstreamError):
            decode_blocks(circuit, data, count)
    with pytest.raises(BitstreamError):
        decode_blocks(random_circuit(4), data, 30)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((2, 7), np.int32),
        np.zeros(7, np.uint8),
        np.zeros((2, 6), np.uint8),
        np.full((2, 7), 4, np.uint8),
        [[0] * 7],
    ],
)
def test_samples_of_no_circuit_are_refused(samples: Any) -> None:
    with pytest.raises(ArgumentError):
        encode_blocks(random_circuit(0), samples)


@pytest.mark.parametrize(
    "change",
    [
        {"variables": np.zeros(7, np.int32)},
        {"variables": np.arange(7)},
        {"parents": np.array([-1, 0, 1, 0, 2, 0, 0], np.int32)},
        {"parents": np.array([-1, -1, 1, 1, 1, 1, 1], np.int32)},
        {"parents": np.array([0, 0, 0, 0, 0, 0, 0], np.int32)},
        {"parents": np.array([-1, 5, 0, 0, 0, 0, 0], np.int32)},
        {"leaves": np.full((7, 3, 4), _TOTAL // 2, np.int32)},
        {"leaves": np.full((7, 3, 1), _TOTAL, np.int32)},
        {"transitions": np.zeros((7, 3, 3), np.int32)},
        {"transitions": np.zeros((7, 2, 3), np.int32)},
    ],
)
def test_arrays_of_no_circuit_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        dataclasses.replace(random_circuit(0), **change)


def test_arrays_give_the_circuit_back() -> None:
    circuit = random_circuit(6)
    again = Circuit.from_arrays(circuit.arrays("prior"), "prior")
    samples = random_samples(circuit, 5)
    assert encode_blocks(again, samples) == encode_blocks(circuit, samples)


# -- training -------------------------------------------------------------------------------------


def test_the_tree_follows_what_depends_on_what() -> None:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 4, 4000)
    second = np.where(generator.random(4000) < 0.9, first, generator.integers(0, 4, 4000))
    third = np.where(generator.random(4000) < 0.9, second, generator.integers(0, 4, 4000))
    order, parents = chow_liu_tree(np.stack([first, third, second], 1).astype(np.uint8), 4)
    assert order == [0, 2, 1]
    assert parents == [-1, 0, 1]


def test_training_finds_what_blocks_have_in_common() -> None:
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, 8, (8, 16))
    samples = kinds[generator.integers(0, 8, 1500)]
    noisy = generator.random(samples.shape) < 0.1
    samples = np.where(noisy, generator.integers(0, 8, samples.shape), samples).astype(np.uint8)
    seen: list[float] = []
    circuit = fit_circuit(
        samples[:1200], 8, states=8, epochs=4, batch=200, report=lambda _, bits: seen.append(bits)
    )
    cost = estimate_blocks(circuit, samples[1200:]) / samples[1200:].size
    assert seen[-1] < seen[0]
    assert cost < 1.3  # of 3 bits; the entropy of the source is about 0.9 bits
    again = fit_circuit(samples[:1200], 8, states=8, epochs=4, batch=200)
    assert np.array_equal(again.leaves, circuit.leaves)


@pytest.mark.parametrize(
    ("samples", "values", "options"),
    [
        (np.zeros((0, 4), np.uint8), 2, {}),
        (np.zeros((4, 4), np.int64), 2, {}),
        (np.full((4, 4), 2, np.uint8), 2, {}),
        (np.zeros((4, 4), np.uint8), 257, {}),
        (np.zeros((4, 4), np.uint8), 2, {"states": 0}),
        (np.zeros((4, 4), np.uint8), 2, {"batch": 0}),
        (np.zeros((4, 4), np.uint8), 2, {"smoothing": 0.0}),
    ],
)
def test_impossible_training_is_refused(samples: Any, values: int, options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        fit_circuit(samples, values, **options)


@pytest.mark.parametrize("count", [1, 3])
def test_few_samples_of_one_variable_are_enough(count: int) -> None:
    samples = np.ones((count, 1), np.uint8)
    circuit = fit_circuit(samples, 2, states=4, epochs=2)
    assert np.array_equal(decode_blocks(circuit, encode_blocks(circuit, samples), count), samples)
