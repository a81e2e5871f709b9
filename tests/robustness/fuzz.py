"""Damages .qtl files in many ways; whatever it does, a picture or an error of ours must come of it.

    python tests/robustness/fuzz.py [--seconds 60] [--seed 1]

Prints how often each outcome came. Exit status 1, and the file that did it kept, if another
exception, a picture of a wrong size, more than 2 s of processor time or more than 1 GiB came.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import signal
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from quantal import container, media
from quantal.codecs import available, load
from quantal.errors import QuantalError
from quantal.files import Target, decode_picture, encode_picture

#: Seconds of processor time that a small file may take, and wall seconds after which it hangs.
SECONDS, HANG = 2.0, 60
#: Bytes that a small file may take beyond what the process holds already.
MEMORY = 1 << 30
#: A header that says more megapixels may take longer: a second for each.
_MEGAPIXEL = 1e6

#: Codecs of ours whose weights ship; the streams of some are made of parts.
CODECS = [info.name for info in available() if info.weights]
PARTS = {name: 9 for name in CODECS if name.startswith("context")} | {"tokens": 128}
#: Those whose damaged files can be concealed.
CONCEALING = [name for name in CODECS if name == "vq"]

Random = random.Random
Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]


class Fault(Exception):
    """A file was answered by neither a picture of its size nor an error of ours."""


# -- files to start from ---------------------------------------------------------------------


def scene(width: int, height: int, channels: int = 3) -> np.ndarray:
    """A picture [H, W, C] with slopes, an edge and noise."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 60 * np.sin(x / 7 + c) + 40 * np.cos(y / 5 - c) for c in range(channels)]
    planes = [plane + 50 * (x > y) for plane in planes]
    noise = np.random.default_rng(width * height).normal(0, 4, (height, width, channels))
    return (np.stack(planes, axis=-1) + noise).clip(0, 255).astype(np.uint8)


def sample_files() -> list[bytes]:
    """Small files of every kind: colour, grey, alpha, metadata, one pixel, low and high rates."""
    pictures = [
        (media.from_array(scene(97, 71)), 60),
        (media.from_array(scene(64, 64)), 1),
        (media.from_array(scene(40, 90, 1)), 95),
        (media.from_array(scene(1, 1)), 50),
        (
            dataclasses.replace(
                media.from_array(scene(33, 20, 4)), icc=b"i" * 40, exif=b"II*\0" * 9, xmp=b"<x/>"
            ),
            40,
        ),
    ]
    return [
        encode_picture(
            picture, load(name, "cpu"), Target(quality=quality), resilient=resilient
        ).data
        for name, resilient in [*((n, False) for n in CODECS), *((n, True) for n in CONCEALING)]
        for picture, quality in pictures
    ]


# -- ways to damage them ---------------------------------------------------------------------


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


def flip_bits(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    damaged = bytearray(data)
    for bit in rng.sample(range(8 * len(data)), min(rng.choice((1, 1, 1, 2, 8)), 8 * len(data))):
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def cut(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    return data[: rng.randrange(len(data))]


def extend(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 40))


def overwrite(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    """A run of zeros, ones or anything over a run of the file."""
    start = rng.randrange(len(data))
    length = min(rng.choice((1, 2, 4, 64, 4096)), len(data) - start)
    run = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return data[:start] + run + data[start + length :]


def splice(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """The beginning of one file and the end of another."""
    other = rng.choice(others or [data])
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


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


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    cut,
    extend,
    overwrite,
    splice,
    edit_header,
    exchange_payload,
)


# -- what comes of it ------------------------------------------------------------------------


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
    return SECONDS + min(header.width * header.height / _MEGAPIXEL, HANG)


@contextmanager
def limited_memory(extra: int = MEMORY) -> Iterator[None]:
    """Let the process take at most so many bytes more; works on Linux alone."""
    if sys.platform != "linux":
        yield
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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


def _hang(*_: object) -> None:
    raise Fault(f"no answer within {HANG} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(), help="folder for files that fail")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sample_files()
    for data in files:
        outcome(data)  # weights and thread pools count as held already
    signal.signal(signal.SIGALRM, _hang)
    counts: Counter[tuple[str, bool]] = Counter()
    end = time.monotonic() + options.seconds
    with limited_memory():
        for number, (done, data) in enumerate(cases(options.seed, files)):
            if time.monotonic() > end:
                break
            try:
                signal.alarm(HANG)
                counts[outcome(data, partial=True), done.endswith("repaired")] += 1
                signal.alarm(0)
            except Fault as fault:
                path = options.keep / f"fuzz-{options.seed}-{number}.qtl"
                path.write_bytes(data)
                traceback.print_exc()
                print(f"{fault}\nafter {done}; the file is kept as {path}")
                return 1
    print(f"{sum(counts.values())} files, seed {options.seed}; nothing but pictures and our errors")
    print(f"{'outcome':26}{'as damaged':>12}{'repaired':>12}")
    for name in sorted({name for name, _ in counts}):
        print(f"{name:26}{counts[name, False]:12}{counts[name, True]:12}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
