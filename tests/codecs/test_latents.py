"""Latents as tensors: exact symbols, the right geometry, and a file others can read."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load

import quantal
from quantal.errors import QuantalError
from quantal.latents import Latents, to_safetensors


@pytest.fixture(scope="module")
def coded(small_photograph) -> bytes:
    return quantal.compress(small_photograph, quality=40)


def test_the_room_is_the_function(coded) -> None:
    called = quantal.latents(coded)
    assert isinstance(called, Latents)
    assert callable(quantal.latents)


def test_symbols_are_integers_and_the_geometry_is_the_picture_s(coded) -> None:
    found = quantal.latents(coded)
    assert (found.width, found.height) == (97, 71)
    assert all(part.dtype is torch.int32 for part in found.symbols)
    assert found.y_hat.shape[-2:] == (-(-71 // found.stride), -(-97 // found.stride))


def test_a_loaded_codec_reads_the_same_symbols(coded) -> None:
    one, other = quantal.latents(coded), quantal.load().latents(coded)
    assert all(torch.equal(a, b) for a, b in zip(one.symbols, other.symbols, strict=True))


def test_a_safetensors_file_holds_everything(coded) -> None:
    found = quantal.latents(coded)
    read = load(to_safetensors(found))
    assert torch.equal(read["y_hat"], found.y_hat)
    assert torch.equal(read["z_hat"], found.z_hat)
    for index, part in enumerate(found.symbols):
        assert torch.equal(read[f"symbols.{index}"], part)


def test_a_damaged_file_has_no_latents(coded) -> None:
    with pytest.raises(QuantalError):
        quantal.latents(coded[:-3])
