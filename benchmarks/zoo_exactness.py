"""How often another order of sums changes a table index, in single and in double precision.

    python benchmarks/zoo_exactness.py [--pictures 20]

The hyper-synthesis of an untrained mbt2018-mean (N = 192, M = 320, last layer enlarged so that all
scales occur) is run on random z of 768x512 pictures in four ways that a machine could choose:
as it is, channels last, without oneDNN, and with its inner channels in another order. A file
can't be read if its decoder computes a single index differently.
"""

from __future__ import annotations

import argparse
import copy

import torch
from torch import Tensor, nn

from quantal.codecs.compressai.weights import quiet

WIDTH, HEIGHT = 12, 8
LATENTS = 320


def ways(network: nn.Sequential, z: Tensor) -> list[Tensor]:
    """Return the scales of four ways to compute them."""
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    shuffled = copy.deepcopy(network)
    enter, leave = shuffled[2], shuffled[4]
    order = torch.randperm(leave.weight.shape[1])
    enter.weight.data, enter.bias.data = enter.weight[:, order], enter.bias[order]
    leave.weight.data = leave.weight[:, order]
    results = [network(z), last(z.to(memory_format=torch.channels_last)), shuffled(z)]
    with torch.backends.mkldnn.flags(enabled=False):
        results.append(network(z))
    return [result[:, :LATENTS].contiguous() for result in results]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20)
    options = parser.parse_args()
    with quiet():
        from compressai.models import MeanScaleHyperprior
        from compressai.models.base import get_scale_table
    torch.manual_seed(0)
    network = MeanScaleHyperprior(192, LATENTS).h_s
    network[-1].weight *= 30
    network[-1].bias += 1.5
    borders = get_scale_table()[:-1]
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(1)
        exact = copy.deepcopy(network).to(dtype)
        latents = differing = 0
        for _ in range(options.pictures):
            z = (3 * torch.randn(1, 192, HEIGHT, WIDTH)).round().to(dtype)
            first, *others = (torch.bucketize(s, borders.to(dtype)) for s in ways(exact, z))
            latents += first.numel()
            differing += sum(int((first != other).sum()) for other in others)
        print(f"{dtype}: {differing} of 3 x {latents:,} indices differ")


if __name__ == "__main__":
    main()
