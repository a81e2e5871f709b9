"""Which variables belong together: the tree of greatest mutual information."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["chow_liu_tree"]


def chow_liu_tree(samples: npt.NDArray[np.uint8], values: int) -> tuple[list[int], list[int]]:
    """Return the tree by which most is known of each variable (Chow and Liu, 1968).

    Values are counted in at most 16 classes of about equal frequency.

    Args:
        samples: uint8 [n, N].
        values: Number of values V.

    Returns:
        The variables depth first, and for each the place of its parent in this list; -1 for the
        first.
    """
    nodes = samples.shape[1]
    information = _mutual_information(_classes(samples, values))
    parent, gain = np.zeros(nodes, int), information[0].copy()
    left = set(range(1, nodes))
    children: dict[int, list[int]] = {}
    while left:
        best = max(left, key=lambda node: (gain[node], -node))
        left.remove(best)
        children.setdefault(int(parent[best]), []).append(best)
        closer = information[best] > gain
        parent[closer], gain[closer] = best, information[best][closer]
    order: list[int] = []
    parents: list[int] = []
    stack = [(0, -1)]
    while stack:
        variable, above = stack.pop()
        order.append(variable)
        parents.append(above)
        stack += [(child, len(order) - 1) for child in reversed(children.get(variable, []))]
    return order, parents


def _classes(samples: npt.NDArray[np.uint8], values: int) -> npt.NDArray[np.int64]:
    if values <= 16:
        return samples.astype(np.int64)
    edges = np.unique(np.quantile(samples, np.arange(1, 16) / 16))
    return np.searchsorted(edges, samples, side="right")


def _mutual_information(classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the mutual information of every two variables [N, N], nats."""
    count, nodes = classes.shape
    kinds = int(classes.max()) + 1
    hot = (classes[:, :, None] == np.arange(kinds)).reshape(count, -1).astype(np.float32)
    joint = (hot.T @ hot).reshape(nodes, kinds, nodes, kinds).transpose(0, 2, 1, 3) + 1e-3
    joint = joint / joint.sum((2, 3), keepdims=True, dtype=np.float64)
    apart = joint.sum(3, keepdims=True) * joint.sum(2, keepdims=True)
    information: npt.NDArray[np.float64] = (joint * np.log(joint / apart)).sum((2, 3))
    return information
