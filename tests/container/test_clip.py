"""Clips: what is written is read, from pipes too; cut, damaged and made up files are harmless."""

from __future__ import annotations

import io
import tracemalloc
import zlib
from collections.abc import Iterable
from dataclasses import replace
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
    GroupInfo,
    Packet,
    Track,
    describe,
    media_of,
    probe,
    probe_clip,
)
from quantal.container._chunks import pack_chunk
from quantal.container._clip_fields import CLIP_HEADER_LIMIT, pack_clip_header
from quantal.container._clip_writer import TRAILER_MAGIC
from quantal.container._records import pack_group, pack_index
from quantal.container._wire import Cursor, Ratio, Signed, Sink, Tags
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    MediaError,
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


def with_index(data: bytes, index: Iterable[GroupInfo], end: int) -> bytes:
    """A whole clip with another index, whose checksum is right."""
    info = probe_clip(io.BytesIO(data))
    assert info.index is not None
    seed = zlib.crc32(data[: info.header_bytes - 4])
    chunk = pack_chunk("end", pack_index(index, end), seed)
    return data[: info.index[0]] + chunk + len(chunk).to_bytes(4, "little") + TRAILER_MAGIC


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


def indexed() -> list[GroupInfo]:
    index = reader(WHOLE).index
    assert index is not None
    return list(index)


END = groups()[-1].end


