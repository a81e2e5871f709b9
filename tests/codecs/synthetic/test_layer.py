"""The synthetic layer: what is written is read, losses are the encoder's alone, damage is found."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantal.codecs.synthetic import (
    TILE,
    Costs,
    cheaper_tiles,
    choose_tiles,
    decode_layer,
    encode_layer,
    fill_holes,
    guess_costs,
    looks_synthetic,
)
from quantal.errors import ArgumentError, BitstreamError

Bytes = npt.NDArray[np.uint8]


def _tiles(height: int, width: int, every: int = 1) -> npt.NDArray[np.bool_]:
    rows, columns = -(-height // TILE), -(-width // TILE)
    return (np.arange(rows * columns).reshape(rows, columns) % every) == 0


def _page(height: int, width: int, seed: int = 0, channels: int = 3) -> Bytes:
    """Glyphs of few colours on paper, some noise, a slope."""
    rng = np.random.default_rng(seed)
    page = np.full((height, width, channels), 250, np.uint8)
    glyphs = rng.integers(0, 5, (6, 9, 7, 1)) * rng.integers(20, 60, (1, 1, 1, channels))
    for _ in range(height * width // 90):
        row, column = rng.integers(0, height), rng.integers(0, width)
        part = page[row : row + 9, column : column + 7]
        part[:] = glyphs[rng.integers(0, 6), : part.shape[0], : part.shape[1]]
    page[: height // 4] = np.arange(width)[None, :, None] % 256
    noise = page[: height // 6, : width // 3]
    noise[:] = rng.integers(0, 256, noise.shape)
    return page


@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 4), st.sampled_from([1, 3]),
    st.sampled_from([0, 100]), st.integers(0, 99),
)  # fmt: skip
def test_what_is_written_is_read(
    height: int, width: int, every: int, channels: int, price: float, seed: int
) -> None:
    page, tiles = _page(height, width, seed, channels), _tiles(height, width, every)
    data, coded = encode_layer(page, tiles, price)
    found, pixels = decode_layer(data, width, height, channels)
    assert (found == tiles).all()
    assert (pixels == coded).all()
    if price == 0:
        wide = np.repeat(np.repeat(tiles, TILE, 0), TILE, 1)[:height, :width]
        assert (pixels[wide] == page[wide]).all()


def test_bands_side_by_side() -> None:
    page = _page(300, 40)
    data, _ = encode_layer(page, _tiles(300, 40))
    assert (decode_layer(data, 40, 300)[1] == page).all()


def test_a_flat_picture_costs_next_to_nothing() -> None:
    data, _ = encode_layer(np.full((640, 640, 3), 77, np.uint8), _tiles(640, 640))
    assert len(data) < 60


def test_no_tiles_cost_next_to_nothing() -> None:
    tiles = np.zeros((40, 40), np.bool_)
    data, _ = encode_layer(_page(640, 640), tiles)
    assert len(data) < 30
    assert not decode_layer(data, 640, 640)[0].any()


def test_a_price_saves_bytes_and_bounds_what_is_lost() -> None:
    page = _page(200, 200)
    page[60:] = np.minimum(page[60:] + np.random.default_rng(1).integers(0, 4, (140, 200, 3)), 255)
    sizes, losses = [], []
    for price in (0, 20, 200):
        data, coded = encode_layer(page, _tiles(200, 200), price)
        sizes.append(len(data))
        losses.append(float(((coded.astype(float) - page) ** 2).mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert losses[0] == 0
    assert losses == sorted(losses)


def test_the_bytes_are_the_same_everywhere() -> None:
    data, _ = encode_layer(_plain_page(), _tiles(96, 96))
    assert hashlib.sha256(data).hexdigest()[:16] == "e71396afeadd43a0"


def _plain_page() -> Bytes:
    """A page that no random generator draws."""
    rows, columns = np.mgrid[:96, :96]
    value = (rows // 5 * 40 + (columns // 7) ** 2 * 3) % 256 * ((rows * columns) % 11 < 4)
    return np.stack([value, value * 3 % 256, 255 - value], -1).astype(np.uint8)


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_damage_is_found_or_harmless(data: st.DataObject) -> None:
    page = _page(24, 40)
    whole, _ = encode_layer(page, _tiles(24, 40))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(whole)))])
    for wrong in (bytes(damaged), cut):
        try:
            tiles, pixels = decode_layer(wrong, 40, 24)
        except BitstreamError:
            continue
        assert tiles.shape == (2, 3)
        assert pixels.shape == (24, 40, 3)


def test_arguments_are_checked() -> None:
    page = _page(32, 32)
    with pytest.raises(ArgumentError, match="expected bool"):
        encode_layer(page, np.ones((3, 2), np.bool_))
    with pytest.raises(ArgumentError, match="channels"):
        encode_layer(page[..., :2], _tiles(32, 32))
    with pytest.raises(ArgumentError, match="expected uint8"):
        encode_layer(page.astype(np.int32), _tiles(32, 32))  # type: ignore[arg-type]


def test_noise_does_not_look_synthetic() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert not looks_synthetic(noise).any()
    assert looks_synthetic(np.full((64, 64, 3), 9, np.uint8))[1:, 1:].all()


def test_without_loss_squares_that_repeat_are_chosen() -> None:
    page = np.full((130, 200, 3), 250, np.uint8)
    page[:, 128:] = np.random.default_rng(0).integers(0, 256, (130, 72, 3))
    chosen = choose_tiles(page)
    assert chosen.shape == (9, 13)
    assert chosen[:, :8].all()
    assert not chosen[:, 8:].any()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 90), (90, 1), (2, 2), (65, 129)])
def test_tiles_of_any_size_are_chosen(height: int, width: int) -> None:
    page = np.full((height, width, 1), 7, np.uint8)
    chosen = choose_tiles(page)
    data, _ = encode_layer(page, chosen)
    assert (decode_layer(data, width, height, 1)[0] == chosen).all()


def test_a_layer_of_another_size_is_refused_or_harmless() -> None:
    data, _ = encode_layer(_page(40, 56), _tiles(40, 56))
    for width, height in ((1, 1), (57, 40), (400, 300), (16, 900)):
        with pytest.raises(BitstreamError):
            decode_layer(data, width, height)


def test_tiles_are_chosen_by_cost() -> None:
    page = np.full((64, 64, 3), 250, np.uint8)
    page[:, 32:] = np.random.default_rng(0).integers(0, 256, (64, 32, 3))
    costs = guess_costs(page, _tiles(64, 64), 0)
    other = Costs(np.full((4, 4), 300.0), np.full((4, 4), 50.0))
    chosen = cheaper_tiles(10, costs, other)
    assert chosen[:, 0].all()
    assert not chosen[:, 3].any()


def test_holes_continue_what_is_around_them() -> None:
    slope = np.broadcast_to(np.arange(64)[:, None, None] * 3, (64, 64, 3)).astype(np.uint8)
    holes = np.zeros((64, 64), np.bool_)
    holes[16:48, 20:40] = True
    broken = np.where(holes[..., None], 255, slope).astype(np.uint8)
    filled = fill_holes(broken, holes)
    assert (filled[~holes] == slope[~holes]).all()
    assert np.abs(filled.astype(int) - slope).max() < 60
