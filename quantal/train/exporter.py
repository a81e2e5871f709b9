"""From a checkpoint to the weights file of a codec: averaged weights, integers, tables.

Tables are not computed from the law that training assumed but counted: how often each symbol
occurred at each scale on training crops, with the law as a prior for what was rarely seen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantal.codecs._token_net import TokenNet
from quantal.codecs._vq_conceal import ConcealNet, write_conceal_weights
from quantal.codecs._vq_net import VqNet
from quantal.codecs._vq_weights import read_vq_weights
from quantal.codecs._weights import Z_TABLE_STEP, write_weights
from quantal.codecs.training import CodecNet, Trainable, trainable
from quantal.entropy.hyperprior import Z_LIMIT
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.scales import SCALES, index_to_scale, logistic_bits
from quantal.entropy.tables import TableSet, freeze
from quantal.errors import ModelError
from quantal.train.card import card, kmac
from quantal.train.data import CropSampler, read_pictures
from quantal.train.token_exporter import export_tokens
from quantal.train.vq_exporter import export_refined, export_vq

__all__ = ["export", "law_table"]

FloatArray = npt.NDArray[np.float64]

#: The prior counts as so many observed symbols.
_PRIOR_COUNT = 2000.0
#: Scale indices below this are taken to be surely zero: their symbols are not coded at all.
SURE = 4
#: A table spans this many standard deviations; symbols beyond it are escaped.
_SPAN = 8.0
#: Least probability of z's escape: it bounds the pixels that a byte can claim (docs/format.md).
_Z_ESCAPE = 2.0**-11
#: The integer network's rate may differ from the trained one's by this fraction.
_AGREEMENT = 0.002
#: Symbols are counted on crops of this size, or of the largest that was trained on if less.
_CROP = 256


def _load(checkpoint: Path) -> tuple[Trainable, dict[str, Any], int]:
    """The averaged network, in half precision as it will run; the recipe; the steps."""
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        recipe = json.loads(saved["recipe"])
        net = trainable(recipe["codec"], recipe["model"])
        net.load_state_dict(saved["ema"])
    except (OSError, RuntimeError, KeyError, ValueError, UnpicklingError) as error:
        raise ModelError(f"checkpoint {checkpoint} can't be read: {error}") from error
    for value in (*net.parameters(), *net.buffers()):
        if value.is_floating_point():
            value.data = value.data.half().float()
    return net.eval().requires_grad_(False), recipe, int(saved["step"])


@torch.no_grad()
def _symbols(net: CodecNet, pixels: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """z's symbols, y's symbols and y's scale indices of crops, as a file would hold them."""
    y = net.analysis(pixels)
    z = net.quantise_z(y, position).round().clamp(-Z_LIMIT, Z_LIMIT)
    coded = net.code(y, net.dequantise_z(z, position), position)
    return z, coded.residual.round(), coded.index.round()


def _law(index: int) -> tuple[int, FloatArray]:
    """First symbol and probabilities of the logistic law at a scale index."""
    scale = index_to_scale(torch.tensor(float(index)))
    half = int(torch.ceil(_SPAN * scale)) + 2
    symbols = torch.arange(-half, half + 1, dtype=torch.float32)
    bits = logistic_bits(symbols, scale.expand_as(symbols))
    return -half, (2.0 ** -bits.double()).numpy()


def law_table(index: int) -> tuple[int, npt.NDArray[np.int32]]:
    """First symbol and weights of the table that the law alone gives a scale index."""
    low, law = _law(index)
    return low, freeze(law / law.sum(), 1e-5)


def _y_tables(counts: list[FloatArray], sure: int = SURE) -> TableSet:
    """Tables from counts of symbols [-half, half] at each scale index; symmetric by averaging."""
    first, weights = [], []
    for index in range(SCALES):
        low, law = _law(index)
        if index < sure:
            first.append(0)
            weights.append(np.array([1 << 24], dtype=np.int32))
            continue
        seen = counts[index]
        middle, half = len(seen) // 2, -low
        inside = seen[middle - half : middle + half + 1]
        beyond = seen.sum() - inside.sum()
        inside = (inside + inside[::-1]) / 2
        total = inside.sum() + beyond + _PRIOR_COUNT
        escape = (beyond + _PRIOR_COUNT * 1e-5) / total
        first.append(low)
        weights.append(freeze((inside + _PRIOR_COUNT * law / law.sum()) / total, escape))
    return TableSet.from_weights(first, weights)


@torch.no_grad()
def _z_tables(net: CodecNet) -> tuple[TableSet, ...]:
    """z's tables from its trained prior, at the middle of every four rate indices."""
    values = torch.arange(-Z_LIMIT, Z_LIMIT + 1, dtype=torch.float32)
    grid = values.expand(1, net.config.z_channels, -1)
    sets = []
    for low in range(0, RATE_INDICES, Z_TABLE_STEP):
        position = torch.tensor([low + (Z_TABLE_STEP - 1) / 2])
        law = net.prior.probabilities(grid, position)[0].double().numpy()
        first, weights = [], []
        for row in law:
            likely = np.flatnonzero(row > 2.0**-16)
            start, end = int(likely[0]), int(likely[-1]) + 1
            beyond = max(1 - row[start:end].sum(), _Z_ESCAPE)
            first.append(start - Z_LIMIT)
            weights.append(freeze(row[start:end], beyond))
        sets.append(TableSet.from_weights(first, weights))
    return tuple(sets)


