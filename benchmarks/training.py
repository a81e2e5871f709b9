"""What a training step costs, how far that is from the machine's matrix peak, and where it goes.

    python benchmarks/training.py DATA [--recipe FILE] [--steps N] [--set KEY=VALUE ...]

DATA: what `data` of a recipe takes. Every row trains the recipe anew for N steps in another layout
of threads, processes and batch, and forgets the result. The peak is a product of two matrices of
2048 x 2048 in bfloat16, measured just before; multiplications are those of convolutions and matrix
products, forward and backward, counted by torch.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from quantal.train import Phase, Recipe, read_recipe, train
from quantal.train.launching import launch

#: Threads, processes, crops a step and their side: the layouts that are compared.
LAYOUTS = (
    (1, 1, 16, 128),
    (1, 1, 4, 256),
    (2, 1, 16, 128),
    (2, 1, 32, 128),
    (1, 2, 16, 128),
    (1, 2, 32, 128),
    (1, 2, 8, 256),
)
#: Steps before the clock starts: first touch of memory is slow.
WARM_UP = 50
#: Words in the names of torch's operations, and what they are counted as.
KINDS = {
    "convolution_backward": "convolutions, backward",
    "mkldnn_convolution": "convolutions, forward",
    "Optimizer": "optimiser",
    "mm": "matrix products",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/context-m.yaml"))
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    recipe = read_recipe(options.recipe, [f"data=[{options.data}]", "evaluation=[]", *options.set])
    console = Console()
    costs = Table(
        "threads", "processes", "crops", "s a step", "crops of 128/s", "Mpixel/s", "of peak"
    )
    for threads, processes, batch, side in LAYOUTS:
        layout = _laid_out(recipe, threads, processes, batch, side, WARM_UP + options.steps)
        work, peak = _operations(layout), _peak(threads) * processes
        seconds = _seconds_a_step(layout)
        pixels = batch * side**2 / seconds
        costs.add_row(
            str(threads),
            str(processes),
            f"{batch} of {side}",
            f"{seconds:.2f}",
            f"{pixels / 128**2:.1f}",
            f"{pixels / 1e6:.2f}",
            f"{work / seconds / peak:.0%}",
        )
    console.print(costs)
    shares = Table("part of a step of 16 crops, one thread", "share")
    for kind, share in _shares(_laid_out(recipe, 1, 1, 16, 128, 10)).most_common():
        shares.add_row(kind, f"{share:.0%}")
    console.print(shares)


def _laid_out(
    recipe: Recipe, threads: int, processes: int, batch: int, side: int, steps: int
) -> Recipe:
    phases = (Phase(1.0, side, batch),)
    return replace(
        recipe, threads=threads, processes=processes, phases=phases, steps=steps, minutes=None
    )


def _train(recipe: Recipe, log: Any = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        train(replace(recipe, out=folder), log=log)


def _seconds_a_step(recipe: Recipe) -> float:
    """Of the steps after the warm-up; the log has an entry every 50."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = replace(recipe, out=folder, export_batches=1)
        if recipe.processes == 1:
            train(recipe)
        else:
            path = Path(folder) / "recipe.yaml"
            path.write_text(yaml.safe_dump(json.loads(json.dumps(recipe.to_dict()))))
            if status := launch(recipe.processes, ["train", str(path)]):
                raise SystemExit(status)
        entries = map(json.loads, (Path(folder) / "log.jsonl").read_text().splitlines())
        minutes = {entry["step"]: entry["minutes"] for entry in entries if "minutes" in entry}
    return 60 * (minutes[recipe.steps] - minutes[WARM_UP]) / (recipe.steps - WARM_UP)


def _peak(threads: int) -> float:
    """Operations a second of a matrix product in bfloat16: two for each multiplication."""
    torch.set_num_threads(threads)
    side = 2048
    one, other = (torch.randn(side, side).bfloat16() for _ in range(2))
    for _ in range(5):
        one @ other
    began = time.perf_counter()
    for _ in range(10):
        one @ other
    return 10 * 2 * side**3 / (time.perf_counter() - began)


def _operations(recipe: Recipe) -> float:
    """Of one step: what a run of three steps does more than one of two."""
    counts = []
    for steps in (2, 3):
        with FlopCounterMode(display=False) as counter:
            _train(replace(recipe, steps=steps, processes=1))
        counts.append(counter.get_total_flops())
    return float(counts[1] - counts[0])


def _shares(recipe: Recipe) -> Counter[str]:
    """Where the time of the steps goes, by kinds of operation."""
    profiler = profile(activities=[ProfilerActivity.CPU])

    def log(entry: Mapping[str, Any]) -> None:
        if entry.get("event") == "start":
            profiler.start()
        elif entry.get("event") == "end":
            profiler.stop()

    _train(recipe, log)
    found: Counter[str] = Counter()
    for event in profiler.key_averages():
        kind = next((k for word, k in KINDS.items() if word in event.key), "all else")
        found[kind] += event.self_cpu_time_total
    total = sum(found.values())
    return Counter({kind: spent / total for kind, spent in found.items()})


if __name__ == "__main__":
    main()
