"""Damaged picture files of every format: a picture or an error of ours must come of each."""

from __future__ import annotations

import io
import struct
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from quantal import media
from quantal.codecs import load
from quantal.errors import QuantalError
from quantal.files import Target, encode_picture

from .coded import scene
from .limits import SECONDS, Fault
from .mutations import GENERAL, Mutation, Random

__all__ = ["cases", "outcome", "sample_pictures"]

#: Pictures with fewer pixels are coded as well, one in so many.
_CODED_PIXELS, _CODED = 1 << 14, 16


def sample_pictures() -> list[bytes]:
    """Small files of every format, mode and kind of metadata."""
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x010F] = 6, 300.0, "Maker"
    exif.get_ifd(0x8769)[0xA002] = 40
    about = {"exif": exif.tobytes(), "dpi": (300, 150)}
    xmp = b'<x><rdf:RDF xmlns:rdf="r"></rdf:RDF></x>'
    images = {mode: Image.fromarray(scene(40, 30)).convert(mode) for mode in ("RGB", "L", "1")}
    images["RGBA"] = Image.fromarray(scene(40, 30, 4))
    images["P"] = images["RGB"].quantize(32)
    images["I;16"] = Image.fromarray(scene(40, 30, 1)[:, :, 0].astype(np.uint16) * 257)
    files = [_saved(images[mode], "PNG", **about) for mode in images]
    files += [_saved(images[mode], "TIFF", **about) for mode in images]
    files += [_saved(images["RGB"], "TIFF", compression=name) for name in ("tiff_lzw", "jpeg")]
    files += [_saved(images[mode], "JPEG", xmp=xmp, comment=b"c", **about) for mode in ("RGB", "L")]
    files += [_saved(images["RGB"], "JPEG", progressive=True), _saved(images["RGB"], "MPO")]
    files += [_saved(images["RGBA"], "WEBP", exif=about["exif"], xmp=xmp, lossless=True)]
    files += [_saved(images["RGBA"], "AVIF", exif=about["exif"], xmp=xmp)]
    files += [_saved(images["P"], "GIF", comment=b"c", save_all=True, append_images=[images["L"]])]
    files += [_saved(images[mode], "BMP", dpi=(300, 300)) for mode in ("RGB", "P")]
    files += [_tiff(kind, planar) for kind in ("u1", "u2", "i2", "f4") for planar in (False, True)]
    return files + _with_everything(files[0], files[len(images) * 2 + 2])


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def _tiff(kind: str, planar: bool) -> bytes:
    samples = scene(40, 30, 4).astype(kind)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.moveaxis(samples, -1, 0) if planar else samples,
        photometric="rgb",
        planarconfig="separate" if planar else "contig",
        extrasamples=["unassalpha"],
        compression="zlib" if planar else None,
    )
    return file.getvalue()


def _with_everything(png: bytes, jpeg: bytes) -> list[bytes]:
    """A PNG and a JPEG with what libraries seldom write."""
    chunks = [
        (b"gAMA", struct.pack(">I", 100000)),
        (b"cHRM", struct.pack(">8I", *[31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600])),
        (b"cICP", bytes([9, 16, 0, 1])),
        (b"tIME", bytes(7)),
        (b"zTXt", b"Title\0\0" + zlib.compress(b"title")),
        (b"iTXt", b"note\0\1\0\0\0" + zlib.compress(b"note")),
        (b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(b"\niptc\n9\n1c02690004636f6666")),
    ]
    added = b"".join(_chunk(*chunk) for chunk in chunks)
    record = b"\x1c\x02\x74\x00\x01A"
    resources = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(record)) + record
    segment = b"Photoshop 3.0\0" + resources
    segment = b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment
    return [
        png[:33] + added + png[33:],
        jpeg[:2] + segment + jpeg[2:] + struct.pack(">I4s", 24, b"ftyp") + bytes(90),
    ]


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


# -- ways to damage them that their decoders don't notice at once -----------------------------


