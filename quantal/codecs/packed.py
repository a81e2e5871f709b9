"""Weights for the decoder in a browser: what decoding needs, and the graphs, as one file per codec.

    python -m quantal.codecs.packed FOLDER

writes them, and an index. A codec of video whose frames are predicted by motion also needs the
analysis of its picture codec. A packed file is a safetensors file but for one thing, which makes it
compress better: of every array the first bytes of all elements stand first, then the second ones.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from quantal.codecs.backends.graphs import find_graphs, has_graphs
from quantal.codecs.registry import weights_files
from quantal.codecs.video import LAYOUT
from quantal.codecs.video.picture import find_picture
from quantal.codecs.weights import (
    NET,
    Array,
    WeightsFile,
    digest,
    model_sizes,
    read_header,
    read_weights,
)
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
_ANALYSIS = "analysis"


def packed_weights(path: Path) -> bytes:
    """Return what a decoder needs of a weights file, with the graphs of its networks.

    Args:
        path: path to the file.

    Raises:
        ModelError: If it is damaged, or there are no graphs for it.
    """
    file = _read(path)
    found = _Networks.of(file, lambda name: not _ENCODING.fullmatch(name))
    picture = _picture_of(path, file.metadata)
    if picture is not None:
        found |= _Networks.of(_read(picture), lambda name: name == _ANALYSIS)
    for name, array in file.arrays.items():
        if not name.startswith(NET) or _BESIDE.fullmatch(name):
            found.arrays[name] = array
    arrays = {name: _in_planes(array) for name, array in found.arrays.items()} | found.graphs
    metadata = {name: file.metadata[name] for name in _KEPT if name in file.metadata}
    return save(arrays, {**metadata, "graphs": json.dumps(found.about), "bytes": "planes"})


@dataclass(frozen=True)
class _Networks:
    """Networks as they are packed: their tensors, their graphs, and what is to know of each."""

    arrays: dict[str, Array]
    graphs: dict[str, Array]
    about: dict[str, dict[str, object]]

    @classmethod
    def of(cls, file: WeightsFile, wanted: Callable[[str], bool]) -> _Networks:
        """Return those networks of a weights file whose names are wanted."""
        folder = find_graphs(file.path, file.metadata)
        networks = {name: each for name, each in folder.networks.items() if wanted(name)}
        used = sorted({name for network in networks.values() for name in network.weights})
        return cls(
            {name: file.arrays[name] for name in used},
            {f"graph.{name}": _bytes(folder.path / f"{name}.onnx") for name in networks},
            {
                name: {"inputs": network.inputs, "reach": network.reach or 0}
                for name, network in networks.items()
            },
        )

    def __or__(self, other: _Networks) -> _Networks:
        return _Networks(
            self.arrays | other.arrays, self.graphs | other.graphs, self.about | other.about
        )


def _bytes(path: Path) -> Array:
    return np.frombuffer(path.read_bytes(), np.uint8)


def _read(path: Path) -> WeightsFile:
    return read_weights(path, [read_header(path).get("format", "")])


def _picture_of(path: Path, metadata: Mapping[str, str]) -> Path | None:
    """Return the weights of the picture codec whose analysis a codec needs, if it needs one."""
    if metadata.get("format") != LAYOUT:
        return None
    sizes = model_sizes(metadata["model"])
    if not sizes["motion"]:
        return None
    return find_picture(str(sizes["picture"]), str(sizes["picture_hash"]), path)


def _file_hash(path: Path) -> str:
    """Return the hash by which coded files name the model of a weights file."""
    metadata = read_header(path)
    own = metadata.get("hash", "")
    if metadata.get("format") != LAYOUT:
        return own
    picture = str(model_sizes(metadata["model"])["picture_hash"])
    parts = {"picture": bytes.fromhex(picture), "video": bytes.fromhex(own)}
    # As codecs.video.codec computes it, whose networks are not needed here.
    return digest(LAYOUT, {name: np.frombuffer(h, np.uint8) for name, h in parts.items()}).hex()


def _in_planes(array: Array) -> Array:
    """Return an array of the same type and shape, its bytes in planes."""
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    planes = np.ascontiguousarray(flat.view(np.uint8).reshape(-1, array.itemsize).T)
    return planes.reshape(-1).view(array.dtype).reshape(array.shape)


def packed_files() -> dict[str, list[Path]]:
    """Return the weights files that can be packed, by the names of codecs."""
    known = weights_files("picture") | weights_files("video")
    found = {codec: [path for path in paths if has_graphs(path)] for codec, paths in known.items()}
    return {codec: paths for codec, paths in found.items() if paths}


def packed_index() -> dict[str, list[dict[str, str]]]:
    """Return the packed files by the names of codecs: `file`, and the `hash` in coded files."""
    return {
        codec: [{"file": f"{path.stem}{SUFFIX}", "hash": _file_hash(path)} for path in paths]
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
