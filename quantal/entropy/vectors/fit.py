"""From the fields of training clips to what the tables of vectors start from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from quantal.entropy.vectors.field import VectorPrior
from quantal.entropy.vectors.starts import (
    ACTIVITIES,
    BUCKETS,
    ENTRIES,
    KINDS,
    MODES,
    PASSES,
    PASTS,
    SIZES,
    SPAN,
    Starts,
)
from quantal.entropy.walk import Known
from quantal.fields import Field

__all__ = ["fit_vectors"]

#: A state counts what all states have in common as so many symbols.
_COMMON = 30.0
_SHARES = 1000


def fit_vectors(groups: Iterable[Iterable[Field]]) -> Starts:
    """Count how often modes and differences occur.

    Args:
        groups: the fields of the predicted frames of each group of pictures, in order.
    """
    modes = np.zeros((PASSES * ACTIVITIES * PASTS, MODES))
    entries = np.zeros((2 * KINDS * SIZES, ENTRIES + 1))
    prior = VectorPrior()
    for fields in groups:
        state = None
        for field in fields:
            latents = prior.latents(field)
            seen: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]] = []
            coding = Known(latents, observer=lambda *batch, seen=seen: seen.append(batch))
            state = prior.walk(coding, (field.shape[1], field.shape[2]), state)
            passes = PASSES - (min(state.modes.shape) == 1) - (state.modes.size == 1)
            for states, symbols in seen[:passes]:
                np.add.at(modes, (states, symbols), 1)
            for states, symbols in seen[passes:]:
                outside = (symbols < 0) | (symbols >= ENTRIES)
                np.add.at(entries, (states, np.where(outside, ENTRIES, symbols)), 1)
    return Starts(_moving(modes), _split(modes), _sizes(entries))


def _moving(modes: npt.NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    counts = np.stack((modes[:, 0], modes[:, 1:].sum(1)), axis=1)
    moving = _shares(counts)[:, 1].clip(1, _SHARES - 1).reshape(-1, PASTS)
    return tuple(tuple(row) for row in moving.tolist())


def _split(modes: npt.NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    counts = modes[:, 1:].reshape(PASSES, ACTIVITIES, PASTS, MODES - 1).sum((0, 2))
    return tuple(tuple(row) for row in _shares(counts)[:, 1:].tolist())


def _sizes(entries: npt.NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    magnitudes = entries[:, SPAN:ENTRIES].copy()
    magnitudes[:, 1:] += entries[:, :SPAN][:, ::-1]
    buckets = np.add.reduceat(magnitudes, BUCKETS[:-1], axis=1)
    shares = _shares(np.concatenate((buckets, entries[:, ENTRIES:]), axis=1))
    return tuple(tuple(row) for row in shares[:, :-1].tolist())


def _shares(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return counts [S, K] as whole shares that sum to 1000; none is empty but by rounding."""
    common = counts.sum(0) + 1
    mixed = counts + _COMMON * common / common.sum()
    return np.floor(mixed / mixed.sum(1, keepdims=True) * _SHARES).astype(np.int64)
