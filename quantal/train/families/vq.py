"""Training of the codec `vq`, and its export with contexts and tables that were counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from quantal.codecs.info import Card
from quantal.codecs.vq.maps import Step
from quantal.codecs.vq.net import VqConfig, VqNet
from quantal.codecs.vq.weights import VqWeights, painter_of, read_vq_weights, write_vq_weights
from quantal.train.card import card, kmac
from quantal.train.families.generative import GenerativeTrainer
from quantal.train.families.vq_ladder import fit_ladder, join_ladder, some_of
from quantal.train.families.vq_priors import fit_priors, training_maps
from quantal.train.trainer import Export

__all__ = ["TRAINER", "export_refined", "export_vq"]

#: Pictures that indices are counted on.
_PICTURES = 900
#: Parts that decide what indices mean: with all of them held, only the refinement is trained.
_MEANING = frozenset({"analysis", "synthesis", "rungs"})
#: Pixels along a side of the picture that multiplications are counted on.
_SIDE = 256


class VqTrainer(GenerativeTrainer):
    """Trains VqNet; a refinement can join weights that lack it, and starts as the identity."""

    network = VqNet
    sizes = VqConfig
    start_crop = VqNet.start_size
    optional = ("refine_width",)

    def read(self, path: Path) -> VqNet:
        return read_vq_weights(path).net

    def export(self, net: VqNet, export: Export) -> bytes:
        steps, data = export.steps, export.training_data
        if export.start_from is not None and export.held >= _MEANING:
            known = read_vq_weights(export.start_from)
            return export_refined(net, known, export.out, steps, data)
        return export_vq(net, export.out, export.pictures(), steps, data)


TRAINER = VqTrainer()


def _card(net: VqNet, steps: int, training_data: str) -> Card:
    """Return the card; multiplications are counted on a 256x256 picture."""
    painter = painter_of(net, torch.device("cpu"))
    pixels = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    latents = painter.analyse(pixels)
    maps = painter.describe(latents, Step((0, 0, 0), 1e-12))
    finest = maps.indices[2]
    encode = kmac(
        _SIDE**2,
        lambda: (painter.analyse(pixels), painter.describe(latents, Step(maps.books, 1e-12))),
    )
    decode = kmac(
        _SIDE**2, lambda: painter.paint(painter.features(maps)[0], 0, finest, (_SIDE, _SIDE))
    )
    return card(net, steps, training_data, encode, decode)


def export_vq(
    net: VqNet,
    out: Path,
    pictures: Sequence[Tensor],
    steps: int,
    training_data: str,
    each: int = 3,
) -> bytes:
    """Write the weights file of a network.

    Args:
        net: in evaluation mode, with values that half precision holds.
        out: where to.
        pictures: uint8 [3, H, W].
        steps: for how many steps it was trained.
        training_data: what it was trained on.
        each: rates at which each picture is counted.

    Returns:
        The hash of what decides how bits are read.
    """
    ladder = fit_ladder(net, pictures)
    maps = training_maps(net, some_of(pictures, _PICTURES), ladder, each)
    about = _card(net, steps, training_data)
    priors = fit_priors(net, maps)
    ladder = join_ladder(net, ladder, priors, pictures)
    return write_vq_weights(out, net, priors, ladder, about)


def export_refined(
    net: VqNet, known: VqWeights, out: Path, steps: int, training_data: str
) -> bytes:
    """Write weights that differ from known ones in the refinement alone.

    Indices keep their meaning, so the tables, the ladder and the hash stay: older files are read.

    Args:
        net: the network with its trained refinement.
        known: the weights that training started from.
        out: where to.
        steps: for how many steps the refinement was trained.
        training_data: what it was trained on.

    Returns:
        The hash of `known`.
    """
    state = {n: v for n, v in known.net.state_dict().items() if not n.startswith("refiner.")}
    net.load_state_dict({**net.state_dict(), **state})
    about = _card(net, steps + known.card.training_steps, training_data)
    return write_vq_weights(out, net, known.priors, known.ladder, about)
