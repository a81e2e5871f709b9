"""The contents of chunks: groups, tracks, packets, tags and chapters, and the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import groupby
from typing import TypeVar

from quantal.container._clip_fields import (
    CHAPTER_FIELDS,
    GROUP_FIELDS,
    GROUP_LIMIT,
    PACKETS_FIELDS,
    TRACK_FIELDS,
)
from quantal.container._clip_model import (
    About,
    Chapter,
    CodedFrame,
    Group,
    Packet,
    Track,
    checked_group,
)
from quantal.container._field import read_fields, write_fields
from quantal.container._group_table import GroupInfo, GroupTable
from quantal.container._rate import RATES
from quantal.container._wire import Blob, Cursor, Signed, Sink, Tags, UInt, Varint
from quantal.errors import CorruptError, TruncatedError

__all__ = [
    "pack_about",
    "pack_group",
    "pack_index",
    "pack_packets",
    "pack_track",
    "parsed",
    "unpack_about",
    "unpack_group",
    "unpack_group_head",
    "unpack_index",
    "unpack_packets",
    "unpack_packets_head",
    "unpack_track",
]

T = TypeVar("T")

_ZERO = Fraction(0)
_U8, _SHORT, _LONG, _SIGNED, _TAGS, _BLOB = UInt(8), Varint(), Varint(64), Signed(), Tags(), Blob()
_DURATION = Varint(63)

#: What the flags of a packet say: 1 << n.
_KEY, _TIMED, _EXPECTED, _DECODED, _SAME, _STEADY = (1 << bit for bit in range(6))


@contextmanager
def _whole(payload: bytes, what: str) -> Iterator[Cursor]:
    """Give a cursor over a whole chunk, whose checksum is right; see parsed()."""
    cursor = Cursor(payload, what=what, place=what)
    try:
        yield cursor
    except TruncatedError as error:
        raise CorruptError(f"{error}: the {what} contradicts itself") from error
    left = len(payload) - cursor.position
    if left:
        raise CorruptError(f"{left} bytes at the end of the {what} belong to nothing")


def parsed(unpack: Callable[[Cursor], T], payload: bytes, what: str) -> T:
    """Unpack a whole chunk, whose checksum is right; CorruptError if it does not fit."""
    with _whole(payload, what) as cursor:
        return unpack(cursor)


def _sum(found: int) -> int:
    """Return a time or place that was added up; CorruptError if 64 bits do not hold it."""
    if not -1 << 63 <= found < 1 << 63:
        raise CorruptError(f"a time or place of {found} found, expected less than 2^63")
    return found


# -- groups ----------------------------------------------------------------------------------------


def pack_group(group: Group) -> bytes:
    """Encode a group: its head, durations in runs, rates, lengths, payloads."""
    sink = Sink()
    write_fields(GROUP_FIELDS, sink, checked_group(group))
    for duration, run in groupby(frame.duration for frame in group.frames):
        _SHORT.write(sink, len(list(run)))
        _DURATION.write(sink, duration)
    sink.put(bytes(frame.rate for frame in group.frames))
    for frame in group.frames:
        _SHORT.write(sink, len(frame.payload))
    return b"".join((sink.data, *(frame.payload for frame in group.frames)))


def unpack_group_head(cursor: Cursor, length: int) -> tuple[int, int, int]:
    """Return the number and time of the first frame, and the number of frames.

    Args:
        cursor: At the beginning of a group.
        length: Bytes of the whole group.
    """
    head = read_fields(GROUP_FIELDS, cursor)
    count, left = head["count"], length - cursor.position
    if 2 * count > left:  # a rate and a length take two bytes
        raise CorruptError(f"a group says {count} frames, its {left} bytes justify {left // 2}")
    return head["frame"], head["time"], count


def unpack_group(cursor: Cursor) -> Group:
    """Decode a group."""
    number, time, count = unpack_group_head(cursor, len(cursor.data))
    durations: list[int] = []
    while len(durations) < count:
        run, duration = _SHORT.read(cursor), _DURATION.read(cursor)
        if not 1 <= run <= count - len(durations) or not duration or duration in durations[-1:]:
            raise CorruptError(f"a run of {run} frames of {duration} ticks fits no group")
        durations += [duration] * run
    _sum(time + sum(durations))
    rates = cursor.take(count)
    if max(rates) not in RATES:
        raise CorruptError(f"rate {max(rates)} found, expected 0..{RATES[-1]}")
    lengths = [_SHORT.read(cursor) for _ in range(count)]
    payloads = [cursor.take(length) for length in lengths]
    return Group(number, time, tuple(map(CodedFrame, rates, durations, payloads)))


# -- tracks ----------------------------------------------------------------------------------------


def pack_track(track: Track) -> bytes:
    """Encode the description of a track."""
    sink = Sink()
    write_fields(TRACK_FIELDS, sink, track)
    return bytes(sink.data)


def unpack_track(cursor: Cursor) -> Track:
    """Decode the description of a track."""
    return Track(**read_fields(TRACK_FIELDS, cursor))


def pack_packets(track: int, packets: Sequence[Packet]) -> bytes:
    """Encode packets of one track; times that follow from the packet before take no bytes."""
    sink = Sink()
    for value in (track, len(packets)):
        _SHORT.write(sink, value)
    due, duration = 0, 0
    for packet in packets:
        flags = _flags_of(packet, due, duration)
        _U8.write(sink, flags)
        if packet.time is not None and not flags & _EXPECTED:
            _SIGNED.write(sink, packet.time - due)
        if packet.decode_time is not None and not flags & _SAME:
            _SIGNED.write(sink, packet.decode_time - due)
        if not flags & _STEADY:
            _DURATION.write(sink, packet.duration)
        _BLOB.write(sink, packet.data)
        due, duration = _due(due, packet), packet.duration
    return bytes(sink.data)


def unpack_packets_head(cursor: Cursor, length: int) -> tuple[int, int]:
    """Return the number of the track, and the number of packets.

    Args:
        cursor: At the beginning of a chunk of packets.
        length: Bytes of its whole content.
    """
    head = read_fields(PACKETS_FIELDS, cursor)
    count, left = head["count"], length - cursor.position
    if 2 * count > left:  # flags and a length
        raise CorruptError(f"{count} packets announced, {left} bytes justify {left // 2}")
    return head["track"], count


def unpack_packets(payload: bytes) -> Iterator[Packet]:
    """Decode packets one by one, so that memory does not depend on how many there are."""
    due, duration = 0, 0
    with _whole(payload, "packets") as cursor:
        _, count = unpack_packets_head(cursor, len(payload))
        for _ in range(count):
            packet = _unpack_packet(cursor, due, duration)
            yield packet
            due, duration = _due(due, packet), packet.duration


def _unpack_packet(cursor: Cursor, due: int, before: int) -> Packet:
    """Decode a packet; `due` and `before` are the time due and the duration of the one before."""
    flags = _U8.read(cursor)
    time = decode_time = None
    if flags & _TIMED:
        time = _sum(due if flags & _EXPECTED else due + _SIGNED.read(cursor))
    if flags & _DECODED:
        decode_time = time if flags & _SAME else _sum(due + _SIGNED.read(cursor))
    duration = before if flags & _STEADY else _DURATION.read(cursor)
    packet = Packet(_BLOB.read(cursor), time, decode_time, duration, bool(flags & _KEY))
    if flags != _flags_of(packet, due, before):
        raise CorruptError(f"flags {flags} found, not those of the shortest form of a packet")
    return packet


def _flags_of(packet: Packet, due: int, before: int) -> int:
    """Return the flags of a packet; `due` and `before` are as for _unpack_packet."""
    flags = _KEY if packet.key else 0
    flags |= _STEADY if packet.duration == before else 0
    if packet.time is not None:
        flags |= _TIMED | (_EXPECTED if packet.time == due else 0)
    if packet.decode_time is not None:
        flags |= _DECODED | (_SAME if packet.decode_time == packet.time else 0)
    return flags


def _due(due: int, packet: Packet) -> int:
    """Return when the next packet is expected."""
    return (due if packet.time is None else packet.time) + packet.duration


# -- the whole clip --------------------------------------------------------------------------------


def pack_about(about: About) -> bytes:
    """Encode tags and chapters."""
    sink = Sink()
    _TAGS.write(sink, dict(about.metadata))
    _SHORT.write(sink, len(about.chapters))
    for chapter in about.chapters:
        write_fields(CHAPTER_FIELDS, sink, chapter)
    return bytes(sink.data)


def unpack_about(cursor: Cursor) -> About:
    """Decode tags and chapters."""
    tags, count = _TAGS.read(cursor), _SHORT.read(cursor)
    if 5 * count > len(cursor.data) - cursor.position:  # two fractions and a number of tags
        raise CorruptError(f"{count} chapters announced, the bytes hold fewer")
    found = (read_fields(CHAPTER_FIELDS, cursor) for _ in range(count))
    chapters = (
        Chapter(each["start"] or _ZERO, each["end"] or _ZERO, each["metadata"]) for each in found
    )
    return About(tags, tuple(chapters))


def pack_index(groups: Iterable[GroupInfo], end: int) -> bytes:
    """Encode the index: for each group bytes, ticks since the one before, and frames."""
    known = tuple(groups)
    sink = Sink()
    _SHORT.write(sink, len(known))
    offset = time = 0
    for group in known:
        _LONG.write(sink, group.offset - offset)
        _SIGNED.write(sink, group.time - time)
        _SHORT.write(sink, group.count)
        offset, time = group.offset, group.time
    _SIGNED.write(sink, end - time)
    return bytes(sink.data)


def unpack_index(cursor: Cursor) -> tuple[GroupTable, int]:
    """Decode the index; the second value is the time at which the clip ends."""
    number, left = _SHORT.read(cursor), len(cursor.data) - cursor.position
    if 3 * number > left:
        raise CorruptError(f"{number} groups announced, {left} bytes justify {left // 3}")
    groups = GroupTable()
    offset = time = count = 0
    for place in range(number):
        step, pause = _LONG.read(cursor), _SIGNED.read(cursor)
        if not step or (place and pause < count):  # a frame lasts a tick at least
            raise CorruptError("groups of the index do not follow each other")
        offset, time, count = _sum(offset + step), _sum(time + pause), _SHORT.read(cursor)
        if not 1 <= count <= GROUP_LIMIT:
            raise CorruptError(f"a group of {count} frames found, expected 1..{GROUP_LIMIT}")
        groups.append(offset, time, count)
    pause = _SIGNED.read(cursor)
    if pause < count or (pause and not number):
        raise CorruptError(f"the index ends {pause} ticks behind a group of {count} frames")
    return groups, _sum(time + pause)
