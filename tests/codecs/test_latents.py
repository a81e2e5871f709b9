"""Latents as arrays: exact symbols, the right geometry, and a file others can read."""

from __future__ import annotations

from io import BytesIO, StringIO

import numpy as np
import pytest
from safetensors.numpy import load

import quantal
from quantal.codecs import Latents
from quantal.errors import ArgumentError, QuantalError


@pytest.fixture(scope="module")
def coded(small_photograph) -> bytes:
    return quantal.compress(small_photograph, quality=40)


def test_bytes_paths_and_open_files_are_taken(coded, tmp_path) -> None:
    path = tmp_path / "a.qtl"
    path.write_bytes(coded)
    sources = [coded, bytearray(coded), memoryview(coded), path, str(path), BytesIO(coded)]
    found = [quantal.latents.read(source) for source in sources]
    assert all(isinstance(each, Latents) for each in found)
    assert all(np.array_equal(each.y_hat, found[0].y_hat) for each in found)
    with path.open("rb") as file:
        assert np.array_equal(quantal.latents.read(file).y_hat, found[0].y_hat)
    for wrong in (7, None, StringIO("text"), [coded]):
        with pytest.raises(ArgumentError, match=r"is not a \.qtl file"):
            quantal.latents.read(wrong)  # type: ignore[arg-type]


def test_a_codec_of_ones_own_reads_them(coded) -> None:
    codec = quantal.load(device="cpu")
    assert np.array_equal(
        quantal.latents.read(coded, codec=codec).y_hat, quantal.latents.read(coded).y_hat
    )
    with pytest.raises(QuantalError, match="made by codec"):
        quantal.latents.read(coded, codec=quantal.load("hyperprior", "cpu"))


def test_latents_can_be_compared_and_hashed(coded) -> None:
    one, other = quantal.latents.read(coded), quantal.latents.read(coded)
    assert one == one and one != other
    assert len({one, other}) == 2


def test_symbols_are_integers_and_the_geometry_is_the_picture_s(coded) -> None:
    found = quantal.latents.read(coded)
    assert (found.width, found.height) == (97, 71)
    assert all(part.dtype == np.int32 for part in found.symbols)
    assert found.y_hat.shape[-2:] == (-(-71 // found.stride), -(-97 // found.stride))


def test_a_loaded_codec_reads_the_same_symbols(coded) -> None:
    one, other = quantal.latents.read(coded), quantal.load().latents(coded)
    assert one.model_hash == other.model_hash == quantal.load().model_hash
    assert all(np.array_equal(a, b) for a, b in zip(one.symbols, other.symbols, strict=True))


def test_a_safetensors_file_holds_everything(coded) -> None:
    found = quantal.latents.read(coded)
    data = found.to_safetensors()
    read = load(data)
    assert f'"model_hash":"{found.model_hash.hex()}"'.encode() in data
    assert np.array_equal(read["y_hat"], found.y_hat)
    assert np.array_equal(read["z_hat"], found.z_hat)
    for index, part in enumerate(found.symbols):
        assert np.array_equal(read[f"symbols.{index}"], part)


def test_a_damaged_file_has_no_latents(coded) -> None:
    with pytest.raises(QuantalError):
        quantal.latents.read(coded[:-3])
