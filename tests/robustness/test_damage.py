"""A damaged .qtl file gives the named error, whatever the damage and wherever it lies."""

from __future__ import annotations

import io
from collections import Counter
from random import Random

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import quantal
import quantal.pillow
from quantal import container
from quantal.errors import (
    BitstreamError,
    CorruptError,
    ModelError,
    QuantalError,
    TruncatedError,
    UnsupportedVersionError,
)
from quantal.files import verify

from . import fuzz


def header_bytes(data: bytes) -> int:
    return container.probe(data).header_bytes


def test_a_file_cut_in_its_header_is_cut(full: bytes) -> None:
    for length in range(header_bytes(full)):
        with pytest.raises(TruncatedError):
            quantal.decompress(full[:length])


def test_a_file_cut_at_200_places_of_its_payload_is_cut(colour: bytes) -> None:
    places = np.linspace(header_bytes(colour), len(colour) - 1, 200).astype(int)
    for length in places:
        with pytest.raises(TruncatedError, match=str(len(colour))):
            quantal.decompress(colour[:length])


def test_a_payload_cut_at_200_places_and_announced_as_such_is_damaged(colour: bytes) -> None:
    image = container.read(colour).part("image") or b""
    for length in np.linspace(0, len(image) - 1, 200).astype(int):
        with pytest.raises(BitstreamError):
            quantal.decompress(fuzz.forged(colour, image[:length]))


def test_every_single_bit_counts(full: bytes) -> None:
    for bit in range(8 * len(full)):
        damaged = bytearray(full)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BitstreamError):
            container.read(bytes(damaged))


def test_5000_copies_with_flipped_bits_are_refused(files: list[bytes]) -> None:
    rng = Random(5000)
    outcomes = Counter(fuzz.outcome(fuzz.flip_bits(rng, rng.choice(files))) for _ in range(5000))
    # A BitstreamError by itself says that the file holds a clip, which one bit of the header does.
    refusals = {"BitstreamError", "CorruptError", "TruncatedError", "UnsupportedVersionError"}
    assert set(outcomes) <= refusals


def test_flips_behind_right_checksums_give_a_picture_or_an_error(files: list[bytes]) -> None:
    rng = Random(50)
    for _ in range(60):
        fuzz.outcome(fuzz.repaired(fuzz.flip_bits(rng, rng.choice(files))))


def test_every_way_of_the_fuzzer(files: list[bytes]) -> None:
    cases = fuzz.cases(3, files)
    for _ in range(150):
        fuzz.outcome(next(cases)[1], partial=True)


def test_bytes_behind_the_end_are_refused(colour: bytes) -> None:
    with pytest.raises(CorruptError, match="1 trailing"):
        quantal.decompress(colour + b"\0")


def test_two_files_in_a_row_are_not_one(colour: bytes, full: bytes) -> None:
    with pytest.raises(CorruptError, match="trailing"):
        quantal.decompress(colour + full)


def test_a_future_version_is_told_as_such(colour: bytes) -> None:
    future = colour[:4] + b"\x02" + colour[5:]
    with pytest.raises(UnsupportedVersionError, match="newer"):
        quantal.decompress(fuzz.repaired(future))


def test_a_wrong_hash_names_both_models(colour: bytes) -> None:
    wanted = container.probe(colour).header.model_hash.hex()
    with pytest.raises(ModelError, match=f"00c0ffee.*{wanted}"):
        quantal.decompress(fuzz.forged(colour, model_hash=bytes.fromhex("00c0ffee")))


def test_an_unknown_codec_names_those_there_are(colour: bytes) -> None:
    with pytest.raises(ModelError, match=r"'nonesuch'.*hyperprior"):
        quantal.decompress(fuzz.forged(colour, codec="nonesuch"))


def test_a_deep_check_finds_what_checksums_do_not(colour: bytes) -> None:
    image = container.read(colour).part("image") or b""
    forged = fuzz.forged(colour, image[:-1] + bytes([image[-1] ^ 0x55 or 1]))
    container.read(forged)
    with pytest.raises(BitstreamError):
        verify(forged)


@pytest.mark.parametrize("seed", range(40))
def test_pillow_sees_errors_of_ours_or_its_own_word_for_it(full: bytes, seed: int) -> None:
    rng = Random(seed)
    damage = (fuzz.flip_bits, fuzz.cut, fuzz.extend, fuzz.overwrite)[seed % 4]
    damaged = damage(rng, full)
    if damaged == full:
        return
    with (
        pytest.raises((QuantalError, UnidentifiedImageError)),
        Image.open(io.BytesIO(damaged)) as image,
    ):
        image.load()
