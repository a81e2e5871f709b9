"""Damages files and commands until the time is over; stops at the first unexpected answer.

Prints how often each outcome came. Exit status 1, and the case kept, if anything but a result or a
named error came, or if it took too long or too much memory.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from . import coded
from .limits import Fault, limited_memory, limited_time

_MINUTE = 120.0


def _coded(seed: int) -> tuple[Iterator[tuple[str, Any]], Callable[[Any], str], float]:
    files = coded.sample_files()
    for data in files:
        coded.outcome(data)  # weights and thread pools count as held already
    return coded.cases(seed, files), lambda data: coded.outcome(data, partial=True), _MINUTE


def _pictures(seed: int) -> tuple[Iterator[tuple[str, Any]], Callable[[Any], str], float]:
    from . import pictures

    for data in pictures.sample_pictures():
        pictures.outcome(data)
    return pictures.cases(seed), pictures.outcome, _MINUTE


def _clips(seed: int) -> tuple[Iterator[tuple[str, Any]], Callable[[Any], str], float]:
    from . import clips

    files = clips.sample_clips()
    for data in files:
        clips.outcome(data)
    return clips.cases(seed, files), clips.outcome, _MINUTE


def _cubes(seed: int) -> tuple[Iterator[tuple[str, Any]], Callable[[Any], str], float]:
    from . import cubes

    files = cubes.sample_cubes()
    for data in files:
        cubes.outcome(data)
    return cubes.cases(seed, files), cubes.outcome, _MINUTE


def _features(seed: int) -> tuple[Iterator[tuple[str, Any]], Callable[[Any], str], float]:
    from . import features

    files = features.sample_features()
    for data in files:
        features.outcome(data)
    return features.cases(seed, files), features.outcome, _MINUTE


def _plugin(seed: int) -> tuple[Iterator[tuple[str, Any]], Callable[[Any], str], float]:
    from . import plugin

    return plugin.cases(seed), plugin.outcome, _MINUTE


def _commands(seed: int) -> tuple[Iterator[tuple[str, Any]], Callable[[Any], str], float]:
    from . import commands

    return commands.cases(seed), commands.outcome, _MINUTE


#: What can be fuzzed; those with files that take memory of this process are limited.
_SUBJECTS = {
    "coded": _coded,
    "pictures": _pictures,
    "clips": _clips,
    "cubes": _cubes,
    "features": _features,
    "plugin": _plugin,
    "commands": _commands,
}
_LIMITED = ("coded", "pictures", "clips", "cubes", "features")


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--subjects", default=",".join(_SUBJECTS), help="separated by commas")
    parser.add_argument("--keep", type=Path, default=Path(), help="folder for cases that fail")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = options.subjects.split(",")
    return max(_run(name, options.seconds / len(names), options) for name in names)


def _run(name: str, seconds: float, options: argparse.Namespace) -> int:
    cases, outcome, allowance = _SUBJECTS[name](options.seed)
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    with limited_memory() if name in _LIMITED else nullcontext():
        for number, (done, case) in enumerate(cases):
            if time.monotonic() > end:
                break
            try:
                with limited_time(allowance) if name != "commands" else nullcontext():
                    counts[outcome(case)] += 1
            except Fault as fault:
                path = options.keep / f"fuzz-{name}-{options.seed}-{number}"
                path.write_bytes(case if isinstance(case, bytes) else repr(case).encode())
                traceback.print_exc()
                print(f"{name}: {fault}\nafter {done}; the case is kept as {path}")
                return 1
    print(f"{name}: {sum(counts.values())} cases, seed {options.seed}; nothing unexpected")
    for kind, count in counts.most_common():
        print(f"  {kind:26}{count:10,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
