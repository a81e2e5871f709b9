"""A file of named tensors with texts beside them, as all our weights are: safetensors, hashed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from quantal.errors import ModelError

__all__ = ["check_digest", "digest", "load_tensors", "save_tensors"]


def digest(layout: str, tensors: Mapping[str, Tensor]) -> bytes:
    """First 4 bytes of a SHA-256 over names, types, shapes and values (little endian)."""
    found = hashlib.sha256(layout.encode())
    for name in sorted(tensors):
        array = tensors[name].numpy()
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return found.digest()[:4]


def check_digest(
    path: Path, layout: str, tensors: Mapping[str, Tensor], stated: str | None
) -> bytes:
    """The digest of tensors, if it is the stated one; else ModelError."""
    found = digest(layout, tensors)
    if found.hex() != stated:
        raise ModelError(f"weights {path.name} do not have the hash they state; install them anew")
    return found


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file, whole or not at all."""
    data = save({name: value.contiguous() for name, value in tensors.items()}, metadata)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)  # save_file()'s can be read by their owner alone
    os.replace(partial, path)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of a file; ModelError if it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            # Copies: the file itself may be written anew while a codec lives.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"weights {path.name} can't be read: {error}; install them anew, or name others"
        ) from error
