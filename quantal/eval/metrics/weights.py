"""Where the weights of metrics' networks come from: a folder of the user's, or the usual download.

A file serves whose name begins with the network's: `alexnet*.pth`, `vgg16*.safetensors`. Nothing
is unpickled but tensors.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quantal.errors import ArgumentError

__all__ = ["convolutions", "load"]

_SUFFIXES = (".safetensors", ".pth", ".pt")
_TORCHVISION = {"alexnet": "AlexNet_Weights", "vgg16": "VGG16_Weights"}


def convolutions(network: str, folder: Path | None, purpose: str) -> dict[str, Tensor]:
    """The convolutions of torchvision's "alexnet" or "vgg16": {"features.0.weight": ...}.

    purpose: such as "metric 'lpips'", for the ArgumentError that says what is missing.
    """
    import torchvision

    url = getattr(torchvision.models, _TORCHVISION[network]).IMAGENET1K_V1.url
    state = load(network, folder, url, purpose)
    kept = {k: v for k, v in state.items() if k.startswith("features.")}
    if not kept:
        raise ArgumentError(
            f"{purpose}: the weights of {network} have no 'features.0.weight'; "
            f"expected the keys of torchvision's {network}"
        )
    return kept


def load(name: str, folder: Path | None, url: str, purpose: str) -> Any:
    """The tensors of the file in a folder whose name begins with `name`, or else of a download.

    A download goes to torch's cache and is not repeated. ArgumentError if neither can be had.
    """
    path = _find(name, folder)
    if path is not None:
        return _read(path, purpose)
    try:
        return torch.hub.load_state_dict_from_url(
            url, map_location="cpu", weights_only=True, progress=sys.stderr.isatty()
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        where = f"there is no {name}* in {folder}" if folder else "no folder of weights was given"
        raise ArgumentError(
            f"{purpose} needs the weights {name}: {where}, and {url} can't be had ({error}); "
            f"fetch that file elsewhere and pass its folder with --weights"
        ) from error


def _find(name: str, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    files = (p for p in folder.iterdir() if p.name.lower().startswith(name))
    return min((p for p in files if p.suffix in _SUFFIXES), default=None)


def _read(path: Path, purpose: str) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise ArgumentError(f"{purpose}: {path} holds no weights: {error}") from error
