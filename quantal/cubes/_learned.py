"""Three bands as the colours of frames, coded by a codec of clips; the only use of torch here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantal.cubes._header import Stream
from quantal.cubes._streams import join_packets, split_packets
from quantal.errors import CorruptError

if TYPE_CHECKING:
    from quantal.codecs.video_contract import VideoCodec

__all__ = ["RATIO", "Frames", "check_frames", "decode_frames", "encode_frames", "load_codec"]
__all__ += ["codec_of", "rate_of"]

Frames = NDArray[np.uint8]

RATIO = 1024
"""Values that a byte can stand for at most; what packs tighter is not written."""
_PERIOD = 48  # frames from one that stands alone to the next


def load_codec(codec: Any, device: str, weights: Any) -> VideoCodec:
    """Return a codec of clips by name, or the one that was given."""
    from quantal.files.matching import video_codec

    return video_codec(codec, device, weights)


def codec_of(
    stream: Stream, device: str, weights: Any, codec: VideoCodec | None = None
) -> VideoCodec:
    """Return the codec of clips that a stream needs.

    Raises:
        ModelError: It isn't here, or its weights are others.
    """
    from quantal.container import ClipHeader
    from quantal.files.matching import video_codec_for

    header = ClipHeader(stream.codec, bytes.fromhex(stream.model_hash), 1, 1, stream.rate)
    if codec is None and weights is not None:
        codec = load_codec(stream.codec, device, weights)
    return video_codec_for(header, device, codec)


def rate_of(quality: int) -> int:
    """Return the rate of a quality."""
    from quantal.container import quality_to_rate

    return quality_to_rate(quality)


def encode_frames(codec: VideoCodec, frames: Frames, rate: int) -> tuple[bytes, Frames]:
    """Code frames, uint8 [T, H, W, 3].

    Returns:
        The bytes, and the frames that a decoder gets.
    """
    _, height, width, _ = frames.shape
    payloads, drawn = [], np.empty_like(frames)
    group, before = None, None
    for number, pixels in enumerate(frames):
        if group is None or number % _PERIOD == 0:
            group = codec.group(width, height, rate)
            coded = group.frame(pixels).intra(rate)
        else:
            coded = group.frame(pixels).predicted(before, rate)
        before = coded.reference
        payloads.append(coded.payload)
        drawn[number] = before.pixels()
    return join_packets(b"", payloads), drawn


def decode_frames(
    codec: VideoCodec, data: bytes, shape: tuple[int, int, int], rate: int
) -> Iterator[Frames]:
    """Decode the frames of `encode_frames`, one [H, W, 3] after the other.

    Raises:
        BitstreamError: The bytes can't be those of so many frames of this size.
    """
    _, height, width = shape
    before = None
    for number, payload in enumerate(_payloads(data, shape)):
        if number % _PERIOD == 0:
            before = codec.decode_intra(payload, width, height, rate)
        else:
            before = codec.decode_predicted(payload, before, rate)
        yield before.pixels()


def check_frames(codec: VideoCodec, data: bytes, shape: tuple[int, int, int], rate: int) -> None:
    """Read every symbol; BitstreamError if that fails."""
    _, height, width = shape
    before: Any = None
    for number, payload in enumerate(_payloads(data, shape)):
        if number % _PERIOD == 0:
            before = codec.parse_intra(payload, width, height, rate)
        else:
            before = codec.parse_predicted(payload, before, rate)


def _payloads(data: bytes, shape: tuple[int, int, int]) -> list[bytes]:
    count, height, width = shape
    if count * height * width > RATIO * len(data):
        raise CorruptError(
            f"a stream of {len(data)} bytes found, too few for {count} frames of {width}x{height}"
        )
    _, payloads = split_packets(data)
    if len(payloads) != count:
        raise CorruptError(f"a stream has {len(payloads)} frames, expected {count}")
    return payloads
