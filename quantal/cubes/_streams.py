"""Planes of levels to bytes and back, by FFV1 (lossless) and x265, through PyAV.

A stream is what the decoder needs to begin, then a packet for every frame, each behind its length.
Frames are decoded one by one; nothing is allocated that the packets do not justify.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from quantal.errors import CorruptError, OutputError

__all__ = ["BITS", "RATIO", "Plane", "decode_ffv1", "decode_x265", "encode_ffv1", "encode_x265"]
__all__ += ["COARSEST", "join_packets", "split_packets"]

Plane = NDArray[np.uint16]

BITS = (8, 10, 12)
"""Depths of x265."""
COARSEST = 51
"""The coarsest quantiser of x265."""
RATIO = {"ffv1": 512, "x265": 1024}
"""Values that a byte of a stream can stand for at most; what packs tighter is not written."""

_LENGTH = struct.Struct("<I")
_LEAST = 64  # a side of what x265 gets: smaller frames made it corrupt its memory
_SPARE = 128  # by which libavcodec may enlarge a side to align it
_DEPTHS = {8: "gray", 10: "gray10le", 12: "gray12le"}
#: One slice and contexts that last from frame to frame, which small frames need most.
_FFV1 = {"level": "3", "coder": "1", "context": "0", "slicecrc": "0"}
_SLICES = ("1", "4", "9", "16", "24", "30")  # large frames need more than one
_FRAMES = 1 << 30  # between frames at which contexts begin anew: never


def encode_ffv1(planes: Plane) -> bytes:
    """Code planes, uint16 [T, H, W], without loss."""
    for slices in _SLICES:
        coder = _encoder("ffv1", planes.shape[1:], "gray16le", {**_FFV1, "slices": slices})
        coder.gop_size = _FRAMES
        try:
            coder.open()
        except av.error.NotImplementedError:
            continue
        return _encode(planes, coder, bytes(coder.extradata or b""))
    raise OutputError(f"FFV1 takes no frames of {planes.shape[2]}x{planes.shape[1]}; split them")


def decode_ffv1(data: bytes, shape: tuple[int, int, int]) -> Iterator[Plane]:
    """Decode the planes of `encode_ffv1`, one [H, W] after the other.

    Raises:
        CorruptError: The bytes can't be those of so many planes of this size.
    """
    return _decode(data, shape, "ffv1", "ffv1", "gray16le", shape[1:])


def encode_x265(planes: Plane, bits: int, qp: int | None) -> bytes:
    """Code planes, uint16 [T, H, W].

    Args:
        planes: levels below 2^bits.
        bits: one of BITS.
        qp: the quantiser, 0 (finest) to COARSEST; None: lossless. x265 takes finer, negative ones
            of more than 8 bits too, but crashes with them.
    """
    _, height, width = planes.shape
    tall, wide = _padded(height, width)
    padding = ((0, 0), (0, tall - height), (0, wide - width))
    loss = "lossless=1" if qp is None else f"qp={qp}"
    # One thread: x265's pools and wavefronts are no help at these sizes, and a source of crashes.
    # With units of 64, its default, it reads memory that it never wrote: the same frames give other
    # bytes each time, and its lossless mode loses something of noise. With units of 32 it does not.
    fixed = (
        "log-level=none:info=0:ctu=32:pools=none:frame-threads=1:wpp=0:pmode=0:pme=0:keyint=-1:"
        "scenecut=0:aq-mode=0:cutree=0:psy-rd=0:psy-rdoq=0"
    )
    options = {"preset": "medium", "x265-params": f"{loss}:{fixed}"}
    coder = _encoder("libx265", (tall, wide), _DEPTHS[bits], options)
    return _encode(np.pad(planes, padding, mode="edge"), coder, b"")


def decode_x265(data: bytes, shape: tuple[int, int, int], bits: int) -> Iterator[Plane]:
    """Decode the planes of `encode_x265`, one [H, W] after the other.

    Raises:
        CorruptError: The bytes can't be those of so many planes of this size.
    """
    return _decode(data, shape, "x265", "hevc", _DEPTHS[bits], _padded(*shape[1:]))


def join_packets(head: bytes, packets: list[bytes]) -> bytes:
    """Return a stream of packets."""
    return b"".join(part for p in (head, *packets) for part in (_LENGTH.pack(len(p)), p))


def split_packets(data: bytes) -> tuple[bytes, list[bytes]]:
    """Return what `join_packets` joined; CorruptError for other bytes."""
    found, place = [], 0
    while place < len(data):
        end = place + _LENGTH.size
        if end <= len(data):
            end += _LENGTH.unpack_from(data, place)[0]
        if end > len(data):
            raise CorruptError("a stream ends inside a packet; the file is damaged")
        found.append(data[place + _LENGTH.size : end])
        place = end
    if not found:
        raise CorruptError("a stream has no packets; the file is damaged")
    return found[0], found[1:]


def _padded(height: int, width: int) -> tuple[int, int]:
    return max(height + height % 2, _LEAST), max(width + width % 2, _LEAST)


def _encoder(name: str, size: tuple[int, ...], pix_fmt: str, options: dict[str, str]) -> Any:
    try:
        coder: Any = av.CodecContext.create(name, "w")
    except ValueError as error:
        raise OutputError(f"this PyAV has no encoder {name}; pip install --upgrade av") from error
    coder.height, coder.width = size
    coder.pix_fmt, coder.time_base, coder.framerate = pix_fmt, Fraction(1, 25), Fraction(25)
    coder.thread_count, coder.options = 1, options
    return coder


def _encode(planes: Plane, coder: Any, head: bytes) -> bytes:
    dtype = np.uint8 if coder.pix_fmt == "gray" else np.uint16
    packets = []
    for number, plane in enumerate(planes):
        frame = av.VideoFrame(coder.width, coder.height, coder.pix_fmt)
        target = frame.planes[0]
        rows = np.zeros((target.buffer_size // target.line_size, target.line_size), np.uint8)
        rows.view(dtype)[: coder.height, : coder.width] = plane
        target.update(rows.tobytes())
        frame.pts = number
        packets += [bytes(packet) for packet in coder.encode(frame)]
    packets += [bytes(packet) for packet in coder.encode(None)]
    return join_packets(head, packets)


def _decode(
    data: bytes,
    shape: tuple[int, int, int],
    codec: str,
    decoder: str,
    pix_fmt: str,
    size: tuple[int, int],
) -> Iterator[Plane]:
    count, height, width = shape
    if count * height * width > RATIO[codec] * len(data):
        raise CorruptError(
            f"a stream of {len(data)} bytes found, too few for {count} frames of {width}x{height}"
        )
    head, packets = split_packets(data)
    if len(packets) != count:
        raise CorruptError(f"a stream has {len(packets)} packets, expected {count}")
    coder: Any = av.CodecContext.create(decoder, "r")
    coder.thread_count = 1
    coder.height, coder.width = size
    coder.options = {"max_pixels": str((size[0] + _SPARE) * (size[1] + _SPARE))}
    if head:
        coder.extradata = head
    seen = 0
    for packet in [*packets, None]:
        try:
            frames = coder.decode(None if packet is None else av.Packet(packet))
        except (av.error.FFmpegError, EOFError, ValueError) as error:
            raise CorruptError(f"a frame by {codec} can't be decoded: {error}") from error
        for frame in frames:
            if (frame.height, frame.width, frame.format.name) != (*size, pix_fmt):
                raise CorruptError(
                    f"a frame of {frame.width}x{frame.height} {frame.format.name} found, expected "
                    f"{size[1]}x{size[0]} {pix_fmt}"
                )
            seen += 1
            yield _samples(frame)[:height, :width]
    if seen != count:
        raise CorruptError(f"{seen} frames decoded, expected {count}")


def _samples(frame: Any) -> Plane:
    plane = frame.planes[0]
    dtype = np.uint8 if frame.format.name == "gray" else np.uint16
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).view(dtype)
    return rows[: frame.height, : frame.width].astype(np.uint16)