def edit_chunk(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    """Damage one chunk of a PNG, with a right checksum; repeat, drop or move it."""
    if data[:4] != b"\x89PNG":
        return edit_head(rng, data)
    chunks, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return data
    place = rng.randrange(len(chunks))
    name, content = chunks[place]
    what = rng.randrange(4)
    if what == 0 and content:
        chunks[place] = name, rng.choice(GENERAL)(rng, content, [content])
    elif what == 1:
        chunks.insert(rng.randrange(len(chunks)), (name, content))
    elif what == 2:
        del chunks[place]
    else:
        chunks.insert(1, (rng.choice((b"abCd", b"iTXt", b"iCCP", b"tRNS")), content[:999]))
    return data[:8] + b"".join(_chunk(*chunk) for chunk in chunks)


def edit_head(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    """Other numbers near the beginning, where formats say how large everything is."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        form = rng.choice(("<H", ">H", "<I", ">I", "B"))
        limit = 1 << 8 * struct.calcsize(form)
        value = rng.choice((0, 1, 2, 255, limit // 2, limit - 1, rng.randrange(limit))) % limit
        place = rng.randrange(min(len(data), rng.choice((64, 512, 4096))))
        if place + struct.calcsize(form) <= len(data):
            struct.pack_into(form, damaged, place, value)
    return bytes(damaged)


def edit_tags(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    """Another tag, type, count or value in the directory of a TIFF."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return edit_head(rng, data)
    damaged = bytearray(data)
    (place,) = struct.unpack_from(order + "I", data, 4)
    if place + 2 > len(data):
        return edit_head(rng, data)
    (count,) = struct.unpack_from(order + "H", data, place)
    for _ in range(rng.choice((1, 1, 2))):
        entry = place + 2 + 12 * rng.randrange(max(count, 1))
        offset, form = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I"), (8, "H")))
        small = rng.choice((0, 1, 2, 3, 4, 5, 8, 16, 32, 255, 262, 273, 338, 65535))
        if entry + 12 <= len(data):
            struct.pack_into(order + form, damaged, entry + offset, small)
    return bytes(damaged)


MUTATIONS: tuple[Mutation, ...] = (*GENERAL, edit_chunk, edit_chunk, edit_head, edit_tags)


# -- what comes of it ------------------------------------------------------------------------


def cases(seed: int) -> Iterator[tuple[str, bytes]]:
    """Endless (what was done, damaged file)."""
    rng = Random(seed)
    files = sample_pictures()
    while True:
        data, done = rng.choice(files), []
        for mutate in rng.choices(MUTATIONS, k=rng.choice((1, 1, 2, 3))):
            if data:
                data = mutate(rng, data, files)
                done.append(mutate.__name__)
        yield " + ".join(done), data


def outcome(data: bytes) -> str:
    """Read a file in two ways, code some: "picture" or the error of ours; Fault for all else."""
    started = time.process_time()
    result = _result(data)
    taken = time.process_time() - started
    if taken > SECONDS + _megapixels(data) / 20:
        raise Fault(f"{taken:.1f} s of processor time")
    return result


def _megapixels(data: bytes) -> float:
    """Return how many a header says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError:
        return media.PIXEL_LIMIT / 1e6
    except Exception:  # Pillow's own affair
        return 0.0
    return image.width * image.height / 1e6


def _result(data: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = media.read(data)
            _through_pillow(data)
            if picture.pixels.size < 3 * _CODED_PIXELS and zlib.crc32(data) % _CODED == 0:
                coded = encode_picture(picture, load("hyperprior", "cpu"), Target(quality=10))
                if coded.width != picture.width:
                    raise Fault("the file is of another size than its picture")
                media.write(picture, "png")
        return "picture"
    except QuantalError as error:
        return type(error).__name__
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error


def _through_pillow(data: bytes) -> None:
    """Convert an image that Pillow opens, where it opens one."""
    try:
        image = Image.open(io.BytesIO(data))
    except Exception:  # Pillow's own affair
        return
    media.from_image(image)
