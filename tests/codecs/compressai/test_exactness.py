"""Symbols are read as they were written, or a DivergenceError says that they can't be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quantal import container, media
from quantal.codecs.compressai import HEAD, sequential
from quantal.codecs.compressai.codec import CompressaiCodec, _Checksum
from quantal.entropy.walk import Known
from quantal.errors import DivergenceError
from quantal.files import decode_picture, read_latents

from .conftest import HYPER, SEQUENTIAL, Weights, coded, load


def test_positions_of_a_diagonal_do_not_see_one_another() -> None:
    height, width = 7, 12
    order = np.full((height, width), -1)
    for time, (rows, columns) in enumerate(sequential.diagonals(height, width)):
        assert (order[rows, columns] == -1).all()
        order[rows, columns] = time
    assert (order >= 0).all()
    for row, column in np.ndindex(height, width):
        for dy, dx in zip(sequential._SEEN_ROWS - 2, sequential._SEEN_COLUMNS - 2, strict=True):
            y, x = row + int(dy), column + int(dx)
            if y >= 0 and 0 <= x < width:
                assert order[y, x] < order[row, column]


@pytest.mark.parametrize("architecture", [HYPER, SEQUENTIAL])
def test_threads_and_layout_do_not_change_what_is_read(
    architecture: str, zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load(architecture, zoo_weights)
    data = coded(codec, picture)
    threads = torch.get_num_threads()
    symbols = []
    for count in (1, 3):
        torch.set_num_threads(count)
        other = CompressaiCodec("compressai", zoo_weights(architecture), torch.device("cpu"))
        if count > 1:
            other._prior._synthesis.to(memory_format=torch.channels_last)
        symbols.append(read_latents(data, codec=other).symbols)
    torch.set_num_threads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(*symbols, strict=True))


def test_networks_that_compute_otherwise_are_noticed(
    zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load(HYPER, zoo_weights)
    data = coded(codec, picture)
    payload = container.read(data).part("image") or b""
    header = container.probe(data).header
    shape = (picture.width, picture.height, header.rate)
    other = CompressaiCodec("compressai", zoo_weights(HYPER), torch.device("cpu"))
    bias = other._prior._synthesis[-1].bias
    bias[: len(bias) // 2] *= 1.5  # of scales alone
    with pytest.raises(DivergenceError, match="floating point"):
        other.read(payload, *shape)
    with pytest.raises(DivergenceError):
        decode_picture(data, codec=other)
    # One latent with another scale, at which the same symbol would have been read by chance.
    number, check = HEAD.unpack_from(payload)
    forged = HEAD.pack(number, check ^ 1) + payload[HEAD.size :]
    with pytest.raises(DivergenceError, match="check value"):
        codec.read(forged, *shape)


def test_the_check_value_is_of_indices_too(zoo_weights: Weights, picture: media.Picture) -> None:
    codec = load(HYPER, zoo_weights)
    latents = read_latents(coded(codec, picture), codec=codec)
    rows, columns = latents.y_hat.shape[1:]
    checks = []
    for factor in (1.0, 1.5):
        bias = codec._prior._synthesis[-1].bias
        kept = bias.clone()
        bias[: len(bias) // 2] *= factor
        check = _Checksum()
        known = Known(latents.symbols, check)
        codec._prior.walk(known, rows, columns, 3)
        checks.append(check.value)
        bias.copy_(kept)
    assert checks[0] != checks[1]
