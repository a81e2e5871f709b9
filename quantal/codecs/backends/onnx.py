"""ONNX Runtime as the library that runs a codec's networks, on a CPU: no torch is needed."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantal.codecs.backends.base import Transform
from quantal.codecs.backends.graphs import GraphFolder, find_graphs
from quantal.codecs.weights import WeightsFile
from quantal.entropy.exact import ExactNet
from quantal.entropy.walk import FloatArray
from quantal.errors import InstallError, ModelError

__all__ = ["OnnxBackend", "OnnxNetworks", "leave_alone", "thread_count"]

#: Positions of the first input that a network takes at a time, so that memory stays bounded.
_POSITIONS = 4096
#: The oldest ONNX Runtime that takes initialisers apart from graphs on every system.
_OLDEST = (1, 18)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InstallError(
            f"ONNX Runtime can't be loaded: {error}; install it anew: pip install 'quantal'"
        ) from error
    found = onnxruntime.__version__
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdecimal())
    if numbers < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        raise InstallError(
            f"ONNX Runtime {found} found, expected {wanted} or later: "
            f"pip install 'onnxruntime>={wanted}'"
        )
    return onnxruntime


def thread_count() -> int:
    """Return how many threads networks take: one in a fork, OMP_NUM_THREADS, else all cores."""
    if _forked:
        return 1
    stated = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if stated.isdecimal() and int(stated):
        return int(stated)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


#: All networks of this process; and what a fork inherited, which is never freed.
_ALL: weakref.WeakSet[OnnxNetworks] = weakref.WeakSet()
_LEFT_ALONE: list[object] = []


def leave_alone(inherited: object) -> None:
    """Never free what a forked process inherited."""
    _LEFT_ALONE.append(inherited)


def _after_fork() -> None:
    _forked.append(True)
    for networks in list(_ALL):
        networks.after_fork()


#: Not empty in a forked process, whose networks take one thread.
_forked: list[bool] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class OnnxNetworks:
    """The networks of a weights file, run by ONNX Runtime; a NamedNetworks.

    A network's session is made when it is first called, so that decoding never loads what encoding
    needs. Any number of threads may call.

    Args:
        file: the weights file.
        folder: the graphs of its networks.

    Attributes:
        file: see above.
    """

    def __init__(self, file: WeightsFile, folder: GraphFolder) -> None:
        self.file, self._folder = file, folder
        self._renew()
        _ALL.add(self)
        #: Initialisers in float32, shared by all sessions: they use this memory.
        self._values: dict[str, tuple[FloatArray, Any]] = {}

    def _renew(self) -> None:
        """Begin without sessions."""
        self._sessions: dict[str, Any] = {}
        self._prepared: set[str] = set()
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        """Begin anew in a forked process, which has its parent's sessions but not their threads.

        Sessions are left alone: their end would wait for these threads.
        """
        leave_alone(self._sessions)
        self._renew()

    def transform(self, name: str) -> Transform:
        network = self._folder.network(name)

        def run(plane: FloatArray, rate: float = 0.0) -> FloatArray:
            return self(name, rate, plane)

        return Transform(run, network.reach, network.alignment)

    def __call__(self, name: str, rate: float, *inputs: FloatArray) -> FloatArray:
        """Run a network on float32 arrays [C, h, w] or [B, C, h, w] at a position 0..63."""
        several = bool(inputs) and inputs[0].ndim == 4
        # What has no channels, such as the latents before the first step, is no input of a graph.
        given = [array for array in inputs if array.size]
        if not several:
            return self._run(name, rate, [array[None] for array in given])[0]
        count = max(_POSITIONS // max(math.prod(inputs[0].shape[2:]), 1), 1)
        parts = [slice(start, start + count) for start in range(0, len(inputs[0]), count)]
        made = [self._run(name, rate, [array[part] for array in given]) for part in parts]
        return made[0] if len(made) == 1 else np.concatenate(made)

    def _run(self, name: str, rate: float, arrays: Sequence[FloatArray]) -> FloatArray:
        """Run a network on arrays [B, C, h, w]."""
        network = self._folder.network(name)
        given = [np.ascontiguousarray(array) for array in arrays]
        if network.rated:
            given.append(np.array([rate], np.float32))
        session = self._session(name)
        try:
            feed = dict(zip(network.inputs, given, strict=True))
            found: FloatArray = session.run(None, feed)[0]
        except Exception as error:
            raise self._named(error, name) from error
        return found

    def prepare(self, *but: str) -> None:
        """Begin to load networks in a thread, while this one reads bits; see NamedNetworks."""
        names = [name for name in self._folder.networks if name not in but]
        if not self._prepared.issuperset(names):
            self._prepared.update(names)
            # No daemon: a process that ended meanwhile would pull the library from under it. Where
            # no thread can be had, networks are loaded when they are called.
            with contextlib.suppress(RuntimeError):
                threading.Thread(target=self._load_all, args=(names,)).start()

    def _load_all(self, names: Sequence[str]) -> None:
        # A later call of a network that can't be loaded raises the error.
        with contextlib.suppress(Exception):
            for name in names:
                self._session(name)

    def _session(self, name: str) -> Any:
        session = self._sessions.get(name)
        if session is None:
            with self._lock:
                session = self._sessions.get(name)
                if session is None:
                    session = self._sessions[name] = self._load(name)
        return session

    def _load(self, name: str) -> Any:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = thread_count()
        # An arena would keep the memory of the largest picture so far.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4  # errors come as exceptions
        # Threads that wait in a loop take the processor from those of the other sessions.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        weights = self._folder.network(name).weights
        values = [self._ort_value(weight, runtime) for weight in weights]
        if weights:
            options.add_external_initializers(list(weights), values)
        path = Path(self._folder.path, f"{name}.onnx")
        try:
            return runtime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except OSError as error:
            raise ModelError(
                f"graph {path.name} of {self._folder.path.name} can't be read: {error}; install "
                "quantal anew"
            ) from error
        except Exception as error:
            raise self._named(error, name) from error

    def _named(self, error: Exception, name: str) -> Exception:
        """Return an error of ONNX Runtime, which has its own for every kind of failure, as ours."""
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            return MemoryError(str(error))
        return ModelError(
            f"ONNX Runtime {_runtime().__version__} can't run graph {name}.onnx of "
            f"{self._folder.path.name}: {str(error)[:300]}; install quantal anew, or use backend "
            "'torch'"
        )

    def _ort_value(self, weight: str, runtime: Any) -> Any:
        """Return an initialiser as ONNX Runtime takes it."""
        if weight not in self._values:
            array = self.value(weight)
            self._values[weight] = array, runtime.OrtValue.ortvalue_from_numpy(array)
        return self._values[weight][1]

    def value(self, weight: str) -> FloatArray:
        """Return an initialiser in float32.

        Raises:
            ModelError: If the weights lack it.
        """
        stored = self.file.arrays.get(weight)
        if stored is None:
            raise ModelError(
                f"weights {self.file.path.name} lack {weight}, which a graph of "
                f"{self._folder.path.name} needs; install them anew"
            )
        return np.ascontiguousarray(stored, np.float32)


class OnnxBackend:
    """Runs networks by ONNX Runtime; a Backend."""

    name = "onnx"
    device = "cpu"

    def networks(self, file: WeightsFile, kind: str) -> OnnxNetworks:
        return OnnxNetworks(file, find_graphs(file.path, file.metadata))

    def accelerate(self, nets: Iterable[ExactNet]) -> None:
        """Do nothing: integer networks run in numpy, which is how they are defined."""
