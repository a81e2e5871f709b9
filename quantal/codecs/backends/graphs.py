"""Graphs of networks for ONNX Runtime: where they are, and which weights they fit.

A folder holds the graphs of one kind and size of networks, without weights: `index.json` says
which, and what each graph takes; NAME.onnx is the graph of network NAME, whose initialisers are
external and named as in files of weights. Folders ship with the package; one beside a file of
weights, FILE.graphs for FILE.safetensors, is taken first.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from quantal.codecs.weights import read_header
from quantal.errors import ModelError

__all__ = ["GRAPHS", "GraphFolder", "Network", "find_graphs", "has_graphs", "kind_of"]

#: Where the graphs that ship lie.
GRAPHS = Path(__file__).parents[2] / "graphs"
_INDEX = "index.json"


@dataclass(frozen=True)
class Network:
    """One graph.

    Attributes:
        inputs: names of its inputs, in order; `rate` comes last.
        rated: whether it takes the rate.
        weights: names of its initialisers in files of weights.
        reach: see backends.base.Transform.
        alignment: likewise.
    """

    inputs: tuple[str, ...]
    rated: bool
    weights: tuple[str, ...]
    reach: int | None = None
    alignment: int | None = None


@dataclass(frozen=True)
class GraphFolder:
    """The graphs of one kind and size of networks.

    Attributes:
        path: the folder.
        kind: see kind_of().
        networks: by name.
    """

    path: Path
    kind: str
    networks: dict[str, Network]

    @classmethod
    def read(cls, path: Path) -> GraphFolder:
        """Read a folder's index.

        Raises:
            ModelError: If it is none, or damaged.
        """
        try:
            index = json.loads((path / _INDEX).read_text(encoding="utf-8"))
            networks = {n: _network(fields) for n, fields in dict(index["networks"]).items()}
            return cls(path, str(index["kind"]), networks)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise ModelError(
                f"the graphs in {path.name} can't be read: {error!r:.80}; install them anew"
            ) from error

    def network(self, name: str) -> Network:
        """Return a network.

        Raises:
            ModelError: If there is none of this name.
        """
        found = self.networks.get(name)
        if found is None:
            raise ModelError(
                f"the graphs in {self.path.name} lack network {name!r}; install them anew"
            )
        return found

    def write(self) -> None:
        """Write the index; the graphs are there."""
        networks = {
            name: {key: value for key, value in vars(network).items() if value is not None}
            for name, network in self.networks.items()
        }
        text = json.dumps({"kind": self.kind, "networks": networks}, indent=1)
        (self.path / _INDEX).write_text(text + "\n", encoding="utf-8")


def _network(fields: dict[str, Any]) -> Network:
    def span(name: str) -> int | None:
        found = dict(fields).get(name)
        if found is not None and not (isinstance(found, int) and found >= 0):
            raise ValueError(f"{name} is {found!r:.20}")
        return found

    inputs, weights = (tuple(map(str, list(fields[name]))) for name in ("inputs", "weights"))
    return Network(inputs, bool(fields["rated"]), weights, span("reach"), span("alignment"))


def kind_of(metadata: dict[str, str]) -> str:
    """Return the kind and the sizes of the networks in a weights file, as text."""
    try:
        sizes = json.dumps(json.loads(metadata.get("model", "")), sort_keys=True)
    except (ValueError, TypeError, RecursionError):  # of damaged weights, which say so elsewhere
        return ""
    return f"{metadata.get('format')} {sizes}"


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Path]:
    found = {}
    for index in sorted(GRAPHS.glob(f"*/{_INDEX}")):
        # A damaged folder is skipped: a codec that needs it gets the error of missing graphs.
        with contextlib.suppress(ModelError):
            found[GraphFolder.read(index.parent).kind] = index.parent
    return found


def _folder(path: Path, metadata: dict[str, str]) -> Path | None:
    beside = path.with_suffix(".graphs")
    return beside if beside.is_dir() else _shipped().get(kind_of(metadata))


def has_graphs(path: Path) -> bool:
    """Return whether there are graphs for a weights file; reads its header alone."""
    return _folder(path, read_header(path)) is not None


def find_graphs(path: Path, metadata: dict[str, str]) -> GraphFolder:
    """Return the graphs for a weights file.

    Args:
        path: path to the weights file.
        metadata: metadata of that file.

    Raises:
        ModelError: If there are none, or they are of other networks.
    """
    folder = _folder(path, metadata)
    if folder is None:
        raise ModelError(
            f"no graphs fit the networks of {path.name}, whose sizes are its own; use backend "
            "'torch', or write graphs beside it: quantal onnx --graphs",
            code="install",
        )
    found = GraphFolder.read(folder)
    if found.kind != kind_of(metadata):
        raise ModelError(
            f"the graphs in {folder.name} are of other networks than {path.name}; remove them, or "
            "write them anew: quantal onnx --graphs"
        )
    return found
