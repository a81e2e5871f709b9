"""Weights files: named arrays with a layout, hashes and a card, as safetensors.

Floating-point networks are float16. Everything that decides how bits are read is integers; their
hash is in every coded file. A hash of the floats serves to detect damage. Each family defines what
the arrays mean. No torch is needed here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from quantal import arguments
from quantal.errors import ModelError
from quantal.names import shown
from quantal.outputs import write_whole

__all__ = [
    "Array",
    "WeightsFile",
    "digest",
    "find_weights",
    "model_sizes",
    "read_header",
    "read_weights",
    "renamed",
    "sound_weights",
    "write_weights",
]

Array = npt.NDArray[Any]

#: Prefix of the names of networks' tensors.
NET = "net."
#: The longest header of a weights file, in bytes.
_HEADER_LIMIT = 1 << 24


@dataclass(frozen=True)
class WeightsFile:
    """A weights file that was read; its hashes are not yet checked.

    Attributes:
        path: path to the file.
        layout: names the meaning of its arrays.
        arrays: by name.
        metadata: texts by name.
    """

    path: Path
    layout: str
    arrays: dict[str, Array]
    metadata: dict[str, str]

    def sizes(self) -> dict[str, Any]:
        """Return the sizes of the networks; raises ValueError or KeyError if there are none."""
        return model_sizes(self.metadata["model"])

    def check(self, integers: Mapping[str, Array]) -> bytes:
        """Check the hashes.

        Args:
            integers: everything that decides how bits are read.

        Returns:
            The hash of the integers.

        Raises:
            ModelError: If integers or floats don't have the hashes that the file states.
        """
        floats = {
            name: value
            for name, value in self.arrays.items()
            if name.startswith(NET) and name not in integers
        }
        self._check(floats, "floats")
        # What decides nothing about bits has no such hash.
        return self._check(integers, "hash") if integers else b""

    def _check(self, arrays: Mapping[str, Array], name: str) -> bytes:
        found = digest(self.layout, arrays)
        if found.hex() != self.metadata.get(name):
            raise ModelError(
                f"weights {self.path.name} do not have the hash they state; install them anew"
            )
        return found


def model_sizes(text: str) -> dict[str, Any]:
    """Return sizes of networks from JSON; raises ValueError for anything else."""
    sizes = json.loads(text)
    if not isinstance(sizes, dict):
        raise ValueError(f"sizes are {sizes!r:.80}, expected names with numbers")
    return sizes


def digest(layout: str, arrays: Mapping[str, Array]) -> bytes:
    """Return the first 4 bytes of a SHA-256 over names, types, shapes and values."""
    found = hashlib.sha256(layout.encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return found.digest()[:4]


def renamed(names: Sequence[str], words: Mapping[str, str]) -> dict[str, str]:
    """Return new names of tensors, with whole words between dots replaced.

    Layers may be renamed in code; the names in files of a layout stay.

    >>> renamed(["blocks.0.qkv.weight"], {"qkv": "ask"})
    {'blocks.0.qkv.weight': 'blocks.0.ask.weight'}
    """
    return {name: ".".join(words.get(word, word) for word in name.split(".")) for name in names}


def write_weights(
    path: Path,
    layout: str,
    floats: Mapping[str, Array],
    integers: Mapping[str, Array],
    texts: Mapping[str, str],
) -> bytes:
    """Write a weights file, whole or not at all.

    Args:
        path: path to the file.
        layout: names the meaning of the arrays.
        floats: float16 arrays by name; names start with "net.".
        integers: everything that decides how bits are read, by name.
        texts: further metadata, such as "model" and "card".

    Returns:
        The hash of the integers.
    """
    found = digest(layout, integers)
    metadata = {
        "format": layout,
        **texts,
        "hash": found.hex(),
        "floats": digest(layout, floats).hex(),
    }
    arrays = {name: np.ascontiguousarray(value) for name, value in {**floats, **integers}.items()}
    data = save(arrays, metadata)
    write_whole(path, data)  # save_file()'s can be read by their owner alone
    return found


def read_weights(path: Path, layouts: Sequence[str]) -> WeightsFile:
    """Read a weights file.

    Args:
        path: path to the file.
        layouts: those that are accepted.

    Raises:
        ModelError: If it is missing, damaged or of another layout.
    """
    try:
        with safe_open(path, framework="np") as file:
            # Copies: the file may be rewritten while a codec is in use.
            arrays = {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    # safetensors raises AttributeError and TypeError for types that numpy lacks.
    except (OSError, SafetensorError, AttributeError, TypeError) as error:
        raise ModelError(
            f"weights {path.name} can't be read: {error}; install them anew, or name others"
        ) from error
    layout = metadata.get("format", "")
    if layout not in layouts:
        known = " or ".join(map(repr, layouts))
        raise ModelError(
            f"weights {path.name} are of another codec: they say format {layout!r}, expected "
            f"{known}"
        )
    return WeightsFile(path, layout, arrays, metadata)


@contextlib.contextmanager
def sound_weights(file: WeightsFile) -> Iterator[None]:
    """Turn errors that arrays of a wrong kind cause into a ModelError that names the file."""
    try:
        yield
    except (LookupError, TypeError, ValueError, RuntimeError, ModelError) as error:
        raise ModelError(
            f"weights {file.path.name} are damaged: {error}; install them anew"
        ) from error


def read_header(path: Path) -> dict[str, str]:
    """Return the metadata of a weights file without reading its arrays; empty if there is none."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, _HEADER_LIMIT)))
        metadata = header["__metadata__"]
    except (OSError, struct.error, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def find_weights(path: str | os.PathLike[str]) -> Path:
    """Return the path of a weights file that a user named.

    Raises:
        ModelError: If there is no such file.
    """
    found = Path(arguments.path("file of weights", path)).expanduser()
    if not found.is_file():
        raise ModelError(f"{shown(found)} is not a file of weights; name a file that is there")
    return found
