"""Augmentation: a crop is a part of the latents, a flip is what the flipped picture has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import quantal
from quantal.errors import ArgumentError
from quantal.latents import Crop, Flip, LatentDataset, Sample


@pytest.fixture(scope="module")
def even(photograph, tmp_path_factory):
    """A folder of a picture whose sides are multiples of the stride."""
    folder = tmp_path_factory.mktemp("even")
    quantal.write(folder / "a.qtl", photograph.crop((96, 40, 96 + 256, 40 + 224)), "hyperprior")
    return folder


def error(found, expected) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "axis"), [("hyperprior", "horizontal"), ("context-s", "vertical")]
)
def test_a_flip_is_what_the_codec_sees_of_the_flipped_picture(
    name, axis, photograph, tmp_path
) -> None:
    """Flipped latents are as near to the flipped picture's as its own, coded, are."""
    flip, codec = Flip(name, axis, chance=1.0), quantal.load(name, "cpu")
    assert flip.error < 0.1
    turn = 0 if axis == "horizontal" else 1
    picture = photograph.crop((96, 40, 96 + 256, 40 + 224))
    quantal.write(tmp_path / "a.qtl", picture, codec)
    quantal.write(tmp_path / "b.qtl", picture.transpose(turn), codec)
    plain, coded = (LatentDataset(tmp_path, values="latents")[n].values[0] for n in (0, 1))
    flipped = LatentDataset(tmp_path, values="latents", transform=flip)[0].values[0]
    exact = torch.from_numpy(codec.analyse(np.asarray(picture.transpose(turn))))
    assert error(flipped, exact) < 1.1 * error(coded, exact)
    # Turning the grid alone is no flip.
    assert error(plain.flip(-1 - turn), exact) > 3 * error(flipped, exact)


def test_two_flips_are_none(even) -> None:
    flip = Flip("hyperprior", chance=1.0)
    sample = LatentDataset(even, values="latents")[0]
    assert error(flip(flip(sample)).values[0], sample.values[0]) < 0.1


def test_columns_that_are_no_whole_stride_are_cut_off(shards) -> None:
    for chance in (0.0, 1.0):
        sample = LatentDataset(
            shards, values="latents", transform=Flip("hyperprior", chance=chance)
        )[0]
        assert sample.values[0].shape == (320, 5, 6) and (sample.width, sample.height) == (96, 71)
    upright = Flip("hyperprior", "vertical", chance=1.0)
    sample = LatentDataset(shards, values="latents", transform=upright)[0]
    assert sample.values[0].shape == (320, 4, 7) and (sample.width, sample.height) == (97, 64)


def test_a_flip_is_for_latents_of_its_codec(shards) -> None:
    for values in ("grid", "symbols"):
        with pytest.raises(ArgumentError, match="values="):
            LatentDataset(shards, values=values, transform=Flip("hyperprior"))[0]
    with pytest.raises(ArgumentError, match="of codec 'hyperprior'"):
        LatentDataset(shards, values="latents", transform=Flip("context-s"))[0]
    for codec in ("vq", "tokens"):
        with pytest.raises(ArgumentError, match="no analysis"):
            Flip(codec)
    with pytest.raises(ArgumentError, match="axis"):
        Flip("hyperprior", "diagonal")
    for chance in (2, -1, float("nan"), "half", None):
        with pytest.raises(ArgumentError, match="chance"):
            Flip("hyperprior", chance=chance)
    with pytest.raises(ArgumentError, match="not a codec"):
        Flip(None)
    other = replace(LatentDataset(shards, values="latents")[0], model_hash=bytes(4))
    with pytest.raises(ArgumentError, match="of the model 00000000"):
        Flip("hyperprior")(other)


def test_a_codec_that_follows_no_flip_is_refused(photograph) -> None:
    """Too few pictures give no map that holds for others."""
    pixels = np.asarray(photograph)[:32, :32]
    noise = np.random.default_rng(0)
    pictures = [noise.integers(0, 256, (16, 16, 3), np.uint8) for _ in range(8)]
    with pytest.raises(ArgumentError, match="only to within"):
        Flip("hyperprior", pictures=[pixels, *pictures])
    with pytest.raises(ArgumentError, match="at least 9"):
        Flip("hyperprior", pictures=[pixels])
    with pytest.raises(ArgumentError, match="multiples of 16"):
        Flip("hyperprior", pictures=[pixels[:20]] * 9)


@pytest.mark.parametrize("values", ["grid", "latents"])
def test_a_crop_is_a_part_of_the_picture(shards, values) -> None:
    whole = LatentDataset(shards, values=values)[0].values[0]
    dataset = LatentDataset(shards, values=values, transform=Crop(2, 3))
    seen = set()
    for _ in range(60):
        sample = dataset[0]
        (part,) = sample.values
        places = [
            (top, left)
            for top in range(4)
            for left in range(5)
            if torch.equal(whole[:, top : top + 2, left : left + 3], part)
        ]
        assert len(places) == 1
        top, left = places[0]
        assert (sample.height, sample.width) == (min(32, 71 - 16 * top), min(48, 97 - 16 * left))
        seen.add(places[0])
    assert len(seen) > 10


def test_a_crop_lies_in_the_picture_where_the_grid_goes_on() -> None:
    """That of vq covers whole regions of 32 x 32 pixels."""
    value = torch.zeros(1, 6, 8)
    sample = Sample("a", 0, "vq", bytes(4), 97, 71, 0, "latents", 16, (value,))
    crop = Crop(1, 1)
    sizes = {(crop(sample).height, crop(sample).width) for _ in range(200)}
    assert sizes <= {(h, w) for h in (16, 7) for w in (16, 1)}
    with pytest.raises(ArgumentError, match="5x7 latents"):
        Crop(6, 1)(sample)


def test_a_crop_of_what_is_too_small_or_has_no_grid_is_refused(shards) -> None:
    with pytest.raises(ArgumentError, match="5x7 latents, expected at least 6x2"):
        LatentDataset(shards, values="latents", transform=Crop(6, 2))[0]
    with pytest.raises(ArgumentError, match="can't be cropped"):
        LatentDataset(shards, transform=Crop(1, 1))[0]
    with pytest.raises(ArgumentError, match="rows"):
        Crop(0, 1)
