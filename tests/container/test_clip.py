"""Clips: what is written is read, from pipes too; cut, damaged and made up files are harmless."""

from __future__ import annotations

import io
import zlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantal.container import (
    About,
    Chapter,
    ClipHeader,
    ClipReader,
    ClipWriter,
    CodedFrame,
    Group,
    Packet,
    Track,
    describe,
    media_of,
    probe,
    probe_clip,
)
from quantal.container._chunks import pack_chunk
from quantal.container._clip_fields import CLIP_HEADER_LIMIT, pack_clip_header
from quantal.container._wire import Cursor, Ratio, Signed, Sink, Tags
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    TruncatedError,
    UnsupportedVersionError,
)

HEADER = ClipHeader(
    "video-m",
    bytes(range(4)),
    640,
    360,
    150,
    time_base=Fraction(1, 24),
    frame_rate=Fraction(24),
    full_range=False,
)
SOUND = Track(3, "audio", "aac", Fraction(1, 48000), b"parameters", {"language": "eng"}, 1)
FONT = Track(7, "attachment", "font/ttf", Fraction(1, 1000), b"content")
ABOUT = About({"title": "Über"}, (Chapter(Fraction(0), Fraction(3, 2), {"title": "one"}),))
PACKETS = tuple(Packet(bytes([i]) * 20, 1024 * i, 1024 * i, 1024) for i in range(30))


def groups(count: int = 3, frames: int = 4) -> list[Group]:
    coded = tuple(CodedFrame(100 + i, 1, bytes([i]) * 50) for i in range(frames))
    return [Group(frames * n, frames * n - 2, coded) for n in range(count)]


class Pipe(io.BytesIO):
    """A file that is written without going back."""

    def seek(self, *_: int) -> int:
        raise OSError("a pipe can't be sought")


def written(made: list[Group] | None = None) -> bytes:
    file = Pipe()
    writer = ClipWriter(file, HEADER, [SOUND, FONT], ABOUT)
    for number, group in enumerate(groups() if made is None else made):
        writer.packets(3, PACKETS[10 * number : 10 * number + 10])
        writer.group(group)
    writer.finish()
    return file.getvalue()


WHOLE = written()


def reader(data: bytes) -> ClipReader:
    return ClipReader(io.BytesIO(data))


def test_what_is_written_is_read() -> None:
    clip = reader(WHOLE)
    assert (clip.header, clip.tracks, clip.about) == (HEADER, (SOUND, FONT), ABOUT)
    assert list(clip.groups()) == groups()
    assert tuple(clip.packets(3)) == PACKETS
    assert not list(clip.packets(7))


def test_the_index_leads_to_every_group() -> None:
    clip = reader(WHOLE)
    assert clip.index is not None
    assert clip.end == groups()[-1].end
    for place, info in enumerate(clip.index):
        assert list(clip.groups(info)) == groups()[place:]
    assert [clip.find(time).frame for time in (-99, -2, 1, 2, 99)] == [0, 0, 0, 4, 8]


def test_a_listing_has_everything() -> None:
    info = probe_clip(io.BytesIO(WHOLE))
    assert info.frames == 12
    assert info.duration == Fraction(1, 2)
    assert [track.packets for track in info.tracks] == [30, 0]
    parts = info.picture_bytes + info.tracks[0].bytes
    assert parts < info.bytes < parts + 250
    assert info.index is not None
    assert info.bpp == 8 * info.picture_bytes / (640 * 360 * 12)


def test_a_listing_without_the_index_is_the_same() -> None:
    info, cut = probe_clip(io.BytesIO(WHOLE)), probe_clip(io.BytesIO(WHOLE[:-9]))
    assert cut.index is None
    assert (cut.groups, cut.end, cut.tracks) == (info.groups, info.end, info.tracks)


def test_a_file_says_what_it_holds() -> None:
    assert media_of(WHOLE) == "video"
    with pytest.raises(BitstreamError, match="holds a clip"):
        probe(WHOLE)
    assert "time_base" in {value.name for value in describe(HEADER)}


def test_a_group_of_usual_frames_costs_some_three_bytes_a_frame() -> None:
    coded = tuple(CodedFrame(150, 1001, bytes(800)) for _ in range(48))
    one, two = (
        len(written([Group(48 * n, 48048 * n, coded) for n in range(count)])) for count in (3, 4)
    )
    assert (two - one - 48 * 800) / 48 < 3.6


@pytest.mark.parametrize("length", range(0, len(WHOLE) - 8, 41))
def test_a_cut_file_gives_its_whole_groups(length: int) -> None:
    found = []
    with pytest.raises(TruncatedError):
        for group in reader(WHOLE[:length]).groups():
            found.append(group)
    ends = [info.offset + (info.bytes or 0) for info in probe_clip(io.BytesIO(WHOLE)).groups]
    assert found == groups()[: sum(end <= length for end in ends)]


@pytest.mark.parametrize("place", range(0, len(WHOLE), 13))
def test_a_flipped_bit_is_found_out(place: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] ^= 1 << place % 8
    try:
        clip = reader(bytes(damaged))
        indexed = clip.index is not None
        assert list(clip.groups()) == groups()
        assert tuple(clip.packets(3)) == PACKETS
    except BitstreamError:
        return
    assert not indexed  # what is damaged is the index, a copy of what groups say


