"""Circuits trained by expectation and maximisation (EM), in numpy.

Each pass over a batch counts what hidden states and values are expected in it; a mean over batches,
which forgets, becomes the weights (stepwise EM: Liang and Klein, "Online EM for unsupervised
models", 2009). Rows are then rounded to whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from quantal.arguments import typed, whole
from quantal.entropy.circuits.circuit import WEIGHT_BITS, Circuit
from quantal.entropy.circuits.tree import chow_liu_tree
from quantal.errors import ArgumentError

__all__ = ["fit_circuit"]

Values = npt.NDArray[np.float32]
Samples = npt.NDArray[np.uint8]

_TREE_SAMPLES = 20_000
_CLUSTER_SAMPLES = 20_000
_CLUSTER_STEPS = 8
#: How much of a transition stays in the same state at first, and of a leaf is that of all samples.
_STAY, _SHARED = 0.7, 0.2


def fit_circuit(
    samples: Samples,
    values: int,
    states: int = 32,
    epochs: int = 10,
    batch: int = 1024,
    smoothing: float = 0.01,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> Circuit:
    """Return a circuit that codes samples like these in few bits.

    The tree is that of greatest mutual information. States begin as clusters of samples.

    >>> generator = np.random.default_rng(0)
    >>> samples = np.repeat(generator.integers(0, 4, (500, 1)), 6, axis=1).astype(np.uint8)
    >>> circuit = fit_circuit(samples, values=4, states=4, epochs=3)
    >>> circuit.nodes, circuit.states, circuit.values
    (6, 4, 4)

    Args:
        samples: uint8 [n, N], values below `values`.
        values: Number of values V, 2..256.
        states: Number of states K of each hidden variable, 1..256.
        epochs: Passes over the samples.
        batch: Samples of a batch.
        smoothing: Samples of a batch that each row of a table has beforehand, shared as all its
            rows are: one that few samples reach then follows the others.
        seed: For the order of batches and the first clusters.
        report: Called after each epoch with its number and the mean bits of a symbol while it ran.

    Raises:
        ArgumentError: If the samples or the numbers are impossible.
    """
    typed("samples", samples, np.ndarray)
    values, states = whole("values", values, 2, 256), whole("states", states, 1, 256)
    epochs, batch = whole("epochs", epochs, 0), whole("batch", batch, 1)
    if samples.dtype != np.uint8 or samples.ndim != 2 or not samples.size:
        raise ArgumentError(
            f"samples {samples.dtype} {list(samples.shape)} found, expected uint8 [n, N], n and N "
            "at least 1"
        )
    if int(samples.max()) >= values:
        raise ArgumentError(f"a sample of {int(samples.max())} found, expected below {values}")
    if not smoothing > 0:
        raise ArgumentError(f"smoothing is {smoothing}, expected a number above 0")
    generator = np.random.default_rng(seed)
    some = samples[generator.permutation(len(samples))[:_TREE_SAMPLES]]
    order, parents = chow_liu_tree(some, values)
    training = _Training(samples[:, order], values, states, parents, smoothing, generator)
    steps = 0
    for epoch in range(epochs):
        bits = 0.0
        shuffled = generator.permutation(len(samples))
        for start in range(0, len(samples), batch):
            steps += 1
            # Step sizes that fall, as stepwise EM needs to converge; the first few replace much.
            bits += training.step(shuffled[start : start + batch], (steps + 1) ** -0.6)
        if report is not None:
            report(epoch, bits / samples.size)
    return Circuit(
        variables=np.array(order, np.int32),
        parents=np.array(parents, np.int32),
        transitions=_whole_rows(training.transitions),
        leaves=_whole_rows(training.leaves),
    )


class _Training:
    """Weights in floating point, and expected counts of a pass.

    Args:
        samples: in the order of nodes, uint8 [n, N].
        values: V.
        states: K.
        parents: of the nodes.
        smoothing: see fit_circuit().
        generator: for the first clusters.
    """

    def __init__(
        self,
        samples: Samples,
        values: int,
        states: int,
        parents: list[int],
        smoothing: float,
        generator: np.random.Generator,
    ) -> None:
        self._samples, self._parents, self._smoothing = samples, parents, smoothing
        nodes = samples.shape[1]
        self.leaves = np.empty((nodes, states, values), np.float32)
        chosen = samples[generator.permutation(len(samples))[:_CLUSTER_SAMPLES]]
        cluster = _clusters(chosen, states, generator)
        for node in range(nodes):
            pairs = cluster * values + chosen[:, node]
            counts = np.bincount(pairs, minlength=states * values).reshape(states, values)
            shared = counts.sum(0) + 1.0
            own = counts / np.maximum(counts.sum(1, keepdims=True), 1)
            self.leaves[node] = (1 - _SHARED) * own + _SHARED * shared / shared.sum()
        self.leaves /= self.leaves.sum(2, keepdims=True)
        prior = np.bincount(cluster, minlength=states) + 1.0
        rest = (1 - _STAY) * (prior / prior.sum()) * generator.uniform(0.5, 1.5, (states, states))
        self.transitions = np.repeat((_STAY * np.eye(states) + rest)[None], nodes, 0)
        self.transitions[0] = prior
        self.transitions /= self.transitions.sum(2, keepdims=True)
        self.transitions = self.transitions.astype(np.float32)

    def step(self, chosen: npt.NDArray[np.int64], share: float) -> float:
        """Learn from a batch; return the bits that it cost before.

        Args:
            chosen: The samples.
            share: Of the new counts in the mean, 0..1.
        """
        samples = self._samples[chosen]
        evidence, messages, bits = self._upwards(samples)
        nodes, states, values = self.leaves.shape
        beliefs: list[Values] = [np.empty(0, np.float32)] * nodes
        for node, parent in enumerate(self._parents):
            table = self.transitions[node]
            if parent < 0:
                belief = table[0] * evidence[node]
                pairs = np.repeat((belief / belief.sum(1, keepdims=True)).sum(0)[None], states, 0)
            else:
                outside = beliefs[parent] / messages[node]
                belief = (outside @ table) * evidence[node]
                total = belief.sum(1, keepdims=True)
                pairs = ((outside / total).T @ evidence[node]) * table
            beliefs[node] = belief / belief.sum(1, keepdims=True)
            counts = np.empty((states, values), np.float32)
            for state in range(states):
                counts[state] = np.bincount(
                    samples[:, node], weights=beliefs[node][:, state], minlength=values
                )
            self._mix(self.transitions, node, self._smoothed(pairs), share)
            self._mix(self.leaves, node, self._smoothed(counts), share)
        return bits

    def _upwards(self, samples: Samples) -> tuple[list[Values], list[Values], float]:
        """Return evidence and messages of all nodes [n, K], scaled, and the bits of the samples."""
        nodes = len(self._parents)
        evidence = [self.leaves[node].T[samples[:, node]] for node in range(nodes)]
        messages: list[Values] = [np.empty(0, np.float32)] * nodes
        bits = 0.0
        for node in range(nodes - 1, -1, -1):
            largest = evidence[node].max(1, keepdims=True)
            evidence[node] = evidence[node] / largest
            bits -= float(np.log2(largest).sum())
            if node:
                messages[node] = evidence[node] @ self.transitions[node].T
                evidence[self._parents[node]] = evidence[self._parents[node]] * messages[node]
        bits -= float(np.log2(evidence[0] @ self.transitions[0, 0]).sum())
        return evidence, messages, bits

    def _smoothed(self, counts: Values) -> Values:
        """Return expected counts [K, V] with some more in each row, shared as all rows are."""
        shared = counts.sum(0) + self._smoothing / counts.shape[1]
        smoothed: Values = counts + self._smoothing * shared / shared.sum()
        return smoothed

    @staticmethod
    def _mix(rows: Values, node: int, counts: Values, share: float) -> None:
        """Move rows towards counts; a state that a batch hardly has moves little."""
        mass = counts.sum(1, keepdims=True)
        part = np.minimum(share * mass / mass.mean(), 1.0) if share < 1 else 1.0
        rows[node] += part * (counts / mass - rows[node])
        rows[node] /= rows[node].sum(1, keepdims=True)


def _clusters(
    samples: Samples, states: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the cluster of each sample [n], by values and their distances from the median."""
    plain = samples.astype(np.float32)
    plain -= np.median(plain, axis=0)
    features = np.concatenate([plain, abs(plain)], axis=1) / (plain.std() + 1e-6)
    centres = features[generator.permutation(len(features))[:states]]
    nearest = np.zeros(len(features), np.int64)
    for _ in range(_CLUSTER_STEPS):
        distance = (centres**2).sum(1) - 2 * features @ centres.T
        nearest = distance.argmin(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, features)
        sizes = np.bincount(nearest, minlength=len(centres))[:, None]
        centres = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres).astype(np.float32)
    return nearest


def _whole_rows(rows: Values) -> npt.NDArray[np.int32]:
    """Return rows [..., V] of probabilities as weights of at least 1 that sum to 2^16."""
    total = 1 << WEIGHT_BITS
    free = total - rows.shape[-1]
    exact = rows.astype(np.float64)
    exact /= exact.sum(-1, keepdims=True)
    weights = np.floor(exact * free).astype(np.int32) + 1
    rest = total - weights.sum(-1, keepdims=True)
    largest = weights.argmax(-1)[..., None]
    np.put_along_axis(weights, largest, np.take_along_axis(weights, largest, -1) + rest, -1)
    return weights.astype(np.int32)
