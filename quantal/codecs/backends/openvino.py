"""OpenVINO as the library that runs transforms, in float32 or in bfloat16; the rest is as by ONNX.

Bits are read by integers, and what stands between symbols and latents runs in float32 in any case.
A transform in bfloat16 is fast where the processor has units for it (AMX), and less exact: at high
rates its errors would be seen. Which rates it may draw is stated (`Precision.bfloat16_until`).
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantal.codecs.backends.base import Transform
from quantal.codecs.backends.graphs import GraphFolder, find_graphs
from quantal.codecs.backends.onnx import OnnxNetworks, leave_alone, thread_count
from quantal.codecs.weights import WeightsFile
from quantal.entropy.exact import ExactNet
from quantal.entropy.walk import FloatArray
from quantal.errors import ArgumentError, InstallError, ModelError

__all__ = ["ALL_RATES", "OpenVinoBackend", "OpenVinoNetworks", "Precision", "has_bfloat16"]

#: Above every position on the rate axis, and below.
ALL_RATES, NO_RATE = 64.0, -1.0
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Precision:
    """What runs transforms.

    Attributes:
        float32: "openvino" or "onnx", where float32 is wanted.
        bfloat16_until: the highest position on the rate axis at which pictures are drawn in
            bfloat16; analyses are in bfloat16 only if that is ALL_RATES.
    """

    float32: str = "openvino"
    bfloat16_until: float = NO_RATE


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise InstallError(
            f"OpenVINO can't be loaded: {error}; pip install 'quantal[openvino]'"
        ) from error
    return openvino


def _core() -> Any:
    return _openvino().Core()


def has_bfloat16() -> bool:
    """Return whether the processor has units for bfloat16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoNetworks(OnnxNetworks):
    """The networks of a weights file: transforms by OpenVINO, others by ONNX Runtime.

    Args:
        file: the weights file.
        folder: the graphs of its networks.
        precision: of transforms.

    Attributes:
        precision: see above.
    """

    def __init__(self, file: WeightsFile, folder: GraphFolder, precision: Precision) -> None:
        super().__init__(file, folder)
        self.precision = precision

    def _renew(self) -> None:
        super()._renew()
        self._compiled: dict[tuple[str, str], Any] = {}
        self._running = threading.Lock()

    def after_fork(self) -> None:
        leave_alone(self._compiled)
        super().after_fork()

    def transform(self, name: str) -> Transform:
        network = self._folder.networks[name]

        def run(plane: FloatArray, rate: float = ALL_RATES) -> FloatArray:
            kind = "bfloat16" if rate <= self.precision.bfloat16_until else "float32"
            if kind == "float32" and self.precision.float32 == "onnx":
                return self(name, 0.0, plane)
            return self.by_openvino(name, kind, plane)

        return Transform(run, network.reach, network.alignment)

    def prepare(self, *but: str) -> None:
        """Load what ONNX Runtime runs; see NamedNetworks."""
        transforms = [name for name, each in self._folder.networks.items() if each.reach]
        super().prepare(*but, *transforms)

    def by_openvino(self, name: str, kind: str, plane: FloatArray) -> FloatArray:
        """Run a transform.

        Args:
            name: name of the network.
            kind: "float32" or "bfloat16".
            plane: float32 [C, h, w].
        """
        with self._running:  # a request serves one thread at a time
            request = self._compiled.get((name, kind))
            if request is None:
                request = self._compiled[name, kind] = self._compile(name, kind)
            try:
                found = request.infer([np.ascontiguousarray(plane[None])], share_inputs=True)
            except RuntimeError as error:
                raise self._failure(error, name) from error
            result: FloatArray = next(iter(found.values()))[0].copy()
            return result

    def _compile(self, name: str, kind: str) -> Any:
        core = _core()
        graph = Path(self._folder.path, f"{name}.onnx")
        settings = {
            # Stated in any case: left alone, OpenVINO takes bfloat16 where there is any.
            "INFERENCE_PRECISION_HINT": _HINTS[kind],
            "INFERENCE_NUM_THREADS": thread_count(),
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        try:
            with tempfile.TemporaryDirectory() as folder:
                # Beside the graph, in its order, is where it says that its initialisers are.
                with Path(folder, "weights").open("wb") as file:
                    for weight in self._folder.networks[name].weights:
                        file.write(self.value(weight).tobytes())
                path = Path(folder, graph.name)
                path.write_bytes(graph.read_bytes())
                model = core.read_model(path)
                return core.compile_model(model, "CPU", settings).create_infer_request()
        except OSError as error:
            raise ModelError(f"graph {graph.name} can't be prepared: {error}") from error
        except RuntimeError as error:
            raise self._failure(error, name) from error

    @staticmethod
    def _failure(error: RuntimeError, name: str) -> Exception:
        """Return an error of OpenVINO as ours."""
        if "alloc" in str(error):
            return MemoryError(str(error))
        return ModelError(
            f"OpenVINO {_openvino().__version__} can't run graph {name}.onnx: "
            f"{str(error)[:300]}; use backend 'onnx'"
        )


class OpenVinoBackend:
    """Runs transforms by OpenVINO; a Backend.

    Args:
        precision: "float32", "bfloat16" or "auto", for which codecs.trial finds out what is
            faster and exact enough.

    Raises:
        ArgumentError: If bfloat16 is asked for, and the processor has no units for it.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, precision: str = "float32") -> None:
        if precision == "bfloat16" and not has_bfloat16():
            raise ArgumentError(
                "precision 'bfloat16' was asked for, and this processor has no units for it; use "
                "'float32', or 'auto'"
            )
        until = ALL_RATES if precision == "bfloat16" else NO_RATE
        self._precision = Precision(bfloat16_until=until)

    def networks(self, file: WeightsFile, kind: str) -> OpenVinoNetworks:
        folder = find_graphs(file.path, file.metadata)
        return OpenVinoNetworks(file, folder, self._precision)

    def accelerate(self, nets: Iterable[ExactNet]) -> None:
        """Do nothing: integer networks run in numpy, which is how they are defined."""
