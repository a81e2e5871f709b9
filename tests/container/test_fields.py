"""Fields of the header: extreme values, canonical encodings, and errors of invalid ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantal import container
from quantal.container import FIELDS, Header, Part, describe
from quantal.container._fields import pack_header, unpack_header
from quantal.container._wire import Cursor, Sink, Symbols40, Varint
from quantal.errors import ArgumentError, BitstreamError, CorruptError, UnsupportedVersionError

HEADER = Header("abcd", bytes(4), width=1, height=1, rate=0)
PACKED = pack_header(HEADER)
FLAGS, WIDTH, HEIGHT, RATE = 13, 14, 16, 18  # offsets with a codec name of four letters


def patched(offset: int, value: bytes) -> bytes:
    return PACKED[:offset] + value + PACKED[offset + len(value) :]


@pytest.mark.parametrize(
    "changes",
    [
        {"codec": "a"},
        {"codec": "a" * 23},
        {"codec": "abc"},
        {"codec": "az09-_."},
        {"model_hash": b"\xff" * 4},
        {"width": 65535},
        {"height": 65535},
        {"rate": 252},
        {"grey": True},
    ],
)
def test_extreme_values_round_trip(changes: dict[str, Any]) -> None:
    header = replace(HEADER, **changes)
    assert unpack_header(Cursor(pack_header(header))) == header


@pytest.mark.parametrize(
    "changes",
    [
        {"codec": ""},
        {"codec": "a" * 24},
        {"codec": "Abc"},
        {"codec": "a b"},
        {"codec": "a\0b"},
        {"codec": None},
        {"model_hash": b"123"},
        {"model_hash": "1234"},
        {"width": 0},
        {"width": 65536},
        {"width": 1.0},
        {"height": 0},
        {"height": 65536},
        {"rate": -1},
        {"rate": 253},
        {"media": "video"},
        {"version": 2},
        {"grey": 2},
    ],
)
def test_invalid_values_are_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=r"found|must be"):
        container.write(replace(HEADER, **changes), [Part("image", b"")])


@pytest.mark.parametrize(
    ("offset", "value", "error", "message"),
    [
        (WIDTH, b"\xff\xff", CorruptError, r"width 65536 found, expected 1\.\.65535"),
        (HEIGHT, b"\xff\xff", CorruptError, r"height 65536 found, expected 1\.\.65535"),
        (RATE, b"\xfd", CorruptError, r"rate 253 found, expected 0\.\.252"),
        (
            FLAGS,
            b"\x03",
            UnsupportedVersionError,
            "media 3 found, expected picture or.*update",
        ),
        (FLAGS, b"\x0f", UnsupportedVersionError, "media 15 found"),
        (FLAGS, b"\x20", CorruptError, "reserved 1 found, expected 0"),
        (FLAGS, b"\x80", CorruptError, "reserved 4 found"),
        (4, b"\x00", UnsupportedVersionError, "version 0 found"),
        (4, b"\xff", UnsupportedVersionError, "version 255 found"),
    ],
)
def test_values_that_are_not_allowed_are_errors(
    offset: int, value: bytes, error: type[BitstreamError], message: str
) -> None:
    with pytest.raises(error, match=message):
        unpack_header(Cursor(patched(offset, value)))


@pytest.mark.parametrize("offset", [WIDTH, HEIGHT])
def test_sides_are_stored_less_one_with_the_low_byte_first(offset: int) -> None:
    header = unpack_header(Cursor(patched(offset, b"\x01\x02")))
    assert (header.width if offset == WIDTH else header.height) == 0x0201 + 1


def test_the_flags_share_a_byte() -> None:
    assert pack_header(replace(HEADER, grey=True))[FLAGS] == 0x10


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=23))
def test_names_round_trip_in_radix_40(name: str) -> None:
    sink = Sink()
    Symbols40().write(sink, name)
    assert len(sink.data) == 2 * (len(name) // 3 + 1)
    assert Symbols40().read(Cursor(bytes(sink.data))) == name


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",  # empty
        (64000).to_bytes(2, "little"),  # no three characters
        (1 * 1600 + 0 * 40 + 1).to_bytes(2, "little"),  # a, end, a
        (0 * 1600 + 1 * 40 + 0).to_bytes(2, "little"),  # end, a, end
        (1641).to_bytes(2, "little") * 8 + b"\x00\x00",  # 24 characters
    ],
)
def test_names_in_another_form_are_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptError):
        Symbols40().read(Cursor(data, what="codec"))


@given(st.binary(min_size=2, max_size=20))
def test_a_name_that_can_be_read_is_written_the_same(data: bytes) -> None:
    cursor = Cursor(data)
    try:
        name = Symbols40().read(cursor)
    except BitstreamError:
        return
    sink = Sink()
    Symbols40().write(sink, name)
    assert sink.data == data[: cursor.position]


@given(st.integers(0, 2**32 - 1))
def test_varints_come_back(value: int) -> None:
    sink = Sink()
    Varint().write(sink, value)
    assert len(sink.data) == max(1, -(-value.bit_length() // 7))
    assert Varint().read(Cursor(bytes(sink.data))) == value


@given(st.lists(st.integers(0x80, 0xFF), max_size=5), st.integers(0, 0x7F))
def test_a_varint_that_can_be_read_is_written_the_same(more: list[int], last: int) -> None:
    data = bytes([*more, last])
    try:
        value = Varint().read(Cursor(data))
    except CorruptError:
        return
    sink = Sink()
    Varint().write(sink, value)
    assert sink.data == data


@pytest.mark.parametrize("value", [-1, 2**32])
def test_varints_have_limits(value: int) -> None:
    with pytest.raises(ArgumentError):
        Varint().write(Sink(), value)


def test_describe_follows_the_fields() -> None:
    described = describe(HEADER)
    assert [value.name for value in described] == [f.name for f in FIELDS if f.in_header]
    assert {value.name: value.value for value in described} == vars(HEADER)
