"""Lengths of parts of a stream: seven bits a byte, lowest first (LEB128), in as few as can be."""

from __future__ import annotations

from quantal.errors import CorruptError, TruncatedError

__all__ = ["put_length", "take_length"]

#: Bytes of a length, at most.
_LONGEST = 6


def put_length(value: int) -> bytes:
    """Return a length, from 0 on, as bytes."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def take_length(data: bytes, place: int, what: str) -> tuple[int, int]:
    """Return the length at a place, and the place behind it.

    Args:
        data: holds the length.
        place: where it begins.
        what: has this length, for errors.

    Raises:
        BitstreamError: If the data end before the length does, or it is not in its shortest form.
    """
    value = 0
    for number in range(_LONGEST):
        if place >= len(data):
            raise TruncatedError(f"the data end before the length of {what} does: they were cut")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            if not byte and number:
                break
            return value, place
    raise CorruptError(f"the length of {what} is written wrongly: the data are damaged")