def _count(net: CodecNet, sampler: CropSampler, crop: int, batches: int) -> list[FloatArray]:
    """Count y's symbols at each scale index over random crops at all rates."""
    # One wider than the widest table, so that what is clamped here counts as beyond it.
    half = int(_SPAN * index_to_scale(torch.tensor(SCALES - 1.0))) + 4
    width = 2 * half + 1
    counts = np.zeros((SCALES, width))
    for batch in range(batches):
        pixels = sampler.batch(4, crop)
        part = torch.arange(4) / 4
        position = (part + batch / batches / 4) * (RATE_INDICES - 1)
        _, symbols, index = _symbols(net, pixels, position)
        cell = index.long() * width + symbols.clamp(-half, half).long() + half
        counts += np.bincount(cell.flatten().numpy(), minlength=counts.size).reshape(counts.shape)
    return list(counts)


@torch.no_grad()
def _check_agreement(net: CodecNet, exact: Any, sampler: CropSampler, crop: int) -> None:
    """Raise ModelError if the integer networks would cost more bits than the trained ones."""
    trained = exported = 0.0
    for rate in (0, 31, 63):
        position = torch.full((4,), float(rate))
        z, symbols, index = _symbols(net, sampler.batch(4, crop), position)
        units = (z * net.z_unit(position)).to(torch.int32)
        other = net.exact_index(exact, units, symbols.to(torch.int32), rate).float()
        trained += float(logistic_bits(symbols, index_to_scale(index)).sum())
        exported += float(logistic_bits(symbols, index_to_scale(other)).sum())
    if abs(exported / trained - 1) > _AGREEMENT:
        raise ModelError(
            f"the integer networks need {exported / trained - 1:+.2%} bits against the trained "
            f"ones; more than {_AGREEMENT:.1%} means that they were not trained rounded"
        )


def _work(net: CodecNet) -> dict[str, float]:
    """Thousand multiplications per pixel, both ways, counted on a 256x256 picture."""
    position = torch.zeros(1)
    pixels = torch.zeros(1, 3, 256, 256)
    y = torch.zeros(1, net.config.channels[-1], 16, 16)
    z = torch.zeros(1, net.config.z_channels, 4, 4)
    side = kmac(256**2, lambda: net.code(y, z, position))
    ahead = kmac(256**2, lambda: (net.analysis(pixels), net.hyper_analysis(y, position)))
    return {
        "encode_kmac_per_pixel": round(ahead + side, 2),
        "decode_kmac_per_pixel": round(side + kmac(256**2, lambda: net.synthesis(y)), 2),
    }


def _export_concealment(net: ConcealNet, out: Path, recipe: dict[str, Any], steps: int) -> bytes:
    of = read_vq_weights(Path(recipe["start_from"])).hash
    told = card(net, steps, recipe["training_data"])
    write_conceal_weights(out, net, of, told)
    return of


def _refines_alone(recipe: dict[str, Any]) -> bool:
    """Whether all but the refinement stood still from known weights on."""
    still = {"analysis", "synthesis", "rungs"}
    return bool(recipe["start_from"]) and all(still <= set(p["hold"]) for p in recipe["phases"])


def export(checkpoint: str | Path, out: str | Path, pictures: Sequence[Tensor] = ()) -> bytes:
    """Write the weights file of a checkpoint; returns the hash of its integers.

    pictures: uint8 [3, H, W] to count symbols on, no smaller than the crops of the recipe; read
    from where it says unless they are given. Raises ModelError if the checkpoint can't be exported.
    """
    net, recipe, steps = _load(Path(checkpoint))
    if isinstance(net, ConcealNet):
        return _export_concealment(net, Path(out), recipe, steps)
    if isinstance(net, VqNet) and _refines_alone(recipe):
        known = read_vq_weights(Path(recipe["start_from"]))
        return export_refined(net, known, Path(out), steps, recipe["training_data"])
    crop = min(_CROP, max(phase["crop"] for phase in recipe["phases"]))
    pictures = pictures or read_pictures(recipe["data"], crop)
    if isinstance(net, VqNet):
        return export_vq(net, Path(out), pictures, steps, recipe["training_data"])
    if isinstance(net, TokenNet):
        return export_tokens(net, Path(out), pictures, steps, recipe["training_data"])
    net.scale.quantise(True)
    sampler = CropSampler(pictures, torch.device("cpu"), seed=0)
    told = card(net, steps, recipe["training_data"], **_work(net))
    largest = int(net.z_unit(torch.arange(RATE_INDICES)).max()) * Z_LIMIT
    _check_agreement(net, net.export_exact(largest), sampler, crop)
    tables = _y_tables(_count(net, sampler, crop, recipe["export_batches"]))
    return write_weights(Path(out), net, tables, _z_tables(net), told)
