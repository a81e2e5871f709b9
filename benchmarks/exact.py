"""Integer networks in numpy and in torch: milliseconds, on the shapes that our codecs have.

    python benchmarks/exact.py [--threads 2] [--repeats 30]

Both give the same integers (tests/entropy/test_exact.py). Numpy multiplies float64 matrices and
adds shifted planes; torch runs the same layers as float64 convolutions. Best and, in brackets,
median of `repeats` calls.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

import quantal
from quantal.codecs import TransformCodec
from quantal.entropy import ExactNet, FrozenContext, FrozenHyperprior
from quantal.entropy.models.exact_runtime import TorchLayers
from quantal.markdown import table


def seconds(run: Callable[[], object], repeats: int) -> str:
    times = []
    for count in range(repeats + 3):
        start = time.perf_counter()
        run()
        if count >= 3:  # the first touch of fresh memory is slow
            times.append(1000 * (time.perf_counter() - start))
    return f"{min(times):.2f} ({statistics.median(times):.2f})"


def networks(name: str) -> list[tuple[str, ExactNet, tuple[int, int]]]:
    """The integer networks of a codec, and the plane that each runs on for 768x512 pixels."""
    codec = quantal.load(name, "cpu")
    model = codec.entropy if isinstance(codec, TransformCodec) else None
    if isinstance(model, FrozenHyperprior):
        return [("scales", model.scale, (8, 12))]
    if not isinstance(model, FrozenContext):
        raise SystemExit(f"codec {name!r} has no integer networks")
    steps = model.exact.steps
    last = len(steps) - 1
    return [
        ("trunk", model.exact.trunk, (8, 12)),
        ("first step", steps[0], (16, 24)),
        (f"step {last + 1}", steps[last], (16, 24)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codecs", default="hyperprior,context-s,context-m")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng, rows = np.random.default_rng(0), []
    for codec in options.codecs.split(","):
        for name, net, plane in networks(codec):
            x = rng.integers(-net.largest_input, net.largest_input, (net.inputs, *plane))
            x = x.astype(np.int32)
            found, times = [], []
            for runner in (net.by_numpy, TorchLayers(net)):
                net.run_by(runner)
                found.append(net(x, 30))
                times.append(seconds(lambda net=net, x=x: net(x, 30), options.repeats))  # type: ignore[misc]
            if not np.array_equal(*found):
                raise SystemExit(f"{codec}, {name}: numpy and torch give different integers")
            rows.append((codec, name, f"{net.inputs} x {plane[0]} x {plane[1]}", *times))
    print(table(("codec", "network", "input", "numpy, ms", "torch, ms"), rows))


if __name__ == "__main__":
    main()
