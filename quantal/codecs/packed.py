"""Weights for the decoder in a browser: what decoding needs, and the graphs, as one file per codec.

    python -m quantal.codecs.packed FOLDER

writes them, and an index. A packed file is a safetensors file but for one thing, which makes it
compress better: of every array the first bytes of all elements stand first, then the second ones.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from quantal.codecs.backends.graphs import find_graphs, has_graphs
from quantal.codecs.registry import weights_files
from quantal.codecs.weights import NET, Array, read_header, read_weights
from quantal.outputs import create_folder, write_whole

__all__ = ["INDEX", "SUFFIX", "packed_files", "packed_index", "packed_weights", "write_packed"]

INDEX = "index.json"
SUFFIX = ".packed"
#: Networks that encoders alone run.
_ENCODING = re.compile(r"analysis(\..*)?|codes\..*|coefficients|z")
#: Tensors of networks that a decoder reads beside its graphs.
_BESIDE = re.compile(
    r"net\.(rungs\.\d+\.books\.\d+\.codebook|coefficient|level|amplitude|unit)",
)
_KEPT = ("format", "hash", "model")


def packed_weights(path: Path) -> bytes:
    """Return what a decoder needs of a weights file, with the graphs of its networks.

    Args:
        path: path to the file.

    Raises:
        ModelError: If it is damaged, or there are no graphs for it.
    """
    file = read_weights(path, [read_header(path).get("format", "")])
    folder = find_graphs(path, file.metadata)
    networks = {n: each for n, each in folder.networks.items() if not _ENCODING.fullmatch(n)}
    used = {name for network in networks.values() for name in network.weights}
    arrays = {
        name: _in_planes(array)
        for name, array in file.arrays.items()
        if not name.startswith(NET) or name in used or _BESIDE.fullmatch(name)
    }
    for name in networks:
        graph = (folder.path / f"{name}.onnx").read_bytes()
        arrays[f"graph.{name}"] = np.frombuffer(graph, np.uint8)
    about = {
        name: {"inputs": network.inputs, "reach": network.reach or 0}
        for name, network in networks.items()
    }
    metadata = {name: file.metadata[name] for name in _KEPT if name in file.metadata}
    return save(arrays, {**metadata, "graphs": json.dumps(about), "bytes": "planes"})


def _in_planes(array: Array) -> Array:
    """Return an array of the same type and shape, its bytes in planes."""
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    planes = np.ascontiguousarray(flat.view(np.uint8).reshape(-1, array.itemsize).T)
    return planes.reshape(-1).view(array.dtype).reshape(array.shape)


def packed_files() -> dict[str, list[Path]]:
    """Return the weights files that can be packed, by the names of codecs of pictures."""
    found = {
        codec: [path for path in paths if has_graphs(path)]
        for codec, paths in weights_files("picture").items()
    }
    return {codec: paths for codec, paths in found.items() if paths}


def packed_index() -> dict[str, list[dict[str, str]]]:
    """Return the packed files by the names of codecs: `file`, and the `hash` of its integers."""
    return {
        codec: [
            {"file": f"{path.stem}{SUFFIX}", "hash": read_header(path).get("hash", "")}
            for path in paths
        ]
        for codec, paths in packed_files().items()
    }


def write_packed(folder: Path, codecs: Collection[str] | None = None) -> dict[str, int]:
    """Write packed files, compressed, and their index.

    Args:
        folder: where to write.
        codecs: names of codecs; default: all that can be packed.

    Returns:
        Sizes in bytes by name.
    """
    create_folder(folder)
    index = {n: each for n, each in packed_index().items() if codecs is None or n in codecs}
    sizes = {}
    for path in [path for name in index for path in packed_files()[name]]:
        # Without a time, so that equal weights give equal files.
        data = gzip.compress(packed_weights(path), 9, mtime=0)
        write_whole(folder / f"{path.stem}{SUFFIX}", data)
        sizes[f"{path.stem}{SUFFIX}"] = len(data)
    write_whole(folder / INDEX, (json.dumps(index, indent=1) + "\n").encode())
    return sizes


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    for name, size in write_packed(parser.parse_args().folder).items():
        print(f"{name}  {size:,} bytes")


if __name__ == "__main__":
    _main()
