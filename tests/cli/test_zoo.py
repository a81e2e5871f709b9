"""CompressAI's models on the command line: --weights wherever symbols are written or read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.calling import call

from .conftest import Quantal

CODEC = "compressai/cheng2020-anchor"
Weights = Callable[[str], Path]


@pytest.fixture(scope="module")
def weights(zoo_weights: Weights) -> Path:
    return zoo_weights("cheng2020-anchor")


@pytest.fixture(scope="module")
def zoo_bytes(
    small_photograph: Image.Image, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """The small photograph, coded once: networks that are sequential take long."""
    photo = tmp_path_factory.mktemp("zoo-file") / "photo.png"
    small_photograph.save(photo)
    found = call("compress", photo, "--codec", CODEC, "-q", 3, "--weights", weights)
    assert found.status == 0
    assert "another machine" in found.err and "sequential" in found.err
    return photo.with_suffix(".qtl").read_bytes()


@pytest.fixture
def zoo_file(photo: Path, zoo_bytes: bytes) -> Path:
    """The file beside the photograph."""
    path = photo.with_suffix(".qtl")
    path.write_bytes(zoo_bytes)
    return path


def test_there_and_back(quantal: Quantal, zoo_file: Path, photo: Path, weights: Path) -> None:
    out = zoo_file.with_name("drawn.png")
    call = quantal("decompress", zoo_file, "-o", out, "--weights", weights, "--json")
    assert call.status == 0
    (entry,) = call.document
    assert entry["codec"] == "compressai" and entry["quality"] == 3
    assert any("another machine" in warning for warning in entry["warnings"])
    with Image.open(out) as drawn, Image.open(photo) as original:
        assert drawn.size == original.size


@pytest.mark.slow
def test_several_processes_give_the_same_file(
    quantal: Quantal, zoo_file: Path, photo: Path, weights: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    options = ("--codec", CODEC, "--weights", weights, "-o", tmp_path / "both", "--jobs", 2)
    assert quantal("compress", photo, other, *options).status == 0
    for name in ("photo.qtl", "other.qtl"):
        assert (tmp_path / "both" / name).read_bytes() == zoo_file.read_bytes()


def test_what_needs_no_model_needs_no_weights(quantal: Quantal, zoo_file: Path) -> None:
    info = quantal("info", zoo_file, "--json").document
    assert (info["codec"], info["quality"]) == ("compressai", 3)
    call = quantal("verify", zoo_file)
    assert call.status == 0
    assert f"symbols not parsed: the file needs your weights of {CODEC}" in call.out
    (entry,) = quantal("verify", zoo_file, "--json").document
    assert entry["ok"] and info["model_hash"] in entry["note"]


def test_verify_and_latents_take_weights(quantal: Quantal, zoo_file: Path, weights: Path) -> None:
    assert quantal("verify", zoo_file, "--weights", weights).out.endswith("photo.qtl: ok\n")
    out = zoo_file.with_suffix(".safetensors")
    assert quantal("latents", zoo_file, "-o", out, "--weights", weights).status == 0
    damaged = bytearray(zoo_file.read_bytes())
    damaged[60] ^= 1
    zoo_file.write_bytes(damaged)
    assert quantal("verify", zoo_file).status == 1


def test_weights_that_are_missing_or_wrong(
    quantal: Quantal, zoo_file: Path, zoo_weights: Weights
) -> None:
    out = ("-o", zoo_file.with_name("drawn.png"))
    call = quantal("decompress", zoo_file, *out)
    assert call.status == 1
    assert f"needs your weights of {CODEC}, quality 3, model " in call.err
    call = quantal("decompress", zoo_file, *out, "--weights", zoo_weights("mbt2018"))
    assert call.status == 1 and "needs the model" in call.err
    call = quantal("decompress", zoo_file, *out, "--weights", "nowhere.pth")
    assert call.status == 1 and "nowhere.pth is not a file" in call.err


def test_calls_that_are_wrong(quantal: Quantal, photo: Path, weights: Path) -> None:
    compress = ("compress", photo, "--codec", CODEC)
    call = quantal(*compress)
    assert call.status == 1 and "name yours: --weights FILE" in call.err
    for wrong, words in (
        (("-q", 5), "quality 5 was asked for"),
        (("--bpp", 0.5), "single rate"),
        (("--max-bytes", 5000), "single rate"),
    ):
        call = quantal(*compress, "--weights", weights, *wrong)
        assert call.status == 2 and words in call.err
    call = quantal("compress", photo, "--codec", "compressai/elic2022", "--weights", weights)
    assert call.status == 2 and "compressai/cheng2020-attn" in call.err


def test_weights_of_our_own_codecs(quantal: Quantal, photo: Path) -> None:
    from quantal.codecs.family import SHIPPED

    shipped = SHIPPED / "context-m.safetensors"
    call = quantal("compress", photo, "--weights", shipped)
    assert call.status == 0
    drawn = []
    for number, options in enumerate(((), ("--weights", shipped))):
        out = photo.with_name(f"{number}.png")
        assert quantal("decompress", photo.with_suffix(".qtl"), "-o", out, *options).status == 0
        with Image.open(out) as image:
            drawn.append(np.asarray(image))
    assert np.array_equal(*drawn)
