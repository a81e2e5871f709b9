"""Networks exported to ONNX compute in onnxruntime what they compute in torch, at any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import quantal
from quantal.codecs._pyramid import PyramidCodec
from quantal.codecs.onnx import export_onnx
from quantal.errors import ArgumentError

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package, reason="comes with the extras `onnx` and `eval`")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return export_onnx(quantal.load("hyperprior", "cpu"), tmp_path_factory.mktemp("onnx"))


@pytest.mark.parametrize("shape", [(1, 64, 80), (3, 16, 16), (1, 208, 112)])
def test_onnxruntime_gives_what_torch_gives(exported, shape) -> None:
    import onnxruntime

    codec = quantal.load("hyperprior", "cpu")
    assert isinstance(codec, PyramidCodec)
    batch, height, width = shape
    pixels = torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))
    analysis, synthesis = (onnxruntime.InferenceSession(str(path)) for path in exported)
    with torch.inference_mode():
        y = codec.net.analysis(pixels)
        drawn = codec.net.synthesis(y)
    (y_other,) = analysis.run(None, {"pixels": pixels.numpy()})
    (drawn_other,) = synthesis.run(None, {"y_hat": y.numpy()})
    assert y_other.shape == (batch, codec.latent_channels, height // 16, width // 16)
    np.testing.assert_allclose(y_other, y.numpy(), atol=2e-5)
    np.testing.assert_allclose(drawn_other, drawn.numpy(), atol=2e-5)


def test_a_codec_without_such_networks_is_named(tmp_path: Path) -> None:
    class Other:
        name = "other"

    with pytest.raises(ArgumentError, match="'other'"):
        export_onnx(Other(), tmp_path)  # type: ignore[arg-type]
