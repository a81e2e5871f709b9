"""CompressAI's models behind our interface: any size, every byte counted, clear errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quantal.errors import ArgumentError, ModelError
from quantal.eval.codecs import codec

zoo = pytest.importorskip("compressai.zoo", reason="CompressAI is not installed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights, named as the zoo names its own: what is tested is the plumbing."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for quality in (1, 2):
        state = zoo.models["bmshj2018-hyperprior"](quality=quality).state_dict()
        torch.save(state, folder / f"bmshj2018-hyperprior-{quality}-0a1b2c3d.pth.tar")
    return folder


def test_a_size_that_is_no_multiple_of_64(weights: Path, small_photograph: Image.Image) -> None:
    coder = codec(f"compressai/bmshj2018-hyperprior:weights={weights}")
    pixels = np.asarray(small_photograph)
    assert coder.qualities == (1, 2)
    data = coder.encode(pixels, 1)
    drawn = coder.decode(data)
    assert drawn.shape == pixels.shape and drawn.dtype == np.uint8
    floating = codec(f"compressai/bmshj2018-hyperprior:weights={weights},rounded=no").decode(data)
    assert np.array_equal(floating.round().astype(np.uint8), drawn)


def test_every_byte_of_the_strings_is_counted(weights: Path, small_photograph: Image.Image) -> None:
    coder = codec(f"compressai/bmshj2018-hyperprior:weights={weights}")
    pixels = np.asarray(small_photograph)
    network = zoo.models["bmshj2018-hyperprior"](quality=1)
    file = next(weights.glob("*-1-*"))
    network.load_state_dict(torch.load(file, weights_only=True))
    network.eval().update(force=True)
    padded = np.pad(pixels, ((0, -71 % 64), (0, -97 % 64), (0, 0)), mode="edge")
    with torch.inference_mode():
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        strings = network.compress(x)["strings"]
    content = sum(len(group[0]) for group in strings)
    # Beside the strings: which model, the sizes, how many strings, and their lengths.
    assert len(coder.encode(pixels, 1)) == content + 1 + 9 + 4 * len(strings)


def test_other_weights_are_another_version(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "1.pth"
    torch.save(zoo.models["bmshj2018-hyperprior"](quality=1).state_dict(), file)
    one = codec(f"compressai/bmshj2018-hyperprior:weights={weights}")
    other = codec(f"compressai/bmshj2018-hyperprior:weights={file}")
    assert other.qualities == (1,)
    assert one.version != other.version


def test_an_unknown_architecture() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'mbt2018-mean'"):
        codec("compressai/mbt2018-meen")


def test_no_weights_where_they_should_be(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no weights for .*expected a folder"):
        codec(f"compressai/mbt2018:weights={tmp_path / 'nowhere'}")
    with pytest.raises(ArgumentError, match="no weights for metric 'mse'"):
        codec(f"compressai/mbt2018:weights={weights}")  # they are another architecture's
    with pytest.raises(ArgumentError, match="no weights for metric 'ms-ssim'"):
        codec(f"compressai/bmshj2018-hyperprior:metric=ms-ssim,weights={weights}")
    file = next(weights.glob("*-1-*"))
    with pytest.raises(ModelError, match="of bmshj2018-hyperprior, expected mbt2018"):
        codec(f"compressai/mbt2018:weights={file}")
    coder = codec(f"compressai/bmshj2018-hyperprior:weights={weights}")
    with pytest.raises(ModelError, match="no weights for quality 7"):
        coder.encode(np.zeros((64, 64, 3), np.uint8), 7)


def test_a_folder_of_the_whole_zoo(weights: Path, tmp_path: Path) -> None:
    """As torch keeps its downloads: the files of the architecture and metric, and no others."""
    from quantal.eval.zoo import _weight_files

    names = (
        "bmshj2018-hyperprior-3-1bf3e4a5.pth.tar",
        "bmshj2018-hyperprior-ms-ssim-3-92dd7878.pth.tar",
        "mbt2018-mean-3-723404a8.pth.tar",
        "mbt2018-mean-mse-vbr-45d095e9.pth.tar",
        "epoch-5.pth",
    )
    for name in names:
        (tmp_path / name).touch()

    def found(architecture: str, metric: str = "mse", where: str = "") -> dict[int, str]:
        values = {"weights": str(tmp_path / where), "metric": metric}
        return {q: f.name for q, f in _weight_files(values, architecture).items()}

    assert found("bmshj2018-hyperprior") == {3: names[0]}
    assert found("bmshj2018-hyperprior", "ms-ssim") == {3: names[1]}
    assert found("mbt2018-mean") == {3: names[2]}
    assert found("mbt2018-mean-vbr") == {0: names[3]}
    assert found("mbt2018-mean", where=names[2]) == {3: names[2]}
    assert found("mbt2018-mean", where=names[4]) == {0: names[4]}  # an epoch is no quality
    (tmp_path / "3.pth").touch()
    with pytest.raises(ArgumentError, match=r"two files .* are for quality 3"):
        found("mbt2018-mean")


def test_a_download_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("compressai.zoo.image.load_state_dict_from_url", refuse)
    with pytest.raises(ModelError, match="no weights can be had from the zoo's download"):
        codec("compressai/cheng2020-attn:metric=ms-ssim")
