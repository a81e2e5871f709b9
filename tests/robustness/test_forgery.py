"""Right checksums over wrong content: nothing is allocated that the bytes do not justify."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import quantal
from quantal import container, media
from quantal.codecs.pyramid.codec import PyramidCodec
from quantal.entropy import Encoder
from quantal.entropy.frozen.hyperprior import SideModel
from quantal.errors import BitstreamError, CorruptError, QuantalError
from quantal.files import decode_picture

from . import fuzz

SIDES = (1, 2, 16, 17, 64, 65, 1024, 65535)


@pytest.mark.parametrize("height", [1, 71, 65535])
@pytest.mark.parametrize("width", SIDES)
@pytest.mark.usefixtures("little_memory")
def test_a_wrong_size_is_found_before_it_is_allocated(
    colour: bytes, width: int, height: int
) -> None:
    forged = fuzz.forged(colour, width=width, height=height)
    # A few rows or columns more make the same latents: only then is there a picture.
    assert fuzz.outcome(forged) in ("CorruptError", "TruncatedError", "BitstreamError", "picture")


@pytest.mark.parametrize("content", [bytes(40), b"\xff" * 40, bytes(range(1, 41))])
@pytest.mark.parametrize("side", [4096, 20000, 65535])
@pytest.mark.usefixtures("little_memory")
def test_forty_bytes_are_no_large_picture(colour: bytes, content: bytes, side: int) -> None:
    with pytest.raises(BitstreamError):
        quantal.decompress(fuzz.forged(colour, content, width=side, height=side))


@pytest.mark.parametrize("rate", [0, 1, 15, 16, 251, 252])
@pytest.mark.parametrize("grey", [False, True])
def test_another_rate_is_another_picture_or_an_error(colour: bytes, rate: int, grey: bool) -> None:
    fuzz.outcome(fuzz.forged(colour, rate=rate, grey=grey))


@pytest.mark.parametrize("offset", range(5, 23))
@pytest.mark.parametrize("value", [0, 0x7F, 0x80, 0xFF])
def test_every_byte_of_the_header_may_be_anything(colour: bytes, offset: int, value: int) -> None:
    changed = bytearray(colour)
    changed[offset] = value
    fuzz.outcome(fuzz.repaired(bytes(changed)))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\0", b"\1", bytes(1000), b"\xff" * 1000, b"\xff" * 500_000],
    ids=["none", "a zero", "a one", "zeros", "ones", "many ones"],
)
def test_a_payload_of_anything_is_refused(colour: bytes, payload: bytes) -> None:
    with pytest.raises(BitstreamError):
        quantal.decompress(fuzz.forged(colour, payload))


@pytest.mark.parametrize("seed", range(20))
def test_a_payload_of_random_bytes_is_refused(colour: bytes, seed: int) -> None:
    rng = fuzz.Random(seed)
    with pytest.raises(BitstreamError):
        quantal.decompress(fuzz.forged(colour, rng.randbytes(rng.randrange(5000)) + b"\1"))


@pytest.mark.parametrize("name", ["hyperprior", "context-m"])
@pytest.mark.parametrize("symbol", [128, -128, 2**31 - 1, -(2**31)])
def test_a_symbol_of_z_beyond_its_limit_is_refused(symbol: int, name: str) -> None:
    """The bound that makes the integer network exact rests on it."""
    codec = quantal.load(name, "cpu")
    assert isinstance(codec, PyramidCodec)
    model = codec.entropy
    assert isinstance(model, SideModel)
    tables = model.side.tables[0]
    symbols = np.zeros(len(tables), np.int32)
    symbols[7] = symbol
    encoder = Encoder()
    encoder.put(symbols, np.arange(len(tables), dtype=np.uint8), tables)
    stream = encoder.finish()[:: 1 if name == "hyperprior" else -1]
    with pytest.raises(CorruptError, match="side symbol is not within -127"):
        codec.parse(stream, 16, 16, 0)


@pytest.mark.parametrize("name", ["hyperprior", "context-m"])
@pytest.mark.parametrize("extreme", [2**31 - 1, -(2**31), 40_000])
def test_the_wildest_latents_make_a_picture(extreme: int, name: str) -> None:
    codec = quantal.load(name, "cpu")
    black = codec.analyse(np.zeros((64, 64, 3), np.uint8))
    z, *y = codec.parse(codec.encode(black, 0), 64, 64, 0)
    wild = [np.full_like(part, extreme) for part in y]
    pixels = codec.synthesise(codec.dequantise([z, *wild], 64, 64, 0))
    assert pixels.shape == (64, 64, 3)


def with_parts(data: bytes, **contents: bytes) -> bytes:
    file = container.read(data)
    kept = [part for part in file.parts if part.kind not in contents]
    added = [container.Part(kind, content) for kind, content in contents.items()]
    return container.write(file.header, [*kept, *added])


def test_an_alpha_of_another_size_is_refused(colour: bytes) -> None:
    alpha = media.encode_alpha(np.zeros((97, 71), np.uint8))
    with pytest.raises(CorruptError, match="71x97 pixels, expected 97x71"):
        quantal.decompress(with_parts(colour, alpha=alpha))


@pytest.mark.parametrize("keep", [0, 7, 8, 33, 50, 1000])
def test_a_broken_alpha_is_refused(colour: bytes, keep: int) -> None:
    alpha = media.encode_alpha(np.random.default_rng(1).integers(0, 255, (71, 97), np.uint8))
    with pytest.raises(CorruptError, match="alpha"):
        quantal.decompress(with_parts(colour, alpha=alpha[:keep]))


@pytest.mark.usefixtures("little_memory")
def test_an_alpha_that_unpacks_to_gigabytes_is_not_unpacked(colour: bytes) -> None:
    """Its size is the header's, and so large that the coded picture can't be of that size."""
    side = 32000
    bomb = media.encode_alpha(np.zeros((8, 8), np.uint8))[:16] + side.to_bytes(4, "big") * 2
    bomb += b"\1\0\0\0\0" + bytes(200_000)
    forged = fuzz.forged(with_parts(colour, alpha=bomb), width=side, height=side)
    with pytest.raises(CorruptError, match="image part"):
        quantal.decompress(forged)


GARBAGE = [b"", b"\0", b"II*\0" + b"\xff" * 40, b"MM\0*" + bytes(60), b"\xff\xfe" * 4000,
           bytes(200_000)]  # fmt: skip


@pytest.mark.parametrize("kind", ["icc", "exif", "xmp"])
@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.filterwarnings("ignore::quantal.errors.QuantalWarning")
def test_metadata_of_anything_does_not_hide_the_picture(
    colour: bytes, kind: str, content: bytes
) -> None:
    plain = decode_picture(colour)
    picture = decode_picture(with_parts(colour, **{kind: content}))
    assert getattr(picture, kind) == content
    assert np.array_equal(picture.pixels, plain.pixels)
    image = media.to_image(picture)
    assert image.size == (97, 71)
    for suffix in ("png", "jpg", "webp"):
        assert media.write(picture, suffix)


def test_a_picture_beyond_the_limit_of_pixels_is_refused(colour: bytes) -> None:
    with pytest.raises(QuantalError, match=str(media.PIXEL_LIMIT)):
        quantal.decompress(fuzz.forged(colour, width=65535, height=65535))


def test_a_directory_that_promises_too_much_allocates_nothing(colour: bytes) -> None:
    info = container.probe(colour)
    huge = colour[: info.header_bytes - 2] + b"\xff\xff\xff\xff\x0f" + colour[info.header_bytes :]
    with pytest.raises(QuantalError):
        container.read(huge)
    assert dataclasses.asdict(info)["bytes"] == len(colour)
