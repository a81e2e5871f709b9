"""Files: round trips, and detection of all damage."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantal import container
from quantal.container import HEADER_LIMIT, MAGIC, PART_KINDS, Header, Part
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    TruncatedError,
    UnsupportedVersionError,
)

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-_."
HEADER = Header("hyperprior", bytes.fromhex("00c0ffee"), width=640, height=480, rate=150)
SMALL = container.write(HEADER, [Part("image", b"coded"), Part("xmp", b"<x/>")])

headers = st.builds(
    Header,
    codec=st.text(ALPHABET, min_size=1, max_size=23),
    model_hash=st.binary(min_size=4, max_size=4),
    width=st.integers(1, 65535),
    height=st.integers(1, 65535),
    rate=st.integers(0, 252),
    grey=st.booleans(),
)
contents = st.binary(max_size=300)
part_lists = st.builds(
    lambda image, others: [Part("image", image), *(Part(k, others[k]) for k in sorted(others))],
    contents,
    st.dictionaries(st.sampled_from(sorted(PART_KINDS.keys() - {"image"})), contents),
)


@given(headers, part_lists)
def test_files_round_trip(header: Header, parts: list[Part]) -> None:
    data = container.write(header, parts)
    file = container.read(data)
    assert file.header == header
    assert sorted(file.parts, key=lambda p: p.kind) == sorted(parts, key=lambda p: p.kind)
    assert container.write(file.header, file.parts) == data


@given(headers, part_lists)
def test_a_prefix_is_enough_to_probe(header: Header, parts: list[Part]) -> None:
    data = container.write(header, parts)
    info = container.probe(data[:HEADER_LIMIT], len(data))
    assert info == container.probe(data)
    assert info.header == header
    assert info.bytes == len(data)
    assert info.header_bytes <= HEADER_LIMIT
    file = container.read(data)
    for part in info.parts:
        assert data[part.offset : part.offset + part.bytes] == file.part(part.name)


def test_the_longest_header_fills_the_limit() -> None:
    longest = Header("a" * 23, bytes(4), 65535, 65535, 252)
    data = container.write(longest, [Part(kind, b"") for kind in PART_KINDS])
    header_bytes = container.probe(data).header_bytes
    assert header_bytes + len(PART_KINDS) * 4 == HEADER_LIMIT  # lengths of one byte, not five


@given(st.binary(max_size=80))
def test_any_bytes_raise_a_bitstream_error(data: bytes) -> None:
    with pytest.raises(BitstreamError):
        container.read(data)


@given(st.binary(max_size=80))
def test_any_bytes_after_a_valid_start_raise_a_bitstream_error(data: bytes) -> None:
    with pytest.raises(BitstreamError):
        container.read(SMALL[:18] + data)


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_a_file_cut_anywhere_is_truncated(length: int) -> None:
    with pytest.raises(TruncatedError):
        container.read(SMALL[:length])


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_a_cut_directory_or_a_short_file_is_seen_by_probe(length: int) -> None:
    with pytest.raises(TruncatedError):
        container.probe(SMALL[:length])


@pytest.mark.parametrize("byte", range(len(SMALL)))
def test_every_flipped_bit_is_an_error(byte: int) -> None:
    for bit in range(8):
        damaged = bytearray(SMALL)
        damaged[byte] ^= 1 << bit
        with pytest.raises(BitstreamError):
            container.read(bytes(damaged))


def test_trailing_bytes_are_corrupt() -> None:
    with pytest.raises(CorruptError, match="1 trailing bytes"):
        container.read(SMALL + b"\0")


def test_the_error_of_an_empty_file() -> None:
    with pytest.raises(TruncatedError, match="the file is empty"):
        container.probe(b"")


def test_something_else_is_not_a_qtl_file() -> None:
    with pytest.raises(CorruptError, match=r"starts with 89 50 4e 47, .*; name one that"):
        container.read(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(CorruptError, match=r"not a \.qtl file"):
        container.read(b"\x89P")


def test_an_empty_file_is_truncated() -> None:
    with pytest.raises(TruncatedError):
        container.read(b"")


def test_the_numbers_of_a_short_file_are_both_named() -> None:
    with pytest.raises(TruncatedError, match=f"has {len(SMALL) - 3} bytes.*{len(SMALL)}"):
        container.probe(SMALL[:-3])


def test_a_length_beyond_the_file_allocates_nothing() -> None:
    head = bytearray(SMALL[:23]) + bytes([1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])
    with pytest.raises(TruncatedError, match=str(2**32 - 1 + 29 + 4)):
        container.read(bytes(head) + bytes(100))


def test_checksums_are_plain_crc32_over_header_and_part() -> None:
    info = container.probe(SMALL)
    image = info.parts[0]
    end = image.offset + image.bytes
    expected = zlib.crc32(SMALL[: info.header_bytes] + SMALL[image.offset : end])
    assert int.from_bytes(SMALL[end : end + 4], "little") == expected


def test_a_newer_version_is_named() -> None:
    with pytest.raises(UnsupportedVersionError, match=r"version 2 found, expected 1.*update"):
        container.read(MAGIC + b"\x02" + SMALL[5:])


@pytest.mark.parametrize("size", [0, 1, 127, 128, 2**14, 2**21])
def test_a_picture_without_metadata_costs_at_most_32_bytes(size: int) -> None:
    data = container.write(HEADER, [Part("image", bytes(size))])
    assert len(data) - size <= 32


def test_even_a_large_payload_costs_at_most_32_bytes() -> None:
    # A length of 2^28 - 1 has four bytes; the payload is not created.
    one = container.probe(container.write(HEADER, [Part("image", b"")])).header_bytes
    assert one + 3 + 4 <= 32


def test_parts_are_written_in_the_order_of_the_directory() -> None:
    parts = [Part("xmp", b"x"), Part("image", b"i"), Part("icc", b"c")]
    file = container.read(container.write(HEADER, parts))
    assert [part.kind for part in file.parts] == ["image", "icc", "xmp"]
    assert file.part("icc") == b"c"
    assert file.part("alpha") is None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "no image part"),
        ([Part("icc", b"")], "no image part"),
        ([Part("image", b""), Part("image", b"")], "at most one"),
        ([Part("image", b""), Part("sound", b"")], "'sound' found"),
    ],
)
def test_invalid_parts_are_errors(parts: list[Part], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        container.write(HEADER, parts)


@pytest.mark.parametrize(
    ("directory", "error"),
    [
        (b"\x00\x00", CorruptError),  # kind 0
        (b"\x02\x00", CorruptError),  # no image part
        (b"\x81\x00\x01\x00", CorruptError),  # image twice
        (b"\x81\x00\x83\x00\x02\x00", CorruptError),  # falling kinds
        (b"\x81\x00\x06\x00", UnsupportedVersionError),  # a kind not known yet
        (b"\x01\x80\x00", CorruptError),  # a length that is not the shortest
        (b"\x01\xff\xff\xff\xff\x10", CorruptError),  # a length of 2^32 and more
        (b"\x01\x80\x80\x80\x80\x80\x01", CorruptError),  # a length of six bytes
    ],
)
def test_a_bad_directory_is_refused(directory: bytes, error: type[BitstreamError]) -> None:
    with pytest.raises(error):
        container.read(SMALL[:23] + directory + bytes(40))


def test_bpp_counts_the_whole_file() -> None:
    info = container.probe(SMALL)
    assert info.bpp == 8 * len(SMALL) / (640 * 480)
    assert info.quality == 60


def test_a_cut_file_has_the_start_of_its_image_part() -> None:
    image, exif = bytes(range(100)), b"exif"
    whole = container.write(HEADER, [container.Part("image", image), container.Part("exif", exif)])
    start = container.probe(whole).parts[0].offset
    for length in range(start, len(whole) + 1):
        cut = whole[:length]
        file = container.read(cut, cut=True)
        there = min(length - start, 100)
        assert file.part("image") == image[:there]
        assert file.missing == 100 - there
        assert file.part("exif") == (exif if length == len(whole) else None)
        assert file.cut == (length < len(whole))
        if file.cut:
            with pytest.raises(TruncatedError):
                container.read(cut)


def test_complete_parts_of_a_cut_file_are_checked() -> None:
    parts = [container.Part("image", b"coded"), container.Part("exif", b"exif")]
    data = bytearray(container.write(HEADER, parts)[:-2])
    data[container.probe(bytes(data), cut=True).parts[0].offset] ^= 1
    with pytest.raises(CorruptError, match="checksum"):
        container.read(bytes(data), cut=True)
    with pytest.raises(TruncatedError):
        container.read(bytes(data)[:5], cut=True)
