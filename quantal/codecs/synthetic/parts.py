"""The image part of a hybrid: a mark, the layer of synthetic tiles, the transforms' stream."""

from __future__ import annotations

from quantal.errors import CorruptError, TruncatedError

__all__ = ["holds_layer", "join", "split"]

#: The first byte of a hybrid's image part: no progressive stream begins with it.
_MARK = b"\0"
#: Bytes of a length, at most.
_LONGEST = 5


def holds_layer(payload: bytes) -> bool:
    """Return whether an image part is that of a hybrid."""
    return payload[:1] == _MARK


def join(layer: bytes, stream: bytes) -> bytes:
    """Return the image part of a layer and of the stream of the transforms."""
    length, left = bytearray(), len(layer)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    length.append(left)
    return _MARK + bytes(length) + layer + stream


def split(payload: bytes) -> tuple[bytes, bytes]:
    """Return the layer and the stream of an image part, or of its first bytes.

    Raises:
        BitstreamError: If there is no whole layer.
    """
    length = 0
    for place in range(1, 1 + _LONGEST):
        if place >= len(payload):
            break
        length |= (payload[place] & 127) << 7 * (place - 1)
        if payload[place] < 128:
            if payload[place] == 0 and place > 1:
                raise CorruptError("the length of a synthetic layer is padded: it was altered")
            start = place + 1
            if start + length > len(payload):
                break
            return payload[start : start + length], payload[start + length :]
    else:
        raise CorruptError("a synthetic layer has no length: it was altered")
    raise TruncatedError("a picture ends before its synthetic tiles do: it was cut")
