"""CompressAI's models in an evaluation: the same .qtl files as those of `quantal compress`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import quantal
from quantal import container
from quantal.errors import ArgumentError, ModelError, QuantalWarning
from quantal.eval.codecs import codec, grids

zoo = pytest.importorskip("compressai.zoo", reason="CompressAI is not installed")

NAME = "compressai/bmshj2018-hyperprior"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights of two qualities, with the zoo's file names."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for quality in (1, 2):
        state = zoo.models["bmshj2018-hyperprior"](quality=quality).state_dict()
        torch.save(state, folder / f"bmshj2018-hyperprior-{quality}-0a1b2c3d.pth.tar")
    return folder


@pytest.fixture(scope="module")
def pixels(small_photograph: Image.Image) -> np.ndarray:
    """97 x 71: no side is a multiple of 64."""
    return np.asarray(small_photograph)


def test_files_are_those_of_quantal_compress(weights: Path, pixels: np.ndarray) -> None:
    coder = codec(f"{NAME}:weights={weights}")
    assert coder.qualities == (1, 2) and coder.limits == (1, 2)
    for quality in (1, 2):
        ours = quantal.load(NAME, "cpu", next(weights.glob(f"*-{quality}-*")))
        data = coder.encode(pixels, quality)
        with pytest.warns(QuantalWarning, match="floating-point"):
            assert data == ours.compress(pixels, quality=quality)
        info = container.probe(data)
        assert (info.header.codec, info.quality) == ("compressai", quality)
        drawn = coder.decode(data)
        with pytest.warns(QuantalWarning, match="floating-point"):
            assert np.array_equal(drawn, np.asarray(ours.decompress(data)))
        assert drawn.shape == pixels.shape and drawn.dtype == np.uint8


def test_pictures_without_rounding(weights: Path, pixels: np.ndarray) -> None:
    coder = codec(f"{NAME}:weights={weights}")
    data = coder.encode(pixels, 1)
    floating = codec(f"{NAME}:weights={weights},rounded=no").decode(data)
    assert floating.dtype == np.float32
    assert np.array_equal(floating.round().astype(np.uint8), coder.decode(data))


def test_one_file_for_eight_qualities(
    zoo_weights: Callable[[str], Path], pixels: np.ndarray
) -> None:
    file = zoo_weights("mbt2018-mean-vbr")
    coder = codec(f"compressai/mbt2018-mean-vbr:weights={file}")
    assert coder.qualities == tuple(range(1, 9)) and coder.limits == (1, 8)
    files = [coder.encode(pixels, quality) for quality in coder.qualities]
    assert [container.probe(data).quality for data in files] == list(coder.qualities)
    assert [len(data) for data in files] == sorted(map(len, files))
    assert coder.decode(files[0]).shape == pixels.shape
    ours = quantal.load("compressai/mbt2018-mean-vbr", "cpu", file)
    with pytest.warns(QuantalWarning):
        assert files[7] == ours.compress(pixels, quality=8)


def test_a_file_whose_name_states_no_quality(
    weights: Path, tmp_path: Path, pixels: np.ndarray
) -> None:
    """It is taken for the first quality that has networks of its size; another can be asked for."""
    file = tmp_path / "epoch-5.pth"
    shutil.copy(next(weights.glob("*-1-*")), file)
    coder = codec(f"{NAME}:weights={file}")
    assert coder.qualities == (1,) and coder.limits == (1, 5)
    assert grids([coder], {coder.label: (3,)}) == {coder.label: (3,)}
    assert container.probe(coder.encode(pixels, 3)).quality == 3


def test_other_weights_are_another_version(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "1.pth"
    torch.save(zoo.models["bmshj2018-hyperprior"](quality=1).state_dict(), file)
    one = codec(f"{NAME}:weights={weights}")
    other = codec(f"{NAME}:weights={file}")
    assert other.qualities == (1,)
    assert one.version != other.version
    assert "compressai" in one.version and quantal.__version__ in one.version


def test_an_unknown_architecture() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'mbt2018-mean'"):
        codec("compressai/mbt2018-meen")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compressai.zoo", None)
    with pytest.raises(ArgumentError, match=r"pip install 'quantal\[compressai\]'"):
        codec(NAME)


def test_missing_weights_are_named(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no weights for .*expected a folder"):
        codec(f"compressai/mbt2018:weights={tmp_path / 'nowhere'}")
    with pytest.raises(ArgumentError, match="no weights for metric 'mse'"):
        codec(f"compressai/mbt2018:weights={weights}")  # of another architecture
    with pytest.raises(ArgumentError, match="no weights for metric 'ms-ssim'"):
        codec(f"{NAME}:metric=ms-ssim,weights={weights}")
    file = next(weights.glob("*-1-*"))
    with pytest.raises(ModelError, match="of bmshj2018-hyperprior, expected mbt2018"):
        codec(f"compressai/mbt2018:weights={file}")
    coder = codec(f"{NAME}:weights={weights}")
    with pytest.raises(ModelError, match="no weights for quality 7"):
        coder.encode(np.zeros((64, 64, 3), np.uint8), 7)


def test_a_folder_of_the_whole_zoo(tmp_path: Path) -> None:
    """Only files of the architecture and metric count, as in a folder of torch's downloads."""
    from quantal.eval.compressai import _weight_files

    names = (
        "bmshj2018-hyperprior-3-1bf3e4a5.pth.tar",
        "bmshj2018-hyperprior-ms-ssim-3-92dd7878.pth.tar",
        "mbt2018-mean-3-723404a8.pth.tar",
        "mbt2018-mean-mse-vbr-45d095e9.pth.tar",
        "epoch-5.pth",
    )
    for name in names:
        (tmp_path / name).touch()

    def found(architecture: str, metric: str = "mse", where: str = "") -> dict[int | None, str]:
        files = _weight_files(str(tmp_path / where), architecture, metric)
        return {quality: file.name for quality, file in files.items()}

    assert found("bmshj2018-hyperprior") == {3: names[0]}
    assert found("bmshj2018-hyperprior", "ms-ssim") == {3: names[1]}
    assert found("mbt2018-mean") == {3: names[2]}
    assert found("mbt2018-mean-vbr") == {None: names[3]}
    assert found("mbt2018-mean", where=names[2]) == {3: names[2]}
    assert found("mbt2018-mean", where=names[4]) == {None: names[4]}  # an epoch is no quality
    (tmp_path / "3.pth").touch()
    with pytest.raises(ArgumentError, match=r"two files .* are for quality 3"):
        found("mbt2018-mean")
    (tmp_path / "mbt2018-mean-vbr.pth").touch()
    with pytest.raises(ArgumentError, match=r"two files .* are for all qualities"):
        found("mbt2018-mean-vbr")


def test_downloads_come_from_the_cache_of_torch(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    urls = zoo.image.model_urls["bmshj2018-hyperprior"]["mse"]
    asked: list[str] = []

    def download(url: str, target: str, progress: bool) -> None:
        asked.append(url)
        shutil.copy(next(weights.glob("*-2-*")), target)

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    cache.mkdir(parents=True)
    shutil.copy(next(weights.glob("*-1-*")), cache / urls[1].rpartition("/")[2])
    coder = codec(NAME)
    assert coder.qualities == tuple(range(1, 9)) and asked == []
    coder.prepare(2)
    coder.prepare(2)
    assert asked == [urls[2]] and (cache / urls[2].rpartition("/")[2]).is_file()


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    with pytest.raises(ModelError, match=r"could not be downloaded .*Name or service not known"):
        codec("compressai/cheng2020-attn:metric=ms-ssim")
    with pytest.raises(ModelError, match="the zoo has no weights for metric 'ms-ssim'"):
        codec("compressai/mbt2018-vbr:metric=ms-ssim")
