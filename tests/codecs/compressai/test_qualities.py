"""Which qualities weights are of, and which targets they can aim at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import quantal
from quantal import container, media
from quantal.codecs.compressai.weights import FileName
from quantal.errors import ArgumentError
from quantal.files import Target, encode_picture

from .conftest import HYPER, Weights, coded, load


def test_names_of_files() -> None:
    def parsed(name: str) -> FileName | None:
        return FileName.of(Path(name))

    assert parsed("mbt2018-mean-3-723404a8.pth.tar") == FileName("mbt2018-mean", "mse", 3)
    assert parsed("cheng2020-attn-ms-ssim-6-1a2b3c4d.safetensors") == FileName(
        "cheng2020-attn", "ms-ssim", 6
    )
    assert parsed("bmshj2018-factorized-prior-1-446d5c7f.pth.tar") == FileName(
        "bmshj2018-factorized", "mse", 1
    )
    assert parsed("mbt2018-mse-vbr-f12581a1.pth.tar") == FileName("mbt2018-vbr", "mse", None)
    assert parsed("weights.pth") is None


def test_quality_says_which_weights_these_are(
    zoo_weights: Weights, tmp_path: Path, picture: media.Picture
) -> None:
    codec = load(HYPER, zoo_weights)
    encoded = encode_picture(picture, codec)
    assert encoded.quality == container.probe(encoded.data).quality == 3
    with pytest.raises(ArgumentError, match=r"quality 4 was asked for, .* are of 3"):
        encode_picture(picture, codec, Target(quality=4))
    unnamed = tmp_path / "mine.pth"
    unnamed.write_bytes(zoo_weights(HYPER).read_bytes())
    codec = quantal.load(f"compressai/{HYPER}", "cpu", unnamed)
    with pytest.raises(ArgumentError, match=r"doesn't say .*: 1, 2, 3, 4, 5, 6, 7, 8"):
        encode_picture(picture, codec)
    assert encode_picture(picture, codec, Target(quality=7)).quality == 7


@pytest.mark.parametrize("name", ["epoch-3.pth", "mine-3.pth", "mbt2018-3-723404a8.pth.tar"])
def test_a_number_in_any_other_name_is_no_quality(
    name: str, zoo_weights: Weights, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(zoo_weights(HYPER).read_bytes())
    codec = quantal.load(f"compressai/{HYPER}", "cpu", path)
    assert codec.rate_of(7) == container.quality_to_rate(7)
    with pytest.raises(ArgumentError, match=f"the name {name} doesn't say"):
        codec.rate_of(None)


def test_sizes_of_the_zoo_exclude_qualities(zoo_weights: Weights, tmp_path: Path) -> None:
    zoo_weights(HYPER)
    from compressai.zoo import models

    torch.save(models["cheng2020-anchor"](quality=1).state_dict(), tmp_path / "mine.pth")
    codec = quantal.load("compressai/cheng2020-anchor", "cpu", tmp_path / "mine.pth")
    assert codec.rate_of(3) == container.quality_to_rate(3)
    with pytest.raises(ArgumentError, match=r"quality 5 was asked for, .* are of 1, 2, 3"):
        codec.rate_of(5)


@pytest.mark.parametrize("target", [Target(bpp=1.0), Target(psnr=30.0), Target(max_bytes=900)])
def test_a_single_rate_can_not_be_aimed(
    target: Target, zoo_weights: Weights, picture: media.Picture
) -> None:
    with pytest.raises(ArgumentError, match="single rate"):
        encode_picture(picture, load(HYPER, zoo_weights), target)


def test_a_model_of_several_rates_can_be_aimed(
    zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load("mbt2018-mean-vbr", zoo_weights)
    sizes = {q: len(coded(codec, picture, q)) for q in range(1, 9)}
    assert sorted(sizes.values()) == list(sizes.values())
    assert encode_picture(picture, codec).quality == 5
    assert encode_picture(picture, codec, Target(max_bytes=sizes[6])).quality == 6
    bpp = 8 * sizes[4] / (picture.width * picture.height)
    assert encode_picture(picture, codec, Target(bpp=bpp)).quality == 4
    with pytest.raises(ArgumentError, match="quality 9 was asked for"):
        encode_picture(picture, codec, Target(quality=9))
