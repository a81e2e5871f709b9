"""Cost of each kind of transform at equal widths: parameters, multiplications, seconds.

    python benchmarks/transforms.py [--size 768x512] [--threads 2] [--repeats 9] [--bfloat16]

Widths and gated blocks are those of the shipped codec by default. The last row has gated blocks
in place of the window attention, for as many blocks at every level. Multiplications are those of
convolutions and matrix products, counted by torch while they run. Seconds are of the transforms
alone, warm, medians of runs that take turns; a step is forward and backward through both of them
for 16 crops of 128 x 128, including the search for regions if the kind has them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from quantal.transforms import KINDS, Kind, PyramidAnalysis, PyramidSynthesis, region_labels
from quantal.transforms.stages import EXTRAS

CROPS = (16, 3, 128, 128)
REGIONS = 16


class Pair:
    """An analysis and its synthesis, of one kind."""

    def __init__(self, kind: Kind, channels: Sequence[int], blocks: Sequence[int]) -> None:
        self.name = f"{kind} {'-'.join(map(str, blocks))}"
        if any(EXTRAS[kind]):
            self.name += f" + {'-'.join(map(str, EXTRAS[kind]))}"
        self.kind = kind
        self.analysis = PyramidAnalysis(channels, blocks, kind)
        self.synthesis = PyramidSynthesis(channels, blocks, kind)
        for network in (self.analysis, self.synthesis):
            network.to(memory_format=torch.channels_last)

    def step(self, crops: Tensor) -> None:
        regions = region_labels(crops, REGIONS) if self.kind == "region" else None
        drawn = self.synthesis(self.analysis(crops, regions), regions)
        (drawn - crops).square().mean().backward()


def parameters(*networks: nn.Module) -> int:
    return sum(weight.numel() for network in networks for weight in network.parameters())


def multiplications(network: nn.Module, x: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(x)
    return counter.get_total_flops() / 2


def seconds(runs: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median seconds of each run; runs take turns, after a round of warm-up."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats + 1):
        for run, taken in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken[1:]) for taken in times]


@torch.inference_mode()
def apply(network: nn.Module, x: Tensor) -> Tensor:
    return network(x)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="768x512", help="WIDTHxHEIGHT, multiples of 16")
    parser.add_argument("--channels", type=int, nargs=3, default=(64, 128, 320))
    parser.add_argument("--blocks", type=int, nargs=3, default=(2, 3, 1))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--bfloat16", action="store_true", help="autocast instead of float32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    width, height = map(int, options.size.split("x"))

    as_many = [a + b for a, b in zip(options.blocks, EXTRAS["window"], strict=True)]
    pairs = [Pair(kind, options.channels, options.blocks) for kind in KINDS]
    pairs.append(Pair("gated", options.channels, as_many))
    pixels = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
    latents = torch.randn(1, options.channels[-1], height // 16, width // 16)
    latents = latents.contiguous(memory_format=torch.channels_last)
    crops = torch.rand(CROPS)
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
        runs: list[Callable[[], object]] = []
        runs += [lambda p=p: apply(p.analysis, pixels) for p in pairs]
        runs += [lambda p=p: apply(p.synthesis, latents) for p in pairs]
        runs += [lambda p=p: p.step(crops) for p in pairs]
        taken = seconds(runs, options.repeats)

    table = Table(
        title=f"{'-'.join(map(str, options.channels))} channels, {options.size}, "
        f"{options.threads} thread(s), {'bfloat16' if options.bfloat16 else 'float32'}",
        caption="blocks at 1/4, 1/8, 1/16: gated + of the kind; seconds: medians",
    )
    table.add_column("kind")
    for column in (
        "parameters",
        "analysis\nkMAC/pixel",
        "synthesis\nkMAC/pixel",
        "analysis\ns",
        "synthesis\ns",
        "training\nstep s",
        "reach\npixels",
    ):
        table.add_column(column, justify="right")
    for i, pair in enumerate(pairs):
        counted = (
            multiplications(network, x) / (1000 * width * height)
            for network, x in ((pair.analysis, pixels), (pair.synthesis, latents))
        )
        table.add_row(
            pair.name,
            f"{parameters(pair.analysis, pair.synthesis):,}",
            *(f"{thousands:.2f}" for thousands in counted),
            *(f"{median:.3f}" for median in taken[i :: len(pairs)]),
            str(pair.analysis.reach),
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
