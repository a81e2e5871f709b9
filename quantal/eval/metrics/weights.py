"""Weights of metrics' networks, from a folder or by download.

A file is used if its name starts with the network's: `alexnet*.pth`, `vgg16*.safetensors`. Only
tensors are unpickled.
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
    """Load the convolutions of torchvision's "alexnet" or "vgg16": {"features.0.weight": ...}.

    Args:
        network: "alexnet" or "vgg16".
        folder: Folder with weights; None to download them.
        purpose: What needs them, such as "metric 'lpips'", for error messages.

    Raises:
        ArgumentError: The weights are missing or not those of the network.
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
    """Load the tensors of a file in a folder, or else of a download, which torch caches.

    Args:
        name: Beginning of the file's name.
        folder: Folder with weights; None to download them.
        url: Address of the download.
        purpose: What needs them, for error messages.

    Raises:
        ArgumentError: There is no such file and the download fails, or the file is invalid.
    """
    path = _find(name, folder)
    if path is not None:
        return _read(path, purpose)
    try:
        return torch.hub.load_state_dict_from_url(
            url,
            map_location="cpu",
            weights_only=True,
            check_hash=True,  # where the name of the file has one
            progress=sys.stderr.isatty(),
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        where = f"there is no {name}* in {folder}" if folder else "no folder of weights was given"
        raise ArgumentError(
            f"{purpose} needs the weights {name}: {where}, and {url} could not be downloaded "
            f"({error}); download that file by other means and name its folder with --weights"
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
