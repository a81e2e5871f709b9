"""Damaged clips: frames of the header's size or an error of ours must come of each."""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice

import numpy as np

from quantal import container
from quantal.errors import QuantalError
from quantal.files import StoredClip, compress_clip, verify_clip
from tests.little_video import LittleVideo

from .coded import scene
from .limits import HANG, MEGAPIXEL, SECONDS, Fault
from .mutations import GENERAL, Mutation, Random

__all__ = ["cases", "outcome", "sample_clips"]

CODEC = LittleVideo()
_MOST = 60  # frames that are drawn of a file


def sample_clips() -> list[bytes]:
    """Small files: several groups, one frame, one pixel, sound, chapters, no frames."""
    films = [
        ((12, 40, 56), 5),
        ((1, 16, 16), 48),
        ((3, 1, 1), 2),
    ]
    found = []
    for (count, height, width), period in films:
        frames = [np.roll(scene(width, height), 2 * n, axis=1) for n in range(count)]
        found.append(compress_clip(frames, CODEC, quality=40, intra_period=period))
    reader = container.ClipReader(io.BytesIO(found[0]))
    tracks = [
        container.Track(1, "audio", "aac", Fraction(1, 48000), b"parameters", {"language": "eng"}),
        container.Track(2, "attachment", "font/ttf", Fraction(1, 1000), b"content"),
    ]
    chapter = container.Chapter(Fraction(0), Fraction(1, 5), {"title": "one"})
    for groups in (list(reader.groups()), []):
        file = io.BytesIO()
        about = container.About({"title": "film"}, (chapter,))
        writer = container.ClipWriter(file, reader.header, tracks, about)
        for number, group in enumerate(groups):
            times = range(9600 * number, 9600 * number + 9600, 1024)
            writer.packets(1, [container.Packet(b"sound", t, t, 1024) for t in times])
            writer.group(group)
        writer.finish()
        found.append(file.getvalue())
    return found


def repaired(data: bytes) -> bytes:
    """The same file with right checksums, as far as its chunks can be followed."""
    try:
        container.probe_clip(io.BytesIO(data))
        header_bytes = container.ClipReader(io.BytesIO(data)).header_bytes
    except QuantalError:
        header_bytes = _header_bytes(data)
    fixed = bytearray(data)
    if header_bytes is None:
        return data
    seed = zlib.crc32(fixed[: header_bytes - 4])
    fixed[header_bytes - 4 : header_bytes] = seed.to_bytes(4, "little")
    place = header_bytes
    while place + 6 < len(fixed):
        length, shift, start = 0, 0, place + 1
        while shift < 35 and start < len(fixed):
            byte = fixed[start]
            length |= (byte & 0x7F) << shift
            shift, start = shift + 7, start + 1
            if byte < 0x80:
                break
        end = start + length
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = zlib.crc32(fixed[place:end], seed).to_bytes(4, "little")
        place = end + 4
    return bytes(fixed)


def _header_bytes(data: bytes) -> int | None:
    """The length of the header, if all of its fields can be read."""
    from quantal.container._clip_fields import unpack_clip_header
    from quantal.container._wire import Cursor

    cursor = Cursor(data)
    try:
        unpack_clip_header(cursor)
    except QuantalError:
        return None
    return cursor.position + 4


def exchange_frames(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    """Other payloads, rates, times and sizes, in a file that is well-formed."""
    reader = container.ClipReader(io.BytesIO(data))
    groups, file = list(reader.groups()), io.BytesIO()
    header = reader.header
    if rng.random() < 0.4:
        sides = (1, 2, 17, 64, 255, 1000, 4096, 65535)
        header = container.ClipHeader(
            rng.choice((header.codec, "video-m", "hyperprior")),
            rng.choice((header.model_hash, bytes(4))),
            rng.choice(sides),
            rng.choice(sides),
            header.rate,
        )
    writer = container.ClipWriter(file, header)
    for group in groups:
        frames = [
            container.CodedFrame(
                rng.choice((frame.rate, 0, 252)),
                rng.choice((frame.duration, 1, (1 << 40) - 1)),
                rng.choice((frame.payload, b"", rng.randbytes(40), frame.payload[:-3])),
            )
            for frame in group.frames
        ]
        writer.group(container.Group(writer.frames, writer._end, tuple(frames)))
    writer.finish()
    return file.getvalue()


MUTATIONS: tuple[Mutation, ...] = (*GENERAL, exchange_frames)


def outcome(data: bytes) -> str:
    """Read a file in every way: "clip", or the name of the error of ours; Fault for all else."""
    started = time.process_time()
    try:
        result = _play(data)
    except QuantalError as error:
        result = type(error).__name__
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error
    seconds = time.process_time() - started
    if seconds > 2 * SECONDS + _megapixels(data):
        raise Fault(f"{seconds:.1f} s of processor time")
    return result


def _play(data: bytes) -> str:
    with StoredClip(data, "cpu", CODEC) as clip:
        size = (clip.header.height, clip.header.width, 3)
        for frame in islice(clip, _MOST):
            if frame.pixels.shape != size:
                raise Fault(f"{frame.pixels.shape} pixels for a header of {size}")
        for track in clip.tracks:
            for _ in clip.packets(track):
                pass
        for at in (-(1 << 40), 3, 1 << 40):
            clip.seek(at)
            next(clip)
        if clip.n_frames:
            clip.seek_frame(clip.n_frames - 1)
            next(clip)
        was_cut = bool(clip.warnings)
    verify_clip(data, codec=CODEC)
    return "cut clip" if was_cut else "clip"


def _megapixels(data: bytes) -> float:
    try:
        header = container.ClipReader(io.BytesIO(data)).header
    except QuantalError:
        return 0.0
    return min(_MOST * header.width * header.height / MEGAPIXEL, HANG)


def cases(seed: int, files: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Endless (what was done, damaged file)."""
    rng = Random(seed)
    while True:
        data, done = rng.choice(files), []
        for mutate in rng.choices(MUTATIONS, k=rng.choice((1, 1, 1, 2))):
            try:
                data = mutate(rng, data, files)
            except (QuantalError, ValueError):  # too damaged already for this one
                break
            done.append(mutate.__name__)
        if rng.random() < 0.5:
            data = repaired(data)
            done.append("repaired")
        yield " + ".join(done), data
