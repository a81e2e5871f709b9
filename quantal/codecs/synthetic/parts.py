"""The image part of a hybrid: a mark, the layer of synthetic tiles, the transforms' stream."""

from __future__ import annotations

from quantal.entropy.lengths import put_length, take_length
from quantal.errors import TruncatedError

__all__ = ["holds_layer", "join", "split"]

#: The first byte of a hybrid's image part: no progressive stream begins with it.
_MARK = b"\0"


def holds_layer(payload: bytes) -> bool:
    """Return whether an image part is that of a hybrid."""
    return payload[:1] == _MARK


def join(layer: bytes, stream: bytes) -> bytes:
    """Return the image part of a layer and of the stream of the transforms."""
    return _MARK + put_length(len(layer)) + layer + stream


def split(payload: bytes) -> tuple[bytes, bytes]:
    """Return the layer and the stream of an image part, or of its first bytes.

    Raises:
        BitstreamError: If there is no whole layer.
    """
    length, start = take_length(payload, len(_MARK), "a synthetic layer")
    if start + length > len(payload):
        raise TruncatedError("a picture ends before its synthetic tiles do: it was cut")
    return payload[start : start + length], payload[start + length :]
