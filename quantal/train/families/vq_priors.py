"""Contexts and tables of a `vq` weights file, counted on maps of training pictures.

Maps are made at rates all over the ladder, so that tables know what files of every rate hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal.codecs.vq.file import Ladder
from quantal.codecs.vq.maps import RUNGS, Maps, Priors, Step
from quantal.codecs.vq.net import VqNet
from quantal.codecs.vq.weights import painter_of
from quantal.entropy.indices.fit import Sample, fit_prior
from quantal.entropy.quantisers import kmeans, nearest

__all__ = ["CLASSES", "DEPTH_STATES", "STATES", "fit_priors", "training_maps"]

#: Classes of entries, and states of contexts.
CLASSES, STATES, DEPTH_STATES = 8, 32, 16


def _vector_classes(
    net: VqNet, rung: int, classes: int
) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Return a class for each entry of each codebook of a rung, alike for all its codebooks."""
    books = [net.book(rung, place).codebook.cpu() for place in range(len(net.config.entries))]
    centres = kmeans(books[0], classes, iterations=40)
    return [nearest(book, centres).numpy().astype(np.uint8) for book in books]


def fit_priors(
    net: VqNet, maps: Sequence[Maps], classes: int = CLASSES, states: int = STATES
) -> Priors:
    """Return contexts and tables, from the maps of training pictures.

    Args:
        net: the network.
        maps: of pictures.
        classes: of entries, at most.
        states: of contexts.
    """
    classes = min(classes, net.config.entries[-1])
    kinds = [_vector_classes(net, rung, classes) for rung in range(RUNGS)]
    found = []
    for rung in range(RUNGS):
        sizes = []
        parents = classes if rung else 1
        for book, own in enumerate(kinds[rung]):
            samples = []
            for one in maps:
                if one.books[rung] != book:
                    continue
                above = None
                if rung:
                    coarse = kinds[rung - 1][one.books[rung - 1]]
                    above = coarse[np.maximum(one.indices[rung - 1], 0)]
                    above = above.repeat(2, 0).repeat(2, 1)
                samples.append(Sample(one.indices[rung], above))
            sizes.append(fit_prior(samples, own, classes, parents, states))
        found.append(tuple(sizes))
    depths = [Sample(one.depth) for one in maps]
    depth = fit_prior(depths, np.arange(RUNGS, dtype=np.uint8), RUNGS, 1, DEPTH_STATES)
    return Priors(depth, tuple(found))


def _step(net: VqNet, ladder: Ladder, generator: np.random.Generator) -> Step:
    """Return a rate of the ladder, half the time with other codebooks than its own."""
    step = ladder.at(float(generator.uniform(0, 252)))
    if generator.random() < 0.5:
        books = tuple(int(n) for n in generator.integers(len(net.config.entries), size=RUNGS))
        step = Step(books, step.price)
    return step


def training_maps(
    net: VqNet, pictures: Sequence[Tensor], ladder: Ladder, each: int, seed: int = 0
) -> list[Maps]:
    """Return maps of pictures at random rates.

    Args:
        net: the network.
        pictures: uint8 [3, H, W].
        ladder: of rates.
        each: rates for each picture.
        seed: of the rates.
    """
    painter = painter_of(net, torch.device("cpu"))
    generator = np.random.default_rng(seed)
    found = []
    for picture in pictures:
        latents = painter.analyse(picture.permute(1, 2, 0).numpy())
        for _ in range(each):
            found.append(painter.describe(latents, _step(net, ladder, generator)))
    return found
