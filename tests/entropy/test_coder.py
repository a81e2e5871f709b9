"""What goes into the coder comes out of it, whatever it is; what is damaged is refused."""

from __future__ import annotations

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantal.entropy import Decoder, Encoder, TableSet, coder, decode, encode, freeze
from quantal.entropy.coder import _models, estimate_bits
from quantal.errors import ArgumentError, BitstreamError, CorruptError, TruncatedError

INT32 = st.integers(-(2**31), 2**31 - 1)


def gaussian_tables(scales=(0.3, 1.0, 4.0, 20.0)) -> TableSet:
    weights, first = [], []
    for scale in scales:
        half = int(np.ceil(5 * scale)) + 1
        symbols = np.arange(-half, half + 1)
        weights.append(freeze(np.exp(-0.5 * (symbols / scale) ** 2)))
        first.append(-half)
    return TableSet.from_weights(first, weights)


TABLES = gaussian_tables()


@st.composite
def symbols_and_index(draw, elements=INT32):
    count = draw(st.integers(0, 60))
    symbols = draw(hnp.arrays(np.int32, count, elements=elements))
    index = draw(hnp.arrays(np.uint8, count, elements=st.integers(0, len(TABLES) - 1)))
    return symbols, index


@given(symbols_and_index())
def test_any_int32_survives(case):
    symbols, index = case
    assert np.array_equal(decode(encode(symbols, index, TABLES), index, TABLES), symbols)


@given(symbols_and_index(st.integers(-6, 6)))
def test_usual_symbols_survive(case):
    symbols, index = case
    assert np.array_equal(decode(encode(symbols, index, TABLES), index, TABLES), symbols)


@pytest.mark.parametrize("extreme", [-(2**31), 2**31 - 1, 2**24, -(2**24) - 1, 0])
def test_extremes_survive_alone(extreme):
    symbols, index = np.array([extreme], np.int32), np.zeros(1, np.uint8)
    assert decode(encode(symbols, index, TABLES), index, TABLES)[0] == extreme


def test_nothing_costs_nothing():
    empty = np.zeros(0, np.int32), np.zeros(0, np.uint8)
    assert encode(*empty, TABLES) == b""
    assert len(decode(b"", empty[1], TABLES)) == 0


@given(st.lists(symbols_and_index(st.integers(-30, 30)), max_size=4))
def test_what_is_put_first_is_taken_first(cases):
    encoder = Encoder()
    for symbols, index in cases:
        encoder.put(symbols, index, TABLES)
    decoder = Decoder(encoder.finish())
    for symbols, index in cases:
        assert np.array_equal(decoder.take(index, TABLES), symbols)
    decoder.finish()


def test_constriction_uses_our_integers_exactly():
    """A decoder whose state ends in quantile q must yield the slot in which q lies."""
    rng = np.random.default_rng(1)
    weights = [freeze(rng.random(n) ** 8) for n in (1, 2, 17, 300)]
    tables = TableSet.from_weights([0] * len(weights), weights)
    for table, expected in enumerate(weights):
        bounds = np.concatenate(([0], np.cumsum(expected, dtype=np.int64)))
        for slot in range(len(expected)):
            for quantile in (int(bounds[slot]), int(bounds[slot + 1]) - 1):
                state = (1 << 44) + quantile
                words = np.array([1, 2, state & 0xFFFFFFFF, state >> 32], dtype=np.uint32)
                coder = constriction.stream.stack.AnsCoder(words)
                assert coder.decode(_models(tables)[table]) == slot


def test_bytes_agree_with_the_tables_own_estimate():
    rng = np.random.default_rng(2)
    index = rng.integers(0, len(TABLES), 20_000).astype(np.uint8)
    scale = np.array([0.3, 1.0, 4.0, 20.0])[index]
    symbols = np.round(rng.normal(size=len(index)) * scale * 1.3).astype(np.int32)
    real = 8 * len(encode(symbols, index, TABLES))
    assert abs(real - estimate_bits(symbols, index, TABLES)) < 64


def test_a_certain_table_costs_nothing_and_gives_its_symbol():
    tables = TableSet.from_weights([7, -5], [np.array([1 << 24]), freeze(np.ones(11))])
    index = np.array([0, 1, 0, 0, 1], np.uint8)
    symbols = np.array([7, -5, 7, 7, 5], np.int32)
    assert len(encode(symbols, index, tables)) <= 4
    assert np.array_equal(decode(encode(symbols, index, tables), index, tables), symbols)
    only = np.zeros(1000, np.uint8)
    assert encode(np.full(1000, 7, np.int32), only, tables) == b""
    with pytest.raises(ArgumentError, match="certain"):
        encode(np.array([8], np.int32), np.zeros(1, np.uint8), tables)


def coded(count=3000):
    rng = np.random.default_rng(3)
    index = rng.integers(0, len(TABLES), count).astype(np.uint8)
    symbols = rng.integers(-5, 6, count).astype(np.int32)
    return symbols, index, encode(symbols, index, TABLES)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 7, 100])
def test_a_cut_stream_is_an_error(cut):
    _, index, data = coded()
    for part in (data[:-cut], data[cut:]):
        with pytest.raises(BitstreamError):
            decode(part, index, TABLES)


def test_a_stream_cut_anywhere_is_an_error():
    _, index, data = coded()
    for length in range(0, len(data), 3):
        with pytest.raises(BitstreamError):
            decode(data[:length], index, TABLES)


def test_reading_past_the_end_is_an_error_and_not_garbage():
    _, index, data = coded()
    decoder = Decoder(data)
    decoder.take(index, TABLES)
    with pytest.raises(TruncatedError):
        decoder.take(index, TABLES)
    with pytest.raises(TruncatedError):
        decode(b"", index, TABLES)


@settings(max_examples=200)
@given(st.integers(0, 10**9))
def test_a_flipped_bit_never_passes_for_the_same_symbols(where):
    symbols, index, data = coded()
    place = where % (8 * len(data))
    damaged = bytearray(data)
    damaged[place // 8] ^= 1 << place % 8
    try:
        result = decode(bytes(damaged), index, TABLES)
    except BitstreamError:
        return
    assert not np.array_equal(result, symbols)


def test_a_stream_has_one_spelling():
    _, index, data = coded()
    with pytest.raises(CorruptError, match="zero byte"):
        decode(data + b"\0", index, TABLES)
    nothing = np.zeros(0, np.uint8)
    with pytest.raises(CorruptError, match="nothing is empty"):
        decode(b"\x4c\x54\x51\x01", nothing, TABLES)


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentError, match="int32"):
        encode(np.zeros(3), np.zeros(3, np.uint8), TABLES)
    with pytest.raises(ArgumentError, match="uint8"):
        encode(np.zeros(3, np.int32), np.zeros(3, np.int32), TABLES)
    with pytest.raises(ArgumentError, match="only 4 tables"):
        encode(np.zeros(3, np.int32), np.full(3, 4, np.uint8), TABLES)


@pytest.mark.parametrize("worth", [0, 1 << 40])
def test_a_helper_thread_changes_nothing(worth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    index = rng.integers(0, len(TABLES), 5000, dtype=np.uint8)
    symbols = rng.normal(0, 8, 5000).round().astype(np.int32)
    expected = encode(symbols, index, TABLES)
    monkeypatch.setattr(coder, "_WORTH_A_THREAD", worth)
    assert encode(symbols, index, TABLES) == expected
    assert np.array_equal(decode(expected, index, TABLES), symbols)