@pytest.mark.parametrize(
    "index",
    [
        [replace(each, offset=each.offset + 1) for each in indexed()],
        [replace(indexed()[0], count=2), *indexed()[1:]],
        [replace(each, time=each.time + 1) for each in indexed()],
        indexed()[1:],
    ],
)
def test_where_the_index_misleads_the_file_is_looked_through(index: list[GroupInfo]) -> None:
    for number in (0, 5, 11):
        clip = reader(with_index(WHOLE, index, END + 1))
        if number < sum(info.count for info in index):
            assert next(clip.groups_at_frame(number)) == groups()[number // 4]
    for time in (-9, 3, 9):
        clip = reader(with_index(WHOLE, index, END + 1))
        assert next(clip.groups_at(time)) == groups()[max(0, (time + 2) // 4)]
    assert clip.misled


def test_frames_that_only_the_index_has_do_not_exist() -> None:
    index = [*indexed()[:2], replace(indexed()[2], count=400)]
    clip = reader(with_index(WHOLE, index, END + 400))
    with pytest.raises(ArgumentError, match="no frame 12; the clip has 12"):
        clip.groups_at_frame(12)
    assert clip.known_groups().frames == 12


@pytest.mark.parametrize("place", [0, 1, 9, 40])
@pytest.mark.parametrize("bit", range(8))
def test_a_damaged_group_does_not_take_the_index_away(place: int, bit: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[indexed()[1].offset + place] ^= 1 << bit
    clip = reader(bytes(damaged))
    with pytest.raises(BitstreamError):
        clip.groups_at_frame(5)
    assert not clip.misled
    for number in (3, 8):
        assert next(clip.groups_at_frame(number)) == groups()[number // 4]


def test_numbers_of_frames_are_added_up_where_there_is_no_index() -> None:
    file = io.BytesIO()
    writer = ClipWriter(file, HEADER)
    for group in (groups()[0], replace(groups()[1], frame=2)):
        writer._chunk("group", pack_group(group))
    clip = reader(file.getvalue())
    assert clip.known_groups().frames == 8
    with pytest.raises(CorruptError, match="groups were lost"):
        clip.groups_at_frame(7)


def test_a_listing_needs_no_content_of_groups() -> None:
    damaged = bytearray(WHOLE)
    last = indexed()[-1]
    damaged[last.offset + 60] ^= 1
    whole, cut = probe_clip(io.BytesIO(damaged)), probe_clip(io.BytesIO(damaged[:-9]))
    assert (whole.frames, whole.end) == (12, END)
    assert (cut.frames, cut.end) == (12, None)


def test_an_index_without_groups_is_one_of_a_clip_without_them() -> None:
    clip = reader(with_index(WHOLE, [], 0))
    assert clip.index is None
    assert clip.find(3).frame == 4
    empty = reader(written([]))
    assert empty.index is not None
    assert not empty.index
    with pytest.raises(TruncatedError, match="no whole group"):
        empty.groups_at(0)


@pytest.mark.parametrize("end", [-5, END - 9])
def test_an_index_that_ends_before_its_groups_is_none(end: int) -> None:
    assert reader(with_index(WHOLE, indexed(), end)).index is None
    assert reader(with_index(WHOLE, [], -5)).index is None


def test_an_index_takes_no_more_memory_than_its_bytes_justify() -> None:
    count = 20_000
    file = io.BytesIO()
    writer = ClipWriter(file, HEADER, [SOUND])
    writer.packets(3, [Packet(bytes(3 * count), 0, 0)])
    begin = writer.bytes
    table = (GroupInfo(100 + n, n, n, 1) for n in range(count))
    writer._chunk("end", pack_index(table, count))
    writer._put((writer.bytes - begin).to_bytes(4, "little") + TRAILER_MAGIC)
    data = file.getvalue()
    tracemalloc.start()
    clip = reader(data)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert clip.index is not None
    assert len(clip.index) == count
    assert taken < 20 * 3 * count  # 40 bytes for 3


@pytest.mark.parametrize(
    "other",
    [
        with_index(WHOLE, indexed(), END + 7),
        with_index(WHOLE, indexed()[:2], END),
        WHOLE[: probe_clip(io.BytesIO(WHOLE)).bytes - 8] + b"junk" + WHOLE[-8:],
    ],
)
def test_an_index_is_checked_against_the_file(other: bytes) -> None:
    assert reader(WHOLE).check_index() == probe_clip(io.BytesIO(WHOLE))
    with pytest.raises(CorruptError, match="index"):
        reader(other).check_index()


def test_bytes_between_two_indices_are_found_out() -> None:
    info = probe_clip(io.BytesIO(WHOLE))
    assert info.index is not None
    place, size = info.index
    twice = WHOLE[: place + size] + b"junk" + WHOLE[place:]
    assert reader(twice).index is not None
    with pytest.raises(CorruptError, match="index"):
        reader(twice).check_index()


def chunked(kind: int, content: bytes, tracks: list[Track] | None = None) -> bytes:
    """The beginning of a clip, then a chunk whose checksum is right."""
    file = io.BytesIO()
    ClipWriter(file, HEADER, tracks or [])
    seed = zlib.crc32(pack_clip_header(HEADER))
    chunk = bytearray(pack_chunk("group", content, 0)[:-4])
    chunk[0] = kind
    checksum = zlib.crc32(chunk, seed).to_bytes(4, "little")
    return file.getvalue() + bytes(chunk) + checksum


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends inside its"),
        (b"\0\0\0", "count 0 found"),
        (b"\0\0\xff\xff\xff\xff\x0f" + bytes(10), "count 4294967295 found"),
        (b"\0\0\x81\x20" + bytes(9000), r"count 4097 found, expected 1\.\.4096"),
        (b"\0\0\3\3\1\1\1", "3 frames, its 4 bytes justify 2"),
        (b"\0\x0a\1\1" + b"\xff" * 8 + b"\x7f\1\0", "expected less than 2"),
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


@pytest.mark.parametrize("content", [b"\0", b"\0\0\x14\0" + bytes(20)])
def test_a_head_that_contradicts_its_chunk_is_no_cut(content: bytes) -> None:
    begin = reader(chunked(4, b"")).header_bytes
    with pytest.raises(CorruptError):
        reader(chunked(4, content) + chunked(4, pack_group(groups()[0]))[begin:]).scan()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "contradicts itself"),
        (b"\7\1\1\0", "track 7 found, which the file lacks"),
        (b"\3\2\1\0", "justify 1"),
        (b"\3\1\x60\0", "flags 96 found"),
        (b"\3\1\x24\1a", "shortest"),  # due, without a time
        (b"\3\1\x30\1a", "shortest"),  # decoded at its time, without one
        (b"\3\1\x32\0\1a", "shortest"),
        (b"\3\1\x22\0\1a", "shortest"),  # a step of zero
        (b"\3\1\x2e\0\1a", "shortest"),  # a time of decoding that is the time
        (b"\3\1\6\0\1a", "shortest"),  # a duration as before
        (b"\3\1\6" + b"\xff" * 9 + b"\1\1a", "runs over 9 bytes"),
        (b"\3\1\x22" + b"\xff" * 9 + b"\1\1ab", "belong to nothing"),
        (b"\3\2" + b"\6" + b"\xff" * 8 + b"\x7f\0" + b"\x22\2\0", "expected less than 2"),
    ],
)
def test_packets_have_one_form_and_a_track(content: bytes, why: str) -> None:
    with pytest.raises(CorruptError, match=why):
        for _, packets in reader(chunked(3, content, [SOUND])).all_packets():
            list(packets)


def test_a_clip_is_in_colour() -> None:
    head = bytearray(pack_clip_header(HEADER))
    head[head.index(bytes(range(4))) + 4] |= 1 << 4
    with pytest.raises(CorruptError, match="grey"):
        reader(bytes(head) + zlib.crc32(head).to_bytes(4, "little"))


def test_a_disk_that_fails_is_an_error_of_ours() -> None:
    class Failing(io.BytesIO):
        def read(self, *count: int | None) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(MediaError, match="can't be read: Input/output error"):
        probe_clip(Failing(WHOLE))


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


@pytest.mark.parametrize("data", [b"\0\1", b"\1\0", b"\2\4", b"\0\2", b"\1\x80\x80\x80\x80\x08"])
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
    big = Fraction((1 << 31) - 1, (1 << 31) - 2)
    header = ClipHeader(
        "a" * 23, bytes(4), 1, 1, 0, time_base=big, frame_rate=big, sample_aspect=big
    )
    assert len(pack_clip_header(header)) == CLIP_HEADER_LIMIT
    file = io.BytesIO()
    ClipWriter(file, header).finish()
    assert reader(file.getvalue()).header == header
    with pytest.raises(ArgumentError, match="2147483648 found"):
        pack_clip_header(replace(header, time_base=Fraction(1 << 31)))