def test_a_wrong_index_is_not_believed() -> None:
    clip = reader(WHOLE)
    assert clip.index is not None
    wrong = clip.index[1]
    for offset in (clip.index[2].offset, wrong.offset + 1, 10**15):
        moved = type(wrong)(offset, wrong.frame, wrong.time, wrong.count)
        with pytest.raises(BitstreamError):
            list(clip.groups(moved))


def chunked(kind: int, content: bytes) -> bytes:
    """The beginning of a clip, then a chunk whose checksum is right."""
    head = pack_clip_header(HEADER)
    seed = zlib.crc32(head)
    chunk = bytearray(pack_chunk("group", content, 0)[:-4])
    chunk[0] = kind
    checksum = zlib.crc32(chunk, seed).to_bytes(4, "little")
    return head + seed.to_bytes(4, "little") + bytes(chunk) + checksum


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends inside its"),
        (b"\0\0\0", "0 frames"),
        (b"\0\0\xff\xff\xff\xff\x0f" + bytes(10), "4294967295 frames"),
        (b"\0\0\1\0\1\1\1", "run of 0"),
        (b"\0\0\1\1\0\1\1", "of 0 ticks"),
        (b"\0\0\2\1\1\1\1\0\0\0\0\0", "fits no group"),
        (b"\0\0\1\1\1\xfd\0", "rate 253"),
        (b"\0\0\1\1\1\1\xff\xff\xff\xff\x0f", "ends inside"),
        (b"\0\0\1\1\1\1\0\0", "belong to nothing"),
        (b"\1\0\1\1\1\1\0", "expected frame 0"),
    ],
)
def test_a_group_that_its_bytes_do_not_justify_is_corrupt(content: bytes, why: str) -> None:
    with pytest.raises(CorruptError, match=why):
        list(reader(chunked(4, content)).groups())


def test_a_kind_of_chunk_from_the_future_asks_for_an_update() -> None:
    with pytest.raises(UnsupportedVersionError, match="update"):
        list(reader(chunked(6, b"")).groups())


def test_a_length_that_is_not_there_takes_no_memory() -> None:
    head = chunked(4, b"")[: len(pack_clip_header(HEADER)) + 4]
    with pytest.raises(TruncatedError, match=r"announces 4294967305 bytes, 106 are"):
        list(reader(head + b"\4\xff\xff\xff\xff\x0f" + bytes(100)).groups())


@given(st.binary(max_size=60), st.integers(1, 5))
def test_chunks_of_random_bytes_raise_errors_of_ours(content: bytes, kind: int) -> None:
    for work in (lambda clip: list(clip.groups()), lambda clip: list(clip.packets(0))):
        try:
            clip = reader(chunked(kind, content))
            work(clip)
            clip.scan()
        except BitstreamError:
            pass


def test_what_does_not_follow_is_not_written() -> None:
    writer = ClipWriter(io.BytesIO(), HEADER, [SOUND])
    first, second, _ = groups()
    writer.group(first)
    for wrong in (first, Group(4, -1, second.frames), Group(4, 2, ())):
        with pytest.raises(ArgumentError):
            writer.group(wrong)
    with pytest.raises(ArgumentError, match="no track 9"):
        writer.packets(9, PACKETS)


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_signed_numbers_round_trip(value: int) -> None:
    sink = Sink()
    Signed().write(sink, value)
    assert Signed().read(Cursor(bytes(sink.data))) == value


@pytest.mark.parametrize("data", [b"\0\1", b"\1\0", b"\2\4", b"\0\2"])
def test_fractions_have_one_form(data: bytes) -> None:
    with pytest.raises(CorruptError):
        Ratio().read(Cursor(data))


def test_tags_are_bounded_and_distinct() -> None:
    for data in (b"\xff\xff\xff\xff\x0f", b"\2\1a\0\1a\0", b"\1\1\xff\0"):
        with pytest.raises(BitstreamError):
            Tags().read(Cursor(data))


packets = st.builds(
    Packet,
    st.binary(max_size=5),
    st.none() | st.integers(-(1 << 40), 1 << 40),
    st.none() | st.integers(-(1 << 40), 1 << 40),
    st.integers(0, 1 << 40),
    st.booleans(),
)


@given(st.lists(packets, min_size=1, max_size=8))
def test_packets_of_any_times_round_trip(some: list[Packet]) -> None:
    file = io.BytesIO()
    writer = ClipWriter(file, HEADER, [SOUND])
    writer.packets(3, some)
    writer.finish()
    assert list(reader(file.getvalue()).packets(3)) == some


def test_the_longest_header_fits_the_limit() -> None:
    big = Fraction((1 << 32) - 1, (1 << 32) - 2)
    header = ClipHeader(
        "a" * 23, bytes(4), 1, 1, 0, time_base=big, frame_rate=big, sample_aspect=big
    )
    assert len(pack_clip_header(header)) == CLIP_HEADER_LIMIT
    file = io.BytesIO()
    ClipWriter(file, header).finish()
    assert reader(file.getvalue()).header == header
