"""Blocks of symbols to bytes and back, by the exact conditionals of a circuit.

Nodes are visited depth first. On the way down a node's belief is its parent's, taken through the
transitions; on the way up the parent's belief is corrected by what was coded below. So a symbol
costs two products with K x K matrices, whatever the number of nodes (Liu, Mandt and Van den Broeck,
"Lossless compression with probabilistic circuits", ICLR 2022). All blocks go side by side.

Every value is a whole number below 2^53 in float64, which holds it exactly: beliefs are below 2^26,
weights at most 2^16, and a sum has at most 256 terms. Scaling is by powers of two, and rounds down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantal.arguments import typed, whole
from quantal.entropy.circuits.circuit import Circuit
from quantal.entropy.coder import ROW_TOTAL, Decoder, Encoder
from quantal.entropy.tables import PRECISION
from quantal.errors import ArgumentError

__all__ = ["decode_blocks", "encode_blocks", "estimate_blocks"]

#: Bits of the greatest belief of a block.
_BELIEF_BITS = 26
#: Bits of the greatest sum of a row before it is scaled to the coder's weights, and of the scale.
_SUM_BITS, _SCALE_BITS = 30, 37
#: Blocks that go side by side. They bound memory, and rows of weights stay in a processor's cache.
_BLOCKS = 1024

Values = npt.NDArray[np.float64]
Samples = npt.NDArray[np.uint8]
#: Takes a node and the weights of its values, int64 [n, V]; returns its symbols, int32 [n].
Step = Callable[[int, npt.NDArray[np.int64]], npt.NDArray[np.int32]]


def encode_blocks(circuit: Circuit, samples: Samples) -> bytes:
    """Return the bytes of blocks.

    Args:
        circuit: What is known of them.
        samples: Values below `circuit.values`, uint8 [n, N].

    Raises:
        ArgumentError: If the samples are none of this circuit.
    """
    _check(circuit, samples)
    encoder = Encoder()
    for start in range(0, len(samples), _BLOCKS):
        part = samples[start : start + _BLOCKS]

        def put(
            node: int, weights: npt.NDArray[np.int64], part: Samples = part
        ) -> npt.NDArray[np.int32]:
            symbols = part[:, circuit.variables[node]].astype(np.int32)
            encoder.put_rows(symbols, weights)
            return symbols

        _walk(circuit, len(part), put)
    return encoder.finish()


def decode_blocks(circuit: Circuit, data: bytes, count: int) -> Samples:
    """Return the blocks of encode_blocks().

    Memory grows with what was read, so a count that the bytes can't hold allocates little.

    Args:
        circuit: The one that they were written with.
        data: The bytes.
        count: Number of blocks n.

    Returns:
        uint8 [n, N].

    Raises:
        BitstreamError: If the bytes hold no such blocks.
    """
    typed("circuit", circuit, Circuit)
    count = whole("count", count, 0)
    decoder = Decoder(typed("data", data, bytes))
    parts = [np.zeros((0, circuit.nodes), np.uint8)]
    for start in range(0, count, _BLOCKS):
        part = np.empty((min(_BLOCKS, count - start), circuit.nodes), np.uint8)

        def take(
            node: int, weights: npt.NDArray[np.int64], part: Samples = part
        ) -> npt.NDArray[np.int32]:
            symbols = decoder.take_rows(weights)
            part[:, circuit.variables[node]] = symbols
            return symbols

        _walk(circuit, len(part), take)
        parts.append(part)
    decoder.finish()
    return np.concatenate(parts)


def estimate_blocks(circuit: Circuit, samples: Samples) -> float:
    """Return the bits that blocks will cost, to within a few bytes; codes nothing.

    Takes the arguments of encode_blocks().
    """
    _check(circuit, samples)
    bits = 0.0
    for start in range(0, len(samples), _BLOCKS):
        part = samples[start : start + _BLOCKS]

        def price(
            node: int, weights: npt.NDArray[np.int64], part: Samples = part
        ) -> npt.NDArray[np.int32]:
            nonlocal bits
            symbols = part[:, circuit.variables[node]].astype(np.int32)
            own = weights[np.arange(len(symbols)), symbols]
            bits += float((PRECISION - np.log2(own)).sum())
            return symbols

        _walk(circuit, len(part), price)
    return bits


def _check(circuit: Circuit, samples: Samples) -> None:
    typed("circuit", circuit, Circuit)
    typed("samples", samples, np.ndarray)
    if samples.dtype != np.uint8 or samples.ndim != 2 or samples.shape[1] != circuit.nodes:
        raise ArgumentError(
            f"samples {samples.dtype} {list(samples.shape)} found, expected uint8 "
            f"[n, {circuit.nodes}]"
        )
    if samples.size and int(samples.max()) >= circuit.values:
        raise ArgumentError(
            f"a sample of {int(samples.max())} found, expected at most {circuit.values - 1}"
        )


@dataclass
class _Open:
    """A node whose descendants are being coded.

    Attributes:
        node: Its place.
        belief: Of its states given all that is coded [n, K].
        evidence: Of its states by what is coded of it and below it [n, K].
    """

    node: int
    belief: Values
    evidence: Values


def _walk(circuit: Circuit, count: int, step: Step) -> None:
    """Go through the nodes of `count` blocks; `step` codes the symbols of each."""
    path: list[_Open] = []
    children = np.bincount(circuit.parents[1:], minlength=circuit.nodes)
    for node, parent in enumerate(circuit.parents.tolist()):
        while path and path[-1].node != parent:
            _close(circuit, path)
        transitions = circuit.transitions[node].astype(np.float64)
        if path:
            belief = _scaled(path[-1].belief @ transitions)
        else:
            belief = np.repeat(_scaled(transitions[:1].copy()), count, axis=0)
        leaves = circuit.leaves[node].astype(np.float64)
        symbols = step(node, _weights(belief @ leaves))
        evidence = leaves.T[symbols]
        # A leaf of the tree changes its ancestors by its evidence alone.
        belief = _scaled(belief * evidence) if children[node] else belief
        path.append(_Open(node, belief, evidence))


def _close(circuit: Circuit, path: list[_Open]) -> None:
    """Leave the last node of a path: correct its parent by what was coded below."""
    closed, parent = path.pop(), path[-1]
    transitions = circuit.transitions[closed.node].astype(np.float64)
    message = _scaled(closed.evidence @ transitions.T)
    parent.belief = _scaled(parent.belief * message)
    parent.evidence = _scaled(parent.evidence * message)


def _scaled(rows: Values, bits: int = _BELIEF_BITS) -> Values:
    """Scale rows of whole numbers, not all 0, to a greatest of so many bits; overwrites them."""
    _, found = np.frexp(rows.max(axis=1, keepdims=True))
    rows *= np.ldexp(1.0, bits - found)  # powers of two: exact
    return np.floor(rows, out=rows)


def _weights(sums: Values) -> npt.NDArray[np.int64]:
    """Return what the coder takes: int64 [n, V], at least 1, a row's sum `ROW_TOTAL`.

    With S a row's sum and F what its weights share beyond 1 each, a value v has the weight
    1 + (v f >> 37), where f = floor(F 2^37 / S): a division for each row, not for each value. The
    weights sum to at most F + V, and the greatest takes the rest. v is below 2^30 and S is not
    below 2^29, so v f is below 2^62.

    Args:
        sums: Whole numbers below 2^50 [n, V], not all 0; overwritten.
    """
    weights = _scaled(sums, _SUM_BITS).astype(np.int64)
    free = ROW_TOTAL - sums.shape[1]
    weights *= (free << _SCALE_BITS) // weights.sum(axis=1, keepdims=True)
    weights >>= _SCALE_BITS
    weights += 1
    rest = ROW_TOTAL - weights.sum(axis=1)
    weights[np.arange(len(weights)), weights.argmax(axis=1)] += rest
    return weights
