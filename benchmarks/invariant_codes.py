"""Codes of a frozen network's embedding, made without labels: what a linear probe still knows.

    python benchmarks/invariant_codes.py --data DIR --weights mobilenet_v2-b0353104.pth
                                         [--coded DIR ...] [--components 128] [--rates 4,8,...]
                                         [--limit 0] [--markdown FILE]

DIR holds `train` and `test`, in each a folder of pictures for every class. The embedding is the
mean over positions of MobileNetV2's last features. A features.Basis is fitted to the embeddings of
`train`, without labels, and codes them into .qtl files (after Dubois et al., "Lossy compression for
lossless prediction", 2021). A linear probe (logistic regression) is trained on what is decoded of
`train` and asked about `test`: for each rate of the basis, for the embedding as it is, and, with
--coded, for the embedding of pictures that were drawn from .qtl files of the same pictures.

Columns: bytes of a file; accuracy with the 95 % interval over pictures (Wilson); files that one
core reads per second, from memory to the embedding.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from compressed_learning import wilson
from PIL import Image
from torch import Tensor, nn

import quantal
from quantal.latents import features
from quantal.markdown import table

BATCH = 25


@dataclass(frozen=True)
class Part:
    """Embeddings [n, C] of pictures, and their classes [n]."""

    values: Tensor
    classes: Tensor


def opened(path: Path) -> Image.Image:
    if path.suffix == ".qtl":
        return quantal.decompress(path).convert("RGB")
    return Image.open(path).convert("RGB")


def embedded(folder: Path, network: nn.Module, limit: int) -> Part:
    """Return the embeddings of the pictures of a folder, at most `limit`, evenly spread."""
    from torchvision.models import MobileNet_V2_Weights

    transform = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if limit:
        paths = paths[:: max(len(paths) // limit, 1)][:limit]
    names = sorted({path.parent.name for path in paths})
    found = []
    for start in range(0, len(paths), BATCH):
        shown = torch.stack([transform(opened(path)) for path in paths[start : start + BATCH]])
        found.append(network.features(shown).mean((2, 3)))  # type: ignore[operator]
    return Part(torch.cat(found), torch.tensor([names.index(path.parent.name) for path in paths]))


def probed(train: Part, test: Part) -> int:
    """Return how many of `test` a linear probe trained on `train` knows."""
    mean, spread = train.values.mean(0), train.values.std(0).clamp_min(1e-6)
    count = int(train.classes.max()) + 1
    with torch.enable_grad():
        torch.manual_seed(0)
        layer = nn.Linear(train.values.shape[1], count)
        optimiser = torch.optim.LBFGS(
            layer.parameters(), max_iter=100, line_search_fn="strong_wolfe"
        )
        shown = (train.values - mean) / spread

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(layer(shown), train.classes)
            loss = loss + 1e-3 * layer.weight.square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)  # type: ignore[arg-type]
    answers = layer((test.values - mean) / spread).argmax(1)
    return int((answers == test.classes).sum())


def coded(part: Part, basis: features.Basis, rate: int) -> tuple[Part, float, float]:
    """Return what is decoded, the bytes of a file, and files read per second of processor time."""
    files = [features.encode(each, basis=basis, rate=rate, channels=0) for each in part.values]
    begun = time.process_time()
    found = [features.decode(file, basis=basis) for file in files]
    speed = len(files) / (time.process_time() - begun)
    values = torch.stack(found)  # type: ignore[arg-type]
    return Part(values, part.classes), float(np.mean([len(file) for file in files])), speed


def rows(options: argparse.Namespace) -> Iterator[list[str]]:
    from torchvision import models

    network = models.mobilenet_v2()
    network.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    network.eval()
    train, test = (
        embedded(options.data / part, network, limit)
        for part, limit in (("train", options.limit), ("test", 0))
    )
    asked = len(test.classes)

    def row(name: str, size: float, right: int, speed: str = "") -> list[str]:
        low, high = wilson(right, asked)
        share = 100 * right / asked
        return [name, f"{size:,.0f}", f"{share:.1f} ({low:.1f} to {high:.1f})", speed]

    yield row("the embedding", 4.0 * train.values.shape[1], probed(train, test))
    basis = features.Basis.fit(train.values, options.components, channels=0)
    for rate in map(int, options.rates.split(",")):
        (seen, _, _), (shown, size, speed) = (coded(each, basis, rate) for each in (train, test))
        yield row(f"its code, rate {rate}", size, probed(seen, shown), f"{speed:,.0f}")
    for folder in options.coded:
        pair = [embedded(folder / part, network, options.coded_limit) for part in ("train", "test")]
        asked = len(pair[1].classes)
        files = [path for path in (folder / "test").rglob("*") if path.is_file()]
        size = float(np.mean([path.stat().st_size for path in files]))
        yield row(f"of pictures, {folder.name}", size, probed(pair[0], pair[1]))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--coded", type=Path, nargs="*", default=[])
    parser.add_argument("--components", type=int, default=128)
    parser.add_argument("--rates", default="0,2,4,6,8,10,12,16")
    parser.add_argument("--limit", type=int, default=0, help="pictures to train on; 0: all")
    parser.add_argument("--coded-limit", type=int, default=600, help="the same, and to ask, drawn")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cells = []
    with torch.no_grad():
        for row in rows(options):
            cells.append(row)
            print("  ".join(row), flush=True)
    columns = ("probe on", "bytes", "accuracy, %", "files/s read")
    if options.markdown:
        options.markdown.write_text(table(columns, cells, compact=True) + "\n")


if __name__ == "__main__":
    main()
