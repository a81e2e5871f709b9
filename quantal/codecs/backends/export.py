"""Graphs of a codec's networks for ONNX Runtime, written by torch: without weights.

Weights that the exporter has folded into something else would be lost with every new training, so
each initialiser of more than a few values has to be a tensor of the weights file.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantal.codecs.backends.graphs import GraphFolder, Network, kind_of
from quantal.codecs.backends.torch import CodecNet
from quantal.codecs.weights import WeightsFile
from quantal.entropy.models.base import Shape
from quantal.errors import ModelError, OutputError

__all__ = ["export_graphs"]

_OPSET = 18
#: Values that a graph may hold itself.
_INLINE = 64
#: An example's sizes; larger than 1, or the exporter takes them as fixed.
_EXAMPLE = {"b": 2, "h": 6, "w": 5}


class _Named(nn.Module):
    """A network of a name as a module, with the parameters of all networks behind it."""

    def __init__(self, net: nn.Module, run: Callable[..., Tensor], shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.net, self._shapes = net, shapes
        # As a function: a module would be registered, and its parameters get a second name.
        self._run: Callable[..., Tensor] = lambda *inputs: run(*inputs)

    def forward(self, *inputs: Tensor) -> Tensor:
        given, *_ = rest = list(inputs)
        # What has no channels is no input of a graph.
        arrays = [given[:, :0] if 0 in shape else rest.pop(0) for shape in self._shapes]
        return self._run(*arrays, *rest)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which prints its progress and warns about its own internals."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _size(size: int | str) -> int:
    if isinstance(size, int):
        return size
    unit, letter = re.fullmatch(r"(\d*)([hw])", size).groups()  # type: ignore[union-attr]
    return int(unit or 1) * _EXAMPLE[letter]


def _dimension(size: int | str, dims: Mapping[str, Any]) -> Any:
    if isinstance(size, int):
        return None
    unit, letter = re.fullmatch(r"(\d*)([hw])", size).groups()  # type: ignore[union-attr]
    return int(unit or 1) * dims[letter] if unit else dims[letter]


def export_graphs(net: CodecNet, file: WeightsFile, folder: Path) -> GraphFolder:
    """Write a folder of graphs; it appears whole or not at all.

    Args:
        net: the networks.
        file: their weights file.
        folder: where to write; replaced.

    Raises:
        ModelError: If a graph would need values that are not in the weights file.
    """
    networks, transforms, names = net.networks(), net.transforms(), net.stored_names()
    shapes = net.shapes()
    found = {}
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        for name, run in networks.items():
            network = _export(Path(made), name, net, run, shapes[name], names, file)
            span = transforms.get(name)
            found[name] = Network(
                **network,
                reach=getattr(span, "reach", None),
                alignment=getattr(span, "alignment", None),
            )
        done = GraphFolder(Path(made), kind_of(file.metadata), found)
        done.write()
        whole = Path(made, "whole")
        whole.mkdir()
        for path in [p for p in Path(made).iterdir() if p.is_file()]:
            shutil.copyfile(path, whole / path.name)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            whole.rename(folder)
        except OSError as error:
            raise OutputError(f"{folder} can't be written: {error.strerror or error}") from error
    return GraphFolder.read(folder)


def _export(
    folder: Path,
    name: str,
    net: Any,
    run: Callable[..., Tensor],
    shapes: Sequence[Shape],
    names: Mapping[str, str],
    file: WeightsFile,
) -> dict[str, Any]:
    """Write NAME.onnx, and return the fields of its Network."""
    given = [shape for shape in shapes if 0 not in shape]
    inputs = [f"x{place}" for place in range(len(given))]
    batch = _EXAMPLE["b"]
    examples = [torch.zeros(batch, *map(_size, shape)) for shape in given]
    dims = {letter: torch.export.Dim(letter) for letter in "bhw"}
    dynamic: list[Any] = [
        {0: dims["b"]}
        | {n: d for n, s in enumerate(shape, 1) if (d := _dimension(s, dims)) is not None}
        for shape in given
    ]
    path = folder / f"{name}.onnx"
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            _Named(net, run, shapes).eval(),
            (*examples, torch.ones(1)),
            path,
            input_names=[*inputs, "rate"],
            output_names=["y"],
            dynamic_shapes=((*dynamic, None),),
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
            optimize=False,  # which would fold weights into new values
        )
    return _without_weights(path, given, names, file)


def _without_weights(
    path: Path, shapes: Sequence[Shape], names: Mapping[str, str], file: WeightsFile
) -> dict[str, Any]:
    """Make a graph's weights external, and return the fields of its Network."""
    import onnx

    model = onnx.load(path)
    _check_sizes(model, path.name, shapes)
    weights, offset = [], 0
    for initialiser in model.graph.initializer:
        array = onnx.numpy_helper.to_array(initialiser)
        if array.size <= _INLINE and not initialiser.name.startswith("net."):
            continue
        own = names.get(initialiser.name.removeprefix("net."))
        stored = None if own is None else file.arrays.get(own)
        if own is None or stored is None or not np.array_equal(array, stored.astype(array.dtype)):
            raise ModelError(
                f"graph {path.name} needs {initialiser.name} {array.shape}, which is not a tensor "
                f"of {file.path.name}: write the network so that the exporter keeps its weights"
            )
        _rename(model, initialiser.name, own)
        initialiser.Clear()
        initialiser.name, initialiser.data_type = own, onnx.TensorProto.FLOAT
        initialiser.dims.extend(array.shape)
        initialiser.data_location = onnx.TensorProto.EXTERNAL
        place = {"location": "weights", "offset": offset, "length": array.nbytes}
        for key, value in place.items():
            initialiser.external_data.add(key=key, value=str(value))
        weights.append(own)
        offset += array.nbytes
    _keep_layout(model)
    used = {name for node in model.graph.node for name in node.input}
    inputs = [value.name for value in model.graph.input if value.name in used]
    for value in [v for v in model.graph.input if v.name not in used]:
        model.graph.input.remove(value)
    _trim(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return {"inputs": tuple(inputs), "rated": "rate" in inputs, "weights": tuple(weights)}


def _check_sizes(model: Any, name: str, shapes: Sequence[Shape]) -> None:
    """Raise ModelError if the exporter has fixed a size that is free."""
    for value, shape in zip(model.graph.input, shapes, strict=False):
        dims = value.type.tensor_type.shape.dim
        for place, (dim, size) in enumerate(zip(dims, ("b", *shape), strict=True)):
            if isinstance(size, str) and not dim.dim_param:
                raise ModelError(
                    f"graph {name} takes {dim.dim_value} along axis {place} of {value.name}, "
                    "expected any size: write the network without len() and fixed sizes"
                )


def _rename(model: Any, old: str, new: str) -> None:
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
    for value in model.graph.output:
        if value.name == old:
            value.name = new


def _keep_layout(model: Any) -> None:
    """Put a convolution by ones before sums that begin a chain of residual blocks.

    ONNX Runtime arranges channels in blocks between convolutions, and keeps it so in sums if both
    sides are convolutions' results. Otherwise every sum of the chain is arranged twice.
    """
    import onnx

    graph, channels = model.graph, {}
    weights = {initialiser.name: initialiser for initialiser in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in weights:
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            channels[node.input[0]] = weights[node.input[1]].dims[1] * groups
    blocked: set[str] = set()
    for node in graph.node:
        sums = node.op_type in ("Add", "Mul") and blocked.issuperset(node.input)
        if node.op_type == "Conv" or sums:
            blocked.update(node.output)
    added = {name for node in graph.node if node.op_type == "Add" for name in node.input}
    for name in sorted((added & channels.keys()) - blocked):
        count = channels[name]
        for node in graph.node:
            node.input[:] = [f"{name}.blocks" if own == name else own for own in node.input]
        graph.initializer.append(
            onnx.numpy_helper.from_array(np.ones((count, 1, 1, 1), np.float32), f"{name}.ones")
        )
        made = onnx.helper.make_node(
            "Conv", [name, f"{name}.ones"], [f"{name}.blocks"], group=count, kernel_shape=[1, 1]
        )
        place = next((n for n, node in enumerate(graph.node, 1) if name in node.output), 0)
        graph.node.insert(place, made)


def _trim(model: Any) -> None:
    """Remove what says how a graph came about: it is half of the file, and differs by machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for part in (model, model.graph, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    del model.graph.value_info[:]
    for initialiser in model.graph.initializer:
        del initialiser.metadata_props[:]
    model.ClearField("producer_version")
