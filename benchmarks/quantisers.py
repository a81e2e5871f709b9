"""Quantisers at equal bits, on the vectors that the second rung of codec `vq` quantises.

    python benchmarks/quantisers.py DATA [--weights FILE] [--pictures N]

DATA: a folder of lossless pictures, of which every second fits the quantisers and the others test
them; --pictures: the first N alone; --weights: other weights of `vq`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from vq import Pixels, load, read, table, whole_cells

from quantal.codecs.vq.net import VqNet
from quantal.entropy.quantisers import (
    CascadeQuantiser,
    FiniteScalarQuantiser,
    Quantiser,
    SignQuantiser,
    VectorQuantiser,
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--pictures", type=int)
    options = parser.parse_args()
    compare(load(options.weights).networks(), read(options.data, options.pictures))


class _Scaled:
    """A quantiser of few channels on the leading principal components, each at unit variance."""

    def __init__(self, inner: Quantiser, train: Tensor) -> None:
        moments = train.T @ train / len(train)
        values, vectors = torch.linalg.eigh(moments.double())
        order = values.argsort(descending=True)[: inner.channels]
        self.rows, self.size = vectors[:, order].T.float(), values[order].sqrt().float()
        self.inner = inner
        found = self._inside(train)
        coded = inner.decode(inner.encode(found))
        # The value of a level, by least squares for each component.
        self.gain = (found * coded).sum((0, 2, 3)) / coded.square().sum((0, 2, 3)).clamp_min(1e-9)

    def _inside(self, vectors: Tensor) -> Tensor:
        return ((vectors @ self.rows.T) / self.size).T[None, :, :, None].contiguous()

    def __call__(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        indices = self.inner.encode(self._inside(vectors))
        levels = self.inner.decode(indices)[0, :, :, 0].T * self.gain
        return (levels * self.size) @ self.rows, indices


def compare(net: VqNet, pictures: Sequence[Pixels]) -> None:
    """Print a table of quantisers at ten bits per vector."""
    vectors = [_vectors(net, pixels) for pixels in pictures]
    train, test = torch.cat(vectors[::2]), torch.cat(vectors[1::2])
    channels = train.shape[1]
    torch.manual_seed(0)
    whole = VectorQuantiser(channels, 1024)
    cascade = CascadeQuantiser([[VectorQuantiser(channels, 32)] for _ in range(2)])
    half = channels // 2
    product = CascadeQuantiser([[VectorQuantiser(half, 32), VectorQuantiser(half, 32)]])
    for one in (whole, cascade, product):
        one.eval().start_at(train)
    plain: list[tuple[str, Callable[[Tensor], tuple[Tensor, Tensor]], Quantiser]] = [
        ("nearest of 1,024", _direct(whole), whole),
        ("cascade, 32 then 32", _direct(cascade), cascade),
        ("product, 32 by 32", _direct(product), product),
    ]
    for name, inner in (
        ("FSQ, five components of 4 levels", FiniteScalarQuantiser([4] * 5)),
        ("FSQ, 8, 8, 4, 4 levels", FiniteScalarQuantiser([8, 8, 4, 4])),
        ("signs, ten components in two groups", SignQuantiser(10, 5)),
    ):
        plain.append((name, _Scaled(inner, train), inner))
    rows = []
    energy = test.square().sum()
    for name, apply, inner in plain:
        found, chosen = apply(test)
        lost = float((test - found).square().sum() / energy)
        uses = inner.use(chosen)
        rows.append(
            (
                name,
                f"{inner.bits:.0f}",
                f"{100 * lost:.1f} %",
                " + ".join(f"{use.bits:.2f}" for use in uses),
                " / ".join(f"{100 * use.share:.0f} %" for use in uses),
            )
        )
    table(("quantiser", "bits", "energy lost", "entropy, bits", "used"), rows)


def _direct(quantiser: Quantiser) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def apply(vectors: Tensor) -> tuple[Tensor, Tensor]:
        plane = vectors.T[None, :, :, None].contiguous()
        chosen = quantiser.encode(plane)
        return quantiser.decode(chosen)[0, :, :, 0].T, chosen

    return apply


@torch.inference_mode()
def _vectors(net: VqNet, pixels: Pixels) -> Tensor:
    """Return vectors of the second rung before they are quantised [n, D]."""
    features = net.analysis.levels(whole_cells(pixels))
    codes = net.rung(0).codes(features[-1], torch.zeros_like(features[-1]))
    book = net.book(0, 0)
    drawn = net.synthesis.step(0, net.rung(0).injected(book.decode(book.encode(codes)), None))
    second = net.rung(1).codes(features[-2], drawn)
    return second.permute(0, 2, 3, 1).flatten(0, 2).clone()


if __name__ == "__main__":
    main()
