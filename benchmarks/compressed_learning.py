"""Classifiers of the same size and the same time: on pixels from JPEG, and on coded latents.

    python benchmarks/compressed_learning.py --data DIR [--minutes 4] [--work runs/learning]
                                             [--routes jpeg75,wavelet-20,...] [--threads 1]
                                             [--markdown FILE] [--json FILE]

DIR holds a folder for each route: `jpegQ` with pictures, CODEC-QUALITY with .qtl files of the same
pictures; in each `train`, `val` and `test`, and in these a folder for each class.
recipes/classifier.yaml is trained on `train` for so many minutes, which include measuring accuracy
on `val` six times on the way, and asked about `test` once at the end. Reading the files, once
before training, is not counted. Every route is a process of its own.

Columns: accuracy on `test` with the 95 % interval over its pictures (Wilson); bytes of a picture of
`train`; thousand multiplications per pixel of the classifier; pictures a second in training (crops
as the recipe has them, evaluations included), and from file to answer, whole pictures one by one,
files in the system's cache; seconds until the accuracy on `val` reached `--reach`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from quantal import media
from quantal.codecs.weights import read_header
from quantal.latents import LatentDataset
from quantal.latents.recognisers import PIXELS, read_recogniser
from quantal.markdown import table
from quantal.train import read_recipe, run

RECIPE = Path(__file__).parents[1] / "recipes" / "classifier.yaml"
EVALUATIONS = 6
COLUMNS = (
    *("route", "accuracy, %", "interval", "bytes", "kMAC/pixel"),
    *("trains, pictures/s", "answers, pictures/s", "seconds to {reach:.0f} %"),
)


@dataclass
class Row:
    """What is measured of one route."""

    route: str
    right: int
    asked: int
    size: float
    kmac: float
    train_speed: float
    answer_speed: float
    reached: float | None
    steps: int
    minutes: float

    @property
    def accuracy(self) -> float:
        return 100 * self.right / self.asked


def source_of(route: str) -> str:
    """Return the codec of a route, or "pixels"."""
    return PIXELS if route.startswith("jpeg") else route.rpartition("-")[0]


def wilson(right: int, asked: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy, in percent (Wilson 1927)."""
    z, share = 1.96, right / asked
    middle = (share + z * z / (2 * asked)) / (1 + z * z / asked)
    half = z * math.sqrt(share * (1 - share) / asked + (z / (2 * asked)) ** 2)
    half /= 1 + z * z / asked
    return 100 * (middle - half), 100 * (middle + half)


def answers(folder: Path, net: Any) -> tuple[int, int, float]:
    """Return how many pictures are right, how many there are, and pictures a second.

    The time is from files to answers, one after the other; files are in the system's cache.
    """
    source, names = net.config.source, net.config.names
    given: list[tuple[str, Any]]
    dataset: Any = None
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()  # into the system's cache
    right = asked = 0
    spent = 0.0
    if source == PIXELS:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        given = [(path.parent.name, path) for path in files]
    else:
        dataset = LatentDataset(folder, values="latents")
        given = [(dataset.classes[int(label)], n) for n, label in enumerate(dataset.labels)]
    with torch.inference_mode():
        for label, item in given:
            began = time.perf_counter()
            if source == PIXELS:
                pixels = torch.from_numpy(media.read(item).pixels)
                values = pixels.permute(2, 0, 1)[None].float().div_(255)
            else:
                values = dataset[item].values[0][None]
            answer = names[int(net(values).argmax())]
            spent += time.perf_counter() - began
            right, asked = right + (answer == label), asked + 1
    return right, asked, asked / spent


def _first_latents(folder: Path) -> torch.Tensor:
    sample: Any = LatentDataset(folder, values="latents")[0]
    found: torch.Tensor = sample.values[0]
    return found


def measured(route: str, options: argparse.Namespace) -> Row:
    """Train and ask one route, in this process."""
    torch.set_num_threads(options.threads)
    data, source = options.data / route, source_of(route)
    out = options.work / route
    names = sorted(path.name for path in (data / "train").iterdir())
    channels = 3 if source == PIXELS else len(_first_latents(data / "test"))
    changes = [
        f"data=[{data / 'train'}]",
        f"evaluation=[{data / 'val'}]",
        f"out={out}",
        f"minutes={options.minutes}",
        f"model.source={source}",
        f"model.channels={channels}",
        f"model.names=[{', '.join(names)}]",
        f"evaluate_minutes={options.minutes / EVALUATIONS}",
    ]
    log: list[Any] = []
    path = run(RECIPE, changes, log=log.append)
    batch = read_recipe(RECIPE).phases[-1].batch
    points = [entry for entry in log if entry.get("event") == "evaluation"]
    speed_of_training = batch * points[-1]["step"] / (60 * points[-1]["minutes"])
    when = (60 * p["minutes"] for p in points if p["points"][0]["accuracy"] >= options.reach)
    reached = next(when, None)
    files = [p for p in (data / "train").rglob("*") if p.is_file()]
    net = read_recogniser(path)
    card = json.loads(read_header(path)["card"])
    right, asked, speed = answers(data / "test", net)
    return Row(
        route,
        right,
        asked,
        statistics.mean(os.path.getsize(p) for p in files),
        card["decode_kmac_per_pixel"],
        speed_of_training,
        speed,
        reached,
        points[-1]["step"],
        options.minutes,
    )


def cells(row: Row) -> list[str]:
    low, high = wilson(row.right, row.asked)
    return [
        row.route,
        f"{row.accuracy:.1f}",
        f"{low:.1f} to {high:.1f}",
        f"{row.size:,.0f}",
        f"{row.kmac:.2f}",
        f"{row.train_speed:.0f}",
        f"{row.answer_speed:.0f}",
        "–" if row.reached is None else f"{row.reached:.0f}",
    ]


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/learning"))
    parser.add_argument("--routes", help="default: all folders of --data")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reach", type=float, default=60.0)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.one:
        print("\n" + json.dumps(asdict(measured(options.one, options))))
        return
    routes = (
        options.routes.split(",")
        if options.routes
        else sorted(path.name for path in options.data.iterdir() if path.is_dir())
    )
    rows = []
    for route in routes:
        about = f"{options.minutes:g}-{options.threads}-{options.reach:g}"
        kept = options.work / route / f"row-{about}.json"
        if not kept.exists():
            shutil.rmtree(options.work / route, ignore_errors=True)  # of a run that was stopped
            command = [sys.executable, __file__, *(given or sys.argv[1:]), "--one", route]
            environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            )
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(done.stdout.strip().rpartition("\n")[2])
        rows.append(Row(**json.loads(kept.read_text())))
        print("  ".join(cells(rows[-1])), flush=True)
    columns = [column.format(reach=options.reach) for column in COLUMNS]
    text = table(columns, map(cells, rows), compact=True)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
