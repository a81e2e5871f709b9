"""Measurements of the parts of codec `vq`, as tables.

    python benchmarks/vq.py indices DATA       bits per index, by way of coding; use of entries
    python benchmarks/vq.py granularity DATA   which cells to describe finely, by LPIPS
    python benchmarks/vq.py damage DATA        rows lost and made up, by LPIPS and PSNR
    python benchmarks/vq.py refinement DATA    features refined or not, by LPIPS

DATA: a folder of lossless pictures. --weights FILE: other weights of `vq`; --perceptual DIR: LPIPS'
AlexNet (docs/reference/metrics.md); --pictures N: the first N alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

import quantal
from quantal import media
from quantal.codecs.vq import stream
from quantal.codecs.vq.codec import Vq, _symbols
from quantal.codecs.vq.maps import CELL, RUNGS, Maps, Step
from quantal.codecs.vq.net import Request, VqNet, cell_energy, spread
from quantal.entropy.indices import ABSENT, CountedTables, IndexPrior, Neighbourhood, walk_map
from quantal.entropy.quantisers import Use
from quantal.entropy.tables import TableSet, freeze
from quantal.entropy.walk import Known, Pricing
from quantal.eval.metrics import metric
from quantal.eval.rd import find_pictures
from quantal.markdown import table

Pixels = npt.NDArray[np.uint8]
#: A map of indices, and the class of each one's parent.
MapInParents = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8] | None]
#: Every cell has every rung.
ALL = Step((0, 0, 0), 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=sorted(PARTS))
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--perceptual", type=Path)
    parser.add_argument("--pictures", type=int)
    options = parser.parse_args()
    pictures = read(options.data, options.pictures)
    PARTS[options.what](load(options.weights), pictures, options)


def load(weights: Path | None) -> Vq:
    """Return the codec, with the weights that ship or others."""
    codec = quantal.load("vq", "cpu", weights=weights)
    if not isinstance(codec, Vq):
        raise SystemExit("these are no weights of vq")
    return codec


def read(data: Path, count: int | None) -> list[Pixels]:
    """Return the first pictures of a folder."""
    return [media.read(file).pixels for file in find_pictures(data)[:count]]


# -- indices ---------------------------------------------------------------------------------


def _bits(
    prior: IndexPrior,
    indices: npt.NDArray[np.int32],
    above: npt.NDArray[np.uint8] | None,
    counts: bool,
) -> float:
    """Return the bits of a map by a prior; counts: whether its tables are adaptive."""
    pricing = Pricing([indices])
    counted = CountedTables(prior) if counts else CountedTables(prior, 0, 0)
    walk_map(prior, indices != ABSENT, above, pricing, counted)
    return pricing.bits


def _without_contexts(prior: IndexPrior, pairs: Sequence[MapInParents]) -> IndexPrior:
    """Return a prior of a single table: the states' tables weighted by their use on these maps.

    Counting on training pictures without contexts would give that table if states were as frequent
    as here; so it is at least as good on these maps.
    """
    often = np.zeros(len(prior.tables))

    def count(states: npt.NDArray[np.uint8], _: npt.NDArray[np.int32]) -> None:
        np.add.at(often, states, 1)

    for map_, above in pairs:
        walk_map(prior, map_ != ABSENT, above, Known([map_], count), CountedTables(prior, 0, 0))
    rows = np.stack([prior.tables.weights(t) for t in range(len(prior.tables))]).astype(float)
    law = often @ rows[:, :-1]
    return IndexPrior(
        Neighbourhood.none(prior.entries),
        TableSet.from_weights([0], [freeze(law / law.sum(), 2.0**-24)]),
    )


def indices(codec: Vq, pictures: Sequence[Pixels], options: argparse.Namespace) -> None:
    """Print for every rung and codebook: log2 K, one table, contexts, adaptive contexts."""
    latents = [codec.painter.analyse(pixels) for pixels in pictures]
    rows = []
    for book, entries in enumerate(map(len, codec.painter.books[0])):
        step = Step((book,) * RUNGS, ALL.price)
        maps = [codec.painter.describe(one, step) for one in latents]
        for rung in range(RUNGS):
            prior = codec.priors.rungs[rung][book]
            above = [_parents(codec, m, rung) for m in maps]
            pairs = [(m.indices[rung], a) for m, a in zip(maps, above, strict=True)]
            single = _without_contexts(prior, pairs)
            number = sum(i.size for i, _ in pairs)
            found = [
                sum(_bits(p, i, a, counts) for i, a in pairs) / number
                for p, counts in ((single, False), (prior, False), (prior, True))
            ]
            counts = np.bincount(np.concatenate([i.ravel() for i, _ in pairs]), minlength=entries)
            use = Use.of(torch.from_numpy(counts))
            rows.append(
                (
                    str(rung + 1),
                    str(entries),
                    f"{np.log2(entries):.2f}",
                    *(f"{bits:.2f}" for bits in found),
                    f"{100 * use.share:.0f} %",
                    f"{use.perplexity:.0f}",
                )
            )
    head = ("rung", "entries", "log2", "one table", "contexts", "counting on", "used", "perplexity")
    print(table(head, rows), flush=True)


def _parents(codec: Vq, maps: Maps, rung: int) -> npt.NDArray[np.uint8] | None:
    if not rung:
        return None
    classes = codec.priors.rungs[rung - 1][maps.books[rung - 1]].around.classes
    return classes[maps.indices[rung - 1]].repeat(2, 0).repeat(2, 1)


# -- granularity -----------------------------------------------------------------------------


def whole_cells(pixels: Pixels) -> Tensor:
    """Return [1, 3, H, W] in 0..1, cut to whole cells."""
    height, width = (side // 32 * 32 for side in pixels.shape[:2])
    return torch.from_numpy(pixels[:height, :width].copy()).permute(2, 0, 1)[None].float() / 255


def _density(name: str, found: Tensor, pixels: Tensor, rung: int) -> Tensor:
    """Return how much a cell needs another rung [1, h, w]."""
    grey = pixels.mean(1, keepdim=True)
    if name == "energy of the entries":
        return cell_energy(found, rung)
    if name == "variance of the pixels":
        return F.avg_pool2d(grey.square(), 32)[:, 0] - F.avg_pool2d(grey, 32)[:, 0].square()
    if name == "entropy of the pixels":
        levels = (grey[:, 0] * 31.99).long().unfold(1, 32, 32).unfold(2, 32, 32).flatten(3)
        law = F.one_hot(levels, 32).float().mean(3)
        return -(law * (law + 1e-9).log2()).sum(-1)
    return torch.rand(1, pixels.shape[-2] // 32, pixels.shape[-1] // 32)


@torch.inference_mode()
def _drawn(net: VqNet, pixels: Tensor, name: str, shares: tuple[float, float]) -> Tensor:
    """Return a picture of which these shares of cells have a second rung, and of those a third."""
    features = net.analysis.levels(pixels)
    x = torch.zeros_like(features[-1])
    request = Request(torch.zeros(1, RUNGS, dtype=torch.int64), torch.tensor([shares]))
    allowed: Tensor | None = None
    for rung in range(RUNGS):
        part, book = net.rung(rung), net.book(rung, 0)
        found = book.decode(book.encode(part.codes(features[RUNGS - rung], x)))
        where = None
        if rung:
            density = _density(name, found, pixels, rung)
            if allowed is not None:
                density = density.masked_fill(~allowed, -1.0)
            among = density.numel() if allowed is None else int(allowed.sum())
            count = round(shares[rung - 1] * among)
            order = density.flatten(1).argsort(1, descending=True).argsort(1)
            allowed = (order < count).view_as(density)
            where = spread(allowed, rung)
        x = net.synthesis.step(rung, net.joined(rung, x, found, where, request))
    return (net.synthesis.step(RUNGS, x) + 0.5).clamp(0, 1)


def granularity(codec: Vq, pictures: Sequence[Pixels], options: argparse.Namespace) -> None:
    """Print LPIPS at equal numbers of indices, with cells chosen in different ways."""
    measure = metric("lpips", options.perceptual)
    names = ("energy of the entries", "variance of the pixels", "entropy of the pixels", "chance")
    torch.manual_seed(0)
    shares = ((0.3, 0.0), (0.6, 0.0), (1.0, 0.15), (1.0, 0.4))
    net, rows = codec.networks(), []
    for name in names:
        cells = []
        for share in shares:
            values = []
            for pixels in map(whole_cells, pictures):
                drawn = _drawn(net, pixels, name, share)
                values.append(measure(_bytes(pixels), _bytes(drawn)))
            cells.append(f"{np.mean(values):.4f}")
        rows.append((name, *cells))
    print(
        table(("cells chosen by", *(f"{a:.0%}, of these {b:.0%}" for a, b in shares)), rows),
        flush=True,
    )


def _bytes(pixels: Tensor) -> Pixels:
    found: Pixels = (pixels[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return found


# -- damage ----------------------------------------------------------------------------------


def damage(codec: Vq, pictures: Sequence[Pixels], options: argparse.Namespace) -> None:
    """Print results for rows lost at random: made up, repeated from the nearest row, or grey."""
    measure = metric("lpips", options.perceptual)
    rows = []
    rng = np.random.default_rng(0)
    plain = sum(len(codec.compress(p)) for p in pictures)
    sturdy = [codec.compress(p, resilient=True) for p in pictures]
    print(f"resilient files: {100 * (sum(map(len, sturdy)) / plain - 1):+.1f} % bytes\n")
    for share in (0.0, 0.05, 0.1, 0.2):
        found: list[list[float]] = []
        hit = total = 0
        for pixels in pictures:
            height, width = pixels.shape[:2]
            payload = codec.resilient_encoding(pixels).at(RATE)
            count = -(-height // CELL)
            lost = sorted(rng.choice(count, round(share * count), replace=False).tolist())
            hit, total = hit + len(lost), total + count
            maps, named = stream.unpack_damaged(
                codec.priors, _spoiled(payload, lost, width, height), width, height
            )
            if named != lost:
                raise SystemExit(f"rows {lost} were damaged, rows {named} found to be")
            concealed = codec.read_damaged(
                _spoiled(payload, lost, width, height), width, height, RATE
            )
            repeated = codec.dequantise(_symbols(_repeated(maps, lost)), width, height, RATE)
            drawn, copied = codec.synthesise(concealed.latents), codec.synthesise(repeated)
            grey = drawn.copy()
            for row in lost:
                grey[row * CELL : (row + 1) * CELL] = 128
            shown = (drawn, copied, grey)
            found.append([f(pixels, one) for one in shown for f in (measure, _psnr)])
        cells = [f"{mean:.{2 if n % 2 else 4}f}" for n, mean in enumerate(np.mean(found, 0))]
        rows.append((f"{100 * hit / total:.0f} %", *cells))
    ways = ("made up", "nearest row repeated", "grey")
    head = [f"{metric}, {way}" for way in ways for metric in ("LPIPS", "PSNR")]
    print(table(("rows lost", *head), rows), flush=True)


def _spoiled(payload: bytes, lost: Sequence[int], width: int, height: int) -> bytes:
    """Return the image part with a byte of every lost row's stream changed."""
    found = bytearray(payload)
    lengths, place = stream._lengths(payload, stream._read_head(payload), width, height)
    for row, length in enumerate(lengths):
        if row in lost:
            found[place] ^= 0x55
        place += length + 2
    return bytes(found)


