"""One step: a phase of a channel in one level of a window, predicted from what is known."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.codecs.lossless.lattice import Lattice, Values
from quantal.codecs.lossless.neighbourhood import Phase, inputs
from quantal.codecs.lossless.predictor import MEAN_BITS, StepNetwork, Workspace, scale_index
from quantal.codecs.lossless.refit import Changes, Equations, Sample, class_bounds, unchanged
from quantal.codecs.lossless.residuals import Predicted, predicted
from quantal.entropy.tables import TableSet

__all__ = ["Step"]

#: Samples that are predicted at a time, so that they stay in the cache.
_CHUNK = 8192
#: Samples that changes are fitted to, at most.
_FITTED = 16384


class _Pool:
    """Threads that predict chunks side by side: numpy's operations let each other run."""

    @cached_property
    def threads(self) -> ThreadPoolExecutor:
        """The threads, started when they are first needed."""
        return ThreadPoolExecutor(_cores(), "quantal-lossless")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), 8)
    return min(os.cpu_count() or 1, 8)


_POOL = _Pool()
if hasattr(os, "register_at_fork"):
    # A forked process has none of the threads of its parent.
    os.register_at_fork(after_in_child=_POOL.__dict__.clear)


_OWN = threading.local()


def _space() -> Workspace:
    """Return the workspace of the present thread."""
    found: Workspace | None = getattr(_OWN, "space", None)
    if found is None:
        found = _OWN.space = Workspace()
    return found


@dataclass(frozen=True, eq=False)
class Step:
    """One step.

    Attributes:
        network: predicts it.
        tables: of its residuals.
        change_tables: of changes.
        lattice: what is known.
        channel: which is added, in the lattice.
        phase: which is added.
        place: channel, rows and columns of the added samples in the whole picture.
        depth: bits of samples.
    """

    network: StepNetwork
    tables: TableSet
    change_tables: TableSet
    lattice: Lattice
    channel: int
    phase: Phase
    place: tuple[int, slice, slice]
    depth: int

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the added samples."""
        return self.lattice.shape(self.phase)

    @property
    def count(self) -> int:
        """How many samples are added."""
        return self.shape[0] * self.shape[1]

    @property
    def extra(self) -> int:
        """Bits of samples beyond 8."""
        return self.depth - 8

    def _chunks(self) -> list[slice]:
        height, width = self.shape
        rows = max(_CHUNK // width, 1)
        return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]

    def _gathered(self, rows: slice, base: Values) -> Values:
        """Return the room of StepNetwork with inputs filled in."""
        wanted = inputs(self.channel, self.phase)
        found = self.network.room(base.size, _space())
        planes = found[: len(wanted)].reshape(len(wanted), *base.shape)
        self.lattice.gather(self.channel, self.phase, wanted, rows, base, planes)
        return found

    def coded(
        self,
        base: Values,
        first: Values | None,
        mean: npt.NDArray[Any],
        scale: npt.NDArray[np.uint8],
    ) -> Predicted:
        """Return what codes samples.

        Args:
            base: of their predictions [n].
            first: the samples of the first channel at the same places [n], if it is another.
            mean: less the base, in 2^-MEAN_BITS [n].
            scale: of each [n].
        """
        unit = 1 << MEAN_BITS
        # Below 2^53, float64 holds what is added here exactly.
        whole = base.astype(np.float64)
        whole *= unit
        whole += mean
        most = float(((1 << self.depth) - 1) * unit)
        if first is None:
            np.clip(whole, 0, most, out=whole)
        else:
            # The first channel is green; its difference to another colour has less room.
            low = first.astype(np.float64)
            low *= -unit
            np.maximum(whole, low, out=whole)
            low += most
            np.minimum(whole, low, out=whole)
        return predicted(whole, scale, self.extra)

    def predict(self, changes: Changes | None) -> Predicted:
        """Predict all samples, [h * w].

        Args:
            changes: what is done otherwise than the network says.
        """
        self.lattice.prepare(self.channel, self.phase)
        own = unchanged(self.network) if changes is None else changes
        layers = self.network.mean_layers(own.weights, self.extra)

        def chunk(rows: slice) -> Predicted:
            base = self.lattice.base(self.channel, self.phase, rows)
            found = self._gathered(rows, base)
            hidden = self.network.hidden(found, self.extra, _space())
            label = own.classes_of(hidden.fine)
            direct, indirect = layers[0](found[: self.network.inputs + 1]), layers[1](hidden.values)
            if label is None:
                mean = direct[0].astype(np.float64) + indirect[0]
                scale = scale_index(hidden.fine, int(own.gains[0]))
            else:
                places = np.arange(len(label))
                mean = direct[label, places].astype(np.float64) + indirect[label, places]
                scale = scale_index(hidden.fine, own.gains[label])
            first = None
            if self.channel:
                first = self.lattice.here(0, self.phase, rows).reshape(-1)
            return self.coded(base.reshape(-1), first, mean, scale)

        return _joined(list(_POOL.threads.map(chunk, self._chunks())))

    def equations(self, samples: npt.NDArray[Any]) -> Equations:
        """Return the normal equations for changes of the means.

        Args:
            samples: all samples of the step [h, w].
        """
        self.lattice.prepare(self.channel, self.phase)
        height, width = self.shape
        every = max(min(self.count // _FITTED, height // 4), 1)
        # Each chunk has rows of the whole picture, so that the first one shows what there is.
        chunks = max(round(height * width / every / _CHUNK), 1)
        stride = every * chunks
        chosen = [slice(top, height, stride) for top in range(every // 2, stride, every)]
        bounds: list[npt.NDArray[np.uint8]] = []

        def chunk(rows: slice) -> Equations:
            base = self.lattice.base(self.channel, self.phase, rows)
            room = self._gathered(rows, base)
            fine = self.network.hidden(room, self.extra, _space()).fine
            if not bounds:
                bounds.append(class_bounds(fine))
            first = None
            if self.channel:
                first = self.lattice.here(0, self.phase, rows).reshape(-1)
            own = Sample(room, fine, base.reshape(-1), samples[rows].reshape(-1), first)
            return Equations.of(own, self.network, self.extra, bounds[0], _space())

        chosen = [rows for rows in chosen if rows.start < height]
        parts = [chunk(chosen[0]), *_POOL.threads.map(chunk, chosen[1:])]
        return Equations.joined(parts)


def _joined(parts: list[Predicted]) -> Predicted:
    if len(parts) == 1:
        return parts[0]
    raw = None
    if parts[0].raw is not None:
        raw = np.concatenate([part.raw for part in parts if part.raw is not None])
    return Predicted(
        np.concatenate([part.whole for part in parts]),
        np.concatenate([part.flip for part in parts]),
        np.concatenate([part.table for part in parts]),
        raw,
    )
