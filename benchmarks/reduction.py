"""What averaging gradients costs: ours, DistributedDataParallel's, and none.

    torchrun --nproc-per-node 2 benchmarks/reduction.py [--codec context-m] [--steps 10]

Each process takes steps of random pixels forward and backward, on a thread of its own, in bfloat16
where that pays. The three ways take turns, so that what else a machine does meets all of them; a
row is the median of all steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch.nn.parallel import DistributedDataParallel

from quantal.layers import half_pays
from quantal.train.joining import joined
from quantal.train.trainer import build

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codec", default="context-m")
    parser.add_argument("--batch", type=int, default=4, help="crops of each process")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    net = build(options.codec).to(memory_format=torch.channels_last).train()
    pixels = torch.rand(options.batch, 3, options.crop, options.crop)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    rate = torch.rand(options.batch) * 63
    with joined(CPU) as team:
        parallel = DistributedDataParallel(net, find_unused_parameters=True)

        def step(through: Callable[..., object], averages: bool) -> float:
            """Return the seconds of a step."""
            net.zero_grad(set_to_none=True)
            team.agreed(0.0)
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=half_pays(CPU)):
                found = through(pixels, rate)
                bits = sum(each.mean() for each in found.bits.values())  # type: ignore[attr-defined]
                loss = bits + found.pixels.square().mean()  # type: ignore[attr-defined]
            loss.backward()
            if averages:
                team.average(net.parameters())
            team.agreed(0.0)
            return time.perf_counter() - began

        ways = {"none": (net, False), "ours": (net, True), "DDP": (parallel, False)}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(options.steps + 1):
            for name, (through, averages) in ways.items():
                taken = step(through, averages)
                if turn:
                    seconds[name].append(taken)
        if team.leads:
            table = Table("averaging", f"s a step, {team.size} processes")
            for name, each in seconds.items():
                table.add_row(name, f"{statistics.median(each):.3f}")
            count = sum(each.numel() for each in net.parameters())
            Console().print(table, f"{count:,} parameters")


if __name__ == "__main__":
    main()