def _repeated(maps: Maps, lost: Sequence[int]) -> Maps:
    """Return maps whose lost rows have the first two rungs of the nearest row that is there."""
    there = [row for row in range(len(maps.depth)) if row not in lost]
    depth, (first, second, third) = maps.depth.copy(), (p.copy() for p in maps.indices)
    for row in lost:
        source = min(there, key=lambda known: abs(known - row))
        depth[row] = np.minimum(depth[source], 1)
        first[row] = first[source]
        second[2 * row : 2 * row + 2] = second[2 * source : 2 * source + 2]
    return replace(maps, depth=depth, indices=(first, second, third))


#: The default quality.
RATE = 150


def _psnr(one: Pixels, other: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


# -- refinement ------------------------------------------------------------------------------


def refinement(codec: Vq, pictures: Sequence[Pixels], options: argparse.Namespace) -> None:
    """Print LPIPS and PSNR of the same files with and without the one-pass refinement."""
    measure = metric("lpips", options.perceptual)
    if not codec.painter.refines:
        raise SystemExit("these weights have no refiner")
    rows = []
    for quality in (1, 25, 50, 75, 100):
        rate = codec.rate_of(quality)
        cells: list[list[float]] = [[], [], [], [], []]
        for pixels in pictures:
            height, width = pixels.shape[:2]
            payload = codec.encoding(pixels).at(rate)
            cells[0].append(8 * len(payload) / (height * width))
            for place, refines in ((1, True), (3, False)):
                codec.painter.refines = refines
                drawn = codec.synthesise(codec.read(payload, width, height, rate))
                cells[place].append(measure(pixels, drawn))
                cells[place + 1].append(_psnr(pixels, drawn))
            codec.painter.refines = True
        means = [np.mean(values) for values in cells]
        rows.append(
            (
                str(quality),
                f"{means[0]:.4f}",
                f"{means[1]:.4f}",
                f"{means[3]:.4f}",
                f"{means[2]:.2f}",
                f"{means[4]:.2f}",
            )
        )
    head = ("quality", "bpp", "LPIPS, refined", "LPIPS, not", "PSNR, refined", "PSNR, not")
    print(table(head, rows), flush=True)


PARTS: dict[str, Callable[[Vq, Sequence[Pixels], argparse.Namespace], None]] = {
    "damage": damage,
    "granularity": granularity,
    "indices": indices,
    "refinement": refinement,
}

if __name__ == "__main__":
    main()
