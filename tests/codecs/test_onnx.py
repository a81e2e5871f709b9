"""Networks exported to ONNX compute in onnxruntime what they compute in torch, at any size."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import quantal
from quantal.codecs.hyperprior.net import HyperpriorConfig, HyperpriorNet
from quantal.codecs.pyramid.codec import PyramidCodec
from quantal.codecs.pyramid.onnx import export_onnx
from quantal.errors import ArgumentError

sys.path.insert(0, str(Path(__file__).parent))

from small import write_small, write_untrained

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason="comes with the extras `onnx` and `eval`")


@pytest.fixture(scope="module", params=["hyperprior", "context-s"])
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PyramidCodec:
    """The codec that ships, and a small untrained one of the other family."""
    folder = tmp_path_factory.mktemp("weights")
    small = write_small(folder / "small", "core", True) if request.param == "context-s" else None
    loaded = quantal.load(request.param, "cpu", weights=small)
    assert isinstance(loaded, PyramidCodec)
    return loaded


@pytest.fixture(scope="module")
def exported(codec, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return export_onnx(codec, tmp_path_factory.mktemp("onnx"))


@pytest.mark.parametrize("shape", [(1, 64, 80), (3, 16, 16), (1, 208, 112)])
def test_onnxruntime_gives_what_torch_gives(codec, exported, shape) -> None:
    import onnxruntime

    batch, height, width = shape
    pixels = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))
    analysis, synthesis = (onnxruntime.InferenceSession(str(path)) for path in exported)
    with torch.inference_mode():
        networks = codec.networks()
        y = networks.analysis(pixels)
        drawn = networks.synthesis(y)
    (y_other,) = analysis.run(None, {"pixels": pixels.numpy()})
    (drawn_other,) = synthesis.run(None, {"y_hat": y.numpy()})
    assert y_other.shape == (batch, codec.latent_channels, height // 16, width // 16)
    np.testing.assert_allclose(y_other, y.numpy(), atol=2e-5)
    np.testing.assert_allclose(drawn_other, drawn.numpy(), atol=2e-5)


@pytest.mark.parametrize("kind", ["window", "region"])
def test_a_grid_that_sizes_are_not_free_of_is_named(kind, tmp_path: Path) -> None:
    sizes = {"z_channels": 6, "hyper_width": 8, "mean_width": 8, "scale_width": 8}
    net = HyperpriorNet(HyperpriorConfig((8, 16, 16), (1, 1, 1), **sizes, kind=kind))  # type: ignore[arg-type]
    write_untrained(tmp_path / "weights", net)
    codec = quantal.load("hyperprior", "cpu", weights=tmp_path / "weights")
    with pytest.raises(ArgumentError, match=f"kind '{kind}' can't be exported .*; `gated` can"):
        export_onnx(codec, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_a_codec_without_such_networks_is_named(tmp_path: Path) -> None:
    class Other:
        name = "other"

    with pytest.raises(ArgumentError, match="'other'"):
        export_onnx(Other(), tmp_path)  # type: ignore[arg-type]
