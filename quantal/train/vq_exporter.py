"""From a checkpoint of `vq` to its weights file: averaged networks, contexts and tables counted.

Maps of training pictures are made at rates all over the ladder, so that tables know what files of
every rate hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal.codecs._vq_draw import Painter
from quantal.codecs._vq_maps import Maps, Priors, Step
from quantal.codecs._vq_net import RUNGS, VqNet
from quantal.codecs._vq_weights import Ladder, VqWeights, write_vq_weights
from quantal.entropy.index_fit import Sample, fit_prior
from quantal.entropy.kmeans import kmeans, nearest
from quantal.train.card import card, kmac
from quantal.train.vq_ladder import fit_ladder, join_ladder, some_of

__all__ = ["export_refined", "export_vq", "fit_priors", "training_maps"]

#: Classes of entries, and states of contexts.
CLASSES, STATES, DEPTH_STATES = 8, 32, 16
#: Pictures that indices are counted on.
_PICTURES = 900


def _vector_classes(
    net: VqNet, rung: int, classes: int
) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """A class for the entries of each codebook of a rung: alike for all its codebooks."""
    books = [net.book(rung, place).codebook.cpu() for place in range(len(net.config.entries))]
    centres = kmeans(books[0], classes, iterations=40)
    return [nearest(book, centres).numpy().astype(np.uint8) for book in books]


def fit_priors(
    net: VqNet, maps: Sequence[Maps], classes: int = CLASSES, states: int = STATES
) -> Priors:
    """Contexts and tables from the maps of training pictures."""
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
    """A rate of the ladder, half the time with other codebooks than its own."""
    step = ladder.at(float(generator.uniform(0, 252)))
    if generator.random() < 0.5:
        books = tuple(int(n) for n in generator.integers(len(net.config.entries), size=RUNGS))
        step = Step(books, step.price)
    return step


def training_maps(
    net: VqNet, pictures: Sequence[Tensor], ladder: Ladder, each: int, seed: int = 0
) -> list[Maps]:
    """Maps of pictures uint8 [3, H, W], each at so many rates."""
    painter = Painter(net, torch.device("cpu"))
    generator = np.random.default_rng(seed)
    found = []
    for picture in pictures:
        latents = painter.analyse(picture.permute(1, 2, 0).numpy())
        for _ in range(each):
            found.append(painter.describe(latents, _step(net, ladder, generator)))
    return found


def _work(net: VqNet) -> dict[str, float]:
    """Thousand multiplications per pixel, both ways, counted on a 256x256 picture."""
    painter = Painter(net, torch.device("cpu"))
    pixels = np.zeros((256, 256, 3), np.uint8)
    latents = painter.analyse(pixels)
    maps = painter.describe(latents, Step((0, 0, 0), 1e-12))
    finest = torch.from_numpy(maps.indices[2])
    ahead = kmac(
        256**2,
        lambda: (
            painter.analyse(pixels),
            painter.describe(latents, Step(maps.books, 1e-12)),
        ),
    )
    back = kmac(256**2, lambda: painter.paint(painter.features(maps)[0], 0, finest, lambda x: x))
    return {"encode_kmac_per_pixel": ahead, "decode_kmac_per_pixel": back}


def export_vq(
    net: VqNet,
    out: Path,
    pictures: Sequence[Tensor],
    steps: int,
    training_data: str,
    each: int = 3,
) -> bytes:
    """Write the weights file of a network in evaluation mode, half precision already."""
    ladder = fit_ladder(net, pictures)
    maps = training_maps(net, some_of(pictures, _PICTURES), ladder, each)
    told = card(net, steps, training_data, **_work(net))
    priors = fit_priors(net, maps)
    ladder = join_ladder(net, ladder, priors, pictures)
    return write_vq_weights(out, net, priors, ladder, told)


def export_refined(
    net: VqNet, known: VqWeights, out: Path, steps: int, training_data: str
) -> bytes:
    """Write weights that differ from known ones by the refinement alone.

    Indices mean what they meant, so the tables, the ladder and the hash stay: older files are read.
    """
    state = {n: v for n, v in known.net.state_dict().items() if not n.startswith("refiner.")}
    net.load_state_dict({**net.state_dict(), **state})
    told = card(net, steps + int(known.card["training_steps"]), training_data, **_work(net))
    return write_vq_weights(out, net, known.priors, known.ladder, told)
