"""The contents of chunks: groups, tracks, packets, tags and chapters, and the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import groupby
from typing import TypeVar

from quantal.container._clip_fields import (
    CHAPTER_FIELDS,
    GROUP_FIELDS,
    PACKETS_FIELDS,
    TRACK_FIELDS,
)
from quantal.container._clip_model import (
    About,
    Chapter,
    CodedFrame,
    Group,
    GroupInfo,
    Packet,
    Track,
    checked_group,
)
from quantal.container._field import read_fields, write_fields
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
    "unpack_track",
]

T = TypeVar("T")

_ZERO = Fraction(0)
_U8, _SHORT, _LONG, _SIGNED, _TAGS, _BLOB = UInt(8), Varint(), Varint(64), Signed(), Tags(), Blob()

#: What the flags of a packet say: 1 << n.
_KEY, _TIMED, _EXPECTED, _DECODED, _SAME, _STEADY = (1 << bit for bit in range(6))
_FLAGS = (1 << 6) - 1


def parsed(unpack: Callable[[Cursor], T], payload: bytes, what: str) -> T:
    """Unpack a whole chunk, whose checksum is right; CorruptError if it does not fit."""
    cursor = Cursor(payload, what=what, place=what)
    try:
        found = unpack(cursor)
    except TruncatedError as error:
        raise CorruptError(f"{error}: the {what} contradicts itself") from error
    left = len(payload) - cursor.position
    if left:
        raise CorruptError(f"{left} bytes at the end of the {what} belong to nothing")
    return found


# -- groups ----------------------------------------------------------------------------------------


def pack_group(group: Group) -> bytes:
    """Encode a group: its head, durations in runs, rates, lengths, payloads."""
    sink = Sink()
    write_fields(GROUP_FIELDS, sink, checked_group(group))
    for duration, run in groupby(frame.duration for frame in group.frames):
        _SHORT.write(sink, len(list(run)))
        _LONG.write(sink, duration)
    sink.put(bytes(frame.rate for frame in group.frames))
    for frame in group.frames:
        _SHORT.write(sink, len(frame.payload))
    return b"".join((sink.data, *(frame.payload for frame in group.frames)))


def unpack_group_head(cursor: Cursor) -> tuple[int, int, int]:
    """Return the number and time of the first frame, and the number of frames."""
    head = read_fields(GROUP_FIELDS, cursor)
    return head["frame"], head["time"], head["count"]


def unpack_group(cursor: Cursor) -> Group:
    """Decode a group."""
    number, time, count = unpack_group_head(cursor)
    left = len(cursor.data) - cursor.position
    if not 1 <= count <= left // 2:  # a rate and a length take two bytes
        raise CorruptError(f"a group says {count} frames, its {left} bytes justify {left // 2}")
    durations: list[int] = []
    while len(durations) < count:
        run, duration = _SHORT.read(cursor), _LONG.read(cursor)
        if not 1 <= run <= count - len(durations) or not duration or duration in durations[-1:]:
            raise CorruptError(f"a run of {run} frames of {duration} ticks fits no group")
        durations += [duration] * run
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
        flags = _KEY if packet.key else 0
        flags |= _STEADY if packet.duration == duration else 0
        if packet.time is not None:
            flags |= _TIMED | (_EXPECTED if packet.time == due else 0)
        if packet.decode_time is not None:
            flags |= _DECODED | (_SAME if packet.decode_time == packet.time else 0)
        _U8.write(sink, flags)
        if packet.time is not None and not flags & _EXPECTED:
            _SIGNED.write(sink, packet.time - due)
        if packet.decode_time is not None and not flags & _SAME:
            _SIGNED.write(sink, packet.decode_time - due)
        if not flags & _STEADY:
            _LONG.write(sink, packet.duration)
        _BLOB.write(sink, packet.data)
        due, duration = _due(due, packet), packet.duration
    return bytes(sink.data)


def unpack_packets(cursor: Cursor) -> tuple[int, tuple[Packet, ...]]:
    """Decode packets, and the number of their track."""
    head = read_fields(PACKETS_FIELDS, cursor)
    count, left = head["count"], len(cursor.data) - cursor.position
    if 2 * count > left:  # flags and a length
        raise CorruptError(f"{count} packets announced, {left} bytes justify {left // 2}")
    packets: list[Packet] = []
    due, duration = 0, 0
    for _ in range(count):
        flags = _U8.read(cursor)
        if flags & ~_FLAGS:
            raise CorruptError(f"flags {flags} of a packet found, expected at most {_FLAGS}")
        time = decode_time = None
        if flags & _TIMED:
            time = due + (0 if flags & _EXPECTED else _SIGNED.read(cursor))
        if flags & _DECODED:
            decode_time = time if flags & _SAME else due + _SIGNED.read(cursor)
        if not flags & _STEADY:
            duration = _LONG.read(cursor)
        packet = Packet(_BLOB.read(cursor), time, decode_time, duration, bool(flags & _KEY))
        packets.append(packet)
        due = _due(due, packet)
    return head["track"], tuple(packets)


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


def unpack_index(cursor: Cursor) -> tuple[tuple[GroupInfo, ...], int]:
    """Decode the index; the second value is the time at which the clip ends."""
    count, left = _SHORT.read(cursor), len(cursor.data) - cursor.position
    if 3 * count > left:
        raise CorruptError(f"{count} groups announced, {left} bytes justify {left // 3}")
    groups: list[GroupInfo] = []
    offset = time = frame = 0
    for _ in range(count):
        step, pause, frames = _LONG.read(cursor), _SIGNED.read(cursor), _SHORT.read(cursor)
        if not step or not frames or (groups and pause <= 0):
            raise CorruptError("groups of the index do not follow each other")
        offset, time = offset + step, time + pause
        groups.append(GroupInfo(offset, frame, time, frames))
        frame += frames
    return tuple(groups), time + _SIGNED.read(cursor)
