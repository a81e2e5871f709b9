"""Damaged .qtl files: a picture of the header's size or an error of ours must come of each."""

from __future__ import annotations

import dataclasses
import time
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from quantal import container, media
from quantal.codecs import available, load
from quantal.errors import QuantalError
from quantal.files import Target, decode_picture, encode_picture

from .limits import HANG, MEGAPIXEL, SECONDS, Fault
from .mutations import GENERAL, Mutation, Random

__all__ = ["MUTATIONS", "cases", "forged", "outcome", "repaired", "sample_files", "scene"]

#: Codecs of ours whose weights ship; the streams of some are made of parts.
CODECS = [info.name for info in available() if info.weights and info.media == "picture"]
PARTS = {name: 9 for name in CODECS if name.startswith("context")} | {"tokens": 128, "lossless": 8}
#: Those whose damaged files can be concealed.
CONCEALING = [name for name in CODECS if name == "vq"]


def scene(width: int, height: int, channels: int = 3) -> np.ndarray:
    """A picture [H, W, C] with slopes, an edge and noise."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 60 * np.sin(x / 7 + c) + 40 * np.cos(y / 5 - c) for c in range(channels)]
    planes = [plane + 50 * (x > y) for plane in planes]
    noise = np.random.default_rng(width * height).normal(0, 4, (height, width, channels))
    return (np.stack(planes, axis=-1) + noise).clip(0, 255).astype(np.uint8)


def page(width: int, height: int) -> np.ndarray:
    """A screen [H, W, 3]: lines of a few letters on white, which have synthetic tiles."""
    rng = np.random.default_rng(width)
    letters = rng.integers(0, 2, (5, 7, 5), np.uint8) * 200
    found = np.full((height, width, 3), 255, np.uint8)
    for top in range(6, height - 10, 24):
        for left in range(4, width - 8, 6):
            found[top : top + 7, left : left + 5] = letters[rng.integers(5)][:, :, None]
    return found


def sample_files() -> list[bytes]:
    """Small files of every kind: colour, grey, alpha, metadata, one pixel, low and high rates."""
    pictures = [
        (media.from_array(scene(97, 71)), 60),
        (media.from_array(scene(64, 64)), 1),
        (media.from_array(scene(40, 90, 1)), 95),
        (media.from_array(scene(1, 1)), 50),
        (media.from_array(page(96, 80)), 60),
        (
            dataclasses.replace(
                media.from_array(scene(33, 20, 4)), icc=b"i" * 40, exif=b"II*\0" * 9, xmp=b"<x/>"
            ),
            40,
        ),
    ]
    return [
        encode_picture(picture, load(name, "cpu"), _target(name, quality), resilient=resilient).data
        for name, resilient in [*((n, False) for n in CODECS), *((n, True) for n in CONCEALING)]
        for picture, quality in pictures
    ]


def _target(name: str, quality: int) -> Target:
    """A quality, where the codec has several."""
    return Target(quality=quality) if len(load(name, "cpu").rates) > 1 else Target()


def repaired(data: bytes) -> bytes:
    """The same file with right checksums, if its header and directory can be read at all."""
    try:
        info = container.probe(data)
    except QuantalError:
        return data
    fixed = bytearray(data)
    for part in info.parts:
        end = part.offset + part.bytes
        checksum = zlib.crc32(data[part.offset : end], zlib.crc32(data[: info.header_bytes]))
        fixed[end : end + 4] = checksum.to_bytes(4, "little")
    return bytes(fixed)


def forged(data: bytes, image: bytes | None = None, **fields: object) -> bytes:
    """The same file with other header fields, or another image part, and right checksums."""
    file = container.read(data)
    parts = [
        container.Part("image", image) if part.kind == "image" and image is not None else part
        for part in file.parts
    ]
    return container.write(dataclasses.replace(file.header, **fields), parts)  # type: ignore[arg-type]


def edit_header(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    """Another value in one field or two."""
    side = (1, 2, 16, 17, 64, 65, 255, 256, 1000, 4096, 65535, rng.randrange(1, 65536))
    changes: dict[str, object] = {
        "width": rng.choice(side),
        "height": rng.choice(side),
        "rate": rng.randrange(253),
        "grey": rng.random() < 0.5,
        "codec": rng.choice((*CODECS, "hyperprio", "h", "x" * 23)),
        "model_hash": rng.randbytes(4),
    }
    chosen = rng.sample(sorted(changes), rng.choice((1, 1, 2)))
    return forged(data, **{name: changes[name] for name in chosen})


def exchange_payload(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Another image part: anything, another file's, or this one's cut short or drawn out."""
    own = container.read(data).part("image") or b""
    other = container.read(rng.choice(others or [data])).part("image") or b""
    length = rng.choice((0, 1, 7, 8, 40, 300, 3000))
    candidates = (bytes(length), b"\xff" * length, rng.randbytes(length), other)
    payload = rng.choice((*candidates, own[: rng.randrange(len(own) + 1)], own + b"\1", own * 2))
    return forged(data, image=payload)


MUTATIONS: tuple[Mutation, ...] = (*GENERAL, edit_header, exchange_payload)


def outcome(data: bytes, partial: bool = False) -> str:
    """Decode a file: "picture", or the name of the error of ours; raises Fault for all else.

    partial: draw some files from their first parts alone, and conceal some; both take cut ones.
    """
    started = time.process_time()
    try:
        parts = _parts(data) if partial else None
        conceal = partial and parts is None and zlib.crc32(data) % 2 == 0
        picture = decode_picture(data, "cpu", max_parts=parts, conceal=conceal)
        header = container.probe(data, cut=True).header
        sides = (header.height, header.width)
        if picture.pixels.shape[:2] != sides:
            raise Fault(f"{picture.pixels.shape} pixels for a header of {sides}")
        result = "picture"
    except QuantalError as error:
        result = type(error).__name__
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error
    seconds = time.process_time() - started
    if seconds > _allowance(data):
        raise Fault(f"{seconds:.1f} s of processor time")
    return result


def _parts(data: bytes) -> int | None:
    """Parts to draw a file from: now and then fewer than all, which also reads cut files."""
    try:
        most = PARTS.get(container.probe(data, cut=True).header.codec, 0)
    except QuantalError:
        return None
    chosen = zlib.crc32(data) % 20
    return chosen if 1 <= chosen <= most else None


def _allowance(data: bytes) -> float:
    try:
        header = container.probe(data, cut=True).header
    except QuantalError:
        return SECONDS
    return SECONDS + min(header.width * header.height / MEGAPIXEL, HANG)


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
