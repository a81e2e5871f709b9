"""Analysis and synthesis networks of a codec as ONNX files, for runtimes other than torch.

What decides how bits are read is not exported: it runs as integers in Quantal's own code, which no
runtime may re-order or fuse.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from quantal.codecs.contract import Codec
from quantal.codecs.pyramid.codec import STRIDE, PyramidCodec
from quantal.errors import ArgumentError, ModelError

__all__ = ["export_onnx", "onnx_paths"]

_OPSET = 18
#: An example's rows and columns of latents; larger than 1, or the exporter takes them as fixed.
_EXAMPLE = (6, 5)


class _Plain(nn.Module):
    """A transform of one argument, as an ONNX graph needs it."""

    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor) -> Tensor:
        return self.transform(x)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which prints its progress and warns about its own internals."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def onnx_paths(name: str, folder: str | Path) -> tuple[Path, Path]:
    """Return the paths that export_onnx() writes for a codec of this name."""
    return Path(folder) / f"{name}-analysis.onnx", Path(folder) / f"{name}-synthesis.onnx"


def export_onnx(codec: Codec, folder: str | Path) -> tuple[Path, Path]:
    """Write NAME-analysis.onnx and NAME-synthesis.onnx.

    The analysis maps `pixels` [batch, 3, 16 rows, 16 columns], float32 in 0..1, to `y` [batch, M,
    rows, columns]; the synthesis maps `y_hat` to `pixels`, not clipped. All sizes but the channels
    are free.

    Args:
        codec: with pyramid transforms.
        folder: where to write.

    Returns:
        The two paths.

    Raises:
        ArgumentError: If the codec has no such networks, or has windows or regions, whose grids
            don't allow free sizes. ModelError: If the package onnx or onnxscript is missing.
    """
    if not isinstance(codec, PyramidCodec):
        raise ArgumentError(f"codec {codec.name!r} has no networks that can be exported to ONNX")
    networks = codec.networks()
    kind = networks.analysis.kind
    if kind != "gated":
        raise ArgumentError(
            f"transforms of kind {kind!r} can't be exported to ONNX with free sizes; `gated` can"
        )
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f'ONNX export needs the package {error.name}: pip install "quantal[onnx]"'
        ) from error
    rows, columns = _EXAMPLE
    latents = torch.zeros(2, codec.latent_channels, rows, columns)
    pixels = torch.zeros(2, 3, rows * STRIDE, columns * STRIDE)
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = onnx_paths(codec.name, folder)
    ways = (
        (networks.analysis, "pixels", pixels, "y", STRIDE),
        (networks.synthesis, "y_hat", latents, "pixels", 1),
    )
    for path, (transform, source, example, result, unit) in zip(paths, ways, strict=True):
        batch, high, wide = (torch.export.Dim(n) for n in ("batch", "rows", "columns"))
        sizes: Any = ({0: batch, 2: unit * high, 3: unit * wide},)
        with _quiet():
            torch.onnx.export(
                _Plain(transform).cpu().eval(),  # the codec may be on a GPU
                (example,),
                path,
                input_names=[source],
                output_names=[result],
                dynamic_shapes=sizes,
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    return paths
