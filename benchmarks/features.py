"""Features as a medium: what a classifier still knows over bits per value, and speed.

    python benchmarks/features.py --data DIR --fit DIR --weights mobilenet_v2-b0353104.pth
                                  [--model mobilenet_v2] [--layers 7,11,14] [--count 200]
                                  [--methods ours,basis,tokens,zlib,x265,context-m]
                                  [--markdown FILE]

DIR holds pictures of Imagenette, a folder for each class, named by the WordNet ID; --fit holds
others, without labels, for the basis. A picture is resized and cut as torchvision states for the
weights; the classifier's first layers run, their features are coded by each method, and the other
layers answer from what was decoded.

Methods: `ours` codes each tensor with its statistics, `basis` by the principal components of 300
other pictures, `tokens` as the nearest of some vectors of these; `zlib` quantises to 2 to 8 bits
between the smallest and the largest value of the tensor and deflates; `x265` and `context-m` code
the same 8 bits as a grey picture, the channels side by side. Bits are those of whole files, for
x265 those of the stream.

Speed is that of one thread, million values a second of processor time, coding and decoding, on the
features of the first layer.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from quantal.eval.codecs import codec as peer
from quantal.latents import features
from quantal.latents.adapters import replace_stem
from quantal.markdown import table

Pixels = NDArray[np.uint8]
#: Features to bytes, and what is decoded of them.
Method = Callable[[Tensor], tuple[int, Tensor]]

#: Imagenette's classes among ImageNet's thousand.
CLASSES = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}
FITTED = 300
SECONDS = 3.0


@dataclass(frozen=True)
class Row:
    """A method at one setting: bits a value, and how many answers are right and unchanged."""

    layer: int
    method: str
    setting: str
    bits: float
    right: float
    same: float


# -- methods ---------------------------------------------------------------------------------------


def by_features(**options: object) -> Method:
    basis = options.get("basis")

    def run(values: Tensor) -> tuple[int, Tensor]:
        data = features.encode(values, **options)  # type: ignore[arg-type]
        found = features.decode(data, basis=basis)  # type: ignore[arg-type]
        return len(data), found  # type: ignore[return-value]

    return run


def scaled(values: Tensor, levels: int) -> tuple[Pixels, Callable[[Pixels], Tensor]]:
    """Return values in levels between their extremes, and the way back."""
    low, high = float(values.min()), float(values.max())
    step = (high - low) / (levels - 1) or 1.0
    found = ((values - low) / step).round().byte().numpy()
    return found, lambda pixels: torch.from_numpy(pixels.astype(np.float32)) * step + low


def by_zlib(bits: int) -> Method:
    def run(values: Tensor) -> tuple[int, Tensor]:
        levels, back = scaled(values, 1 << bits)
        return len(zlib.compress(levels.tobytes(), 9)) + 8, back(levels)

    return run


def tiled(values: Pixels) -> tuple[Pixels, Callable[[Pixels], Pixels]]:
    """Return channels [C, h, w] side by side in a grey picture [H, W, 3], and the way back."""
    count, height, width = values.shape
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    full = np.zeros((down * across, height, width), np.uint8)
    full[:count] = values
    plane = full.reshape(down, across, height, width).swapaxes(1, 2)
    picture = np.repeat(plane.reshape(down * height, across * width, 1), 3, 2)

    def back(pixels: Pixels) -> Pixels:
        grey = pixels.astype(np.float32).mean(2).round().astype(np.uint8)
        parts = grey.reshape(down, height, across, width).swapaxes(1, 2)
        return parts.reshape(-1, height, width)[:count]

    return picture, back


def by_picture(name: str, quality: float) -> Method:
    coder = peer("hevc") if name == "x265" else peer(name)
    coder.prepare(quality)

    def run(values: Tensor) -> tuple[int, Tensor]:
        levels, back = scaled(values, 256)
        picture, untiled = tiled(levels)
        data = coder.encode(picture, quality)
        decoded = np.asarray(coder.decode(data))
        return len(data) + 8, back(untiled(decoded))

    return run


def methods(
    names: Sequence[str], basis: features.Basis | None, fitted: list[Tensor]
) -> Iterator[tuple[str, str, Method]]:
    """Yield each method at each of its settings."""
    for name in names:
        if name == "ours":
            for bits in (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0):
                yield name, f"{bits:g} bits", by_features(bits=bits)
        elif name == "basis":
            for rate in (0, 4, 8, 12, 16, 20, 24):
                yield name, f"rate {rate}", by_features(basis=basis, rate=rate)
        elif name == "tokens":
            for entries in (64, 256, 1024):
                codebook = features.Codebook.fit(fitted, entries)
                yield name, f"{entries} vectors", by_features(basis=codebook)
        elif name == "zlib":
            for bits in (2, 3, 4, 6, 8):
                yield name, f"{bits} bits", by_zlib(bits)
        else:
            for quality in (4, 10, 16, 22, 30) if name == "x265" else (20, 40, 60, 80, 100):
                yield name, f"quality {quality}", by_picture(name, quality)


# -- pictures and the classifier -------------------------------------------------------------------


def batches(paths: Sequence[Path], transform: Callable[[Image.Image], Tensor]) -> Iterator[Tensor]:
    for start in range(0, len(paths), 25):
        opened = [Image.open(path).convert("RGB") for path in paths[start : start + 25]]
        yield torch.stack([transform(each) for each in opened])


def spread(folder: Path, count: int) -> list[Path]:
    """Return some of the pictures of a folder, evenly spread."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return found[:: max(len(found) // count, 1)][:count]


def speeds(maps: Tensor) -> list[list[str]]:
    """Return million values a second of coding and decoding, for tensors of two sizes."""
    rows = []
    for each in (maps[0], maps[:24].flatten(0, 1)):
        bound = 0.3 * float(each.std())
        levels = scaled(each, 256)[0].tobytes()
        data, packed = features.encode(each, max_error=bound), zlib.compress(levels, 6)
        ways: dict[str, tuple[Callable[[], object], ...]] = {
            "ours": (
                partial(features.encode, each, max_error=bound),
                partial(features.decode, data),
            ),
            "zlib, 8 bits": (partial(zlib.compress, levels, 6), partial(zlib.decompress, packed)),
        }
        for name, works in ways.items():
            speed = (f"{rate(work, each.numel()):.1f}" for work in works)
            rows.append([f"{each.numel():,} values", name, *speed])
    return rows


def rate(work: Callable[[], object], values: int) -> float:
    """Return million values a second of processor time."""
    for _ in range(3):
        work()
    begun, count = time.process_time(), 0
    while time.process_time() - begun < SECONDS:
        work()
        count += 1
    return count * values / (time.process_time() - begun) / 1e6


def measured(options: argparse.Namespace) -> Iterator[Row]:
    from torchvision import models

    network: nn.Module = models.get_model(options.model)
    network.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    network.eval()
    transform = models.get_model_weights(options.model).DEFAULT.transforms()
    if options.weights.name.startswith("mobilenet_v2-b0353104"):
        transform = models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    asked, fitted = spread(options.data, options.count), spread(options.fit, FITTED)
    truth = torch.tensor([CLASSES[path.parent.name] for path in asked])
    for layer in map(int, options.layers.split(",")):
        early = network.features[:layer]  # type: ignore[index]
        late = replace_stem(network, nn.Identity(), layer)
        maps = torch.cat([early(batch) for batch in batches(asked, transform)])
        answers = torch.cat([late(part).argmax(1) for part in maps.split(25)])
        yield Row(layer, "not coded", "", 32.0, 100 * float((answers == truth).float().mean()), 100)
        others = [early(batch) for batch in batches(fitted, transform)]
        basis = features.Basis.fit(others) if "basis" in options.methods else None
        for name, setting, method in methods(options.methods.split(","), basis, others):
            coded = [method(each) for each in maps]
            decoded = torch.stack([each for _, each in coded])
            found = torch.cat([late(part).argmax(1) for part in decoded.split(25)])
            yield Row(
                layer,
                name,
                setting,
                8 * sum(size for size, _ in coded) / maps.numel(),
                100 * float((found == truth).float().mean()),
                100 * float((found == answers).float().mean()),
            )
        if str(layer) == options.layers.partition(",")[0]:
            for row in speeds(maps):
                print(" ".join(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fit", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--layers", default="7,11,14")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--methods", default="ours,basis,tokens,zlib,x265,context-m")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells = []
    with torch.inference_mode():
        for row in measured(options):
            cells.append(
                [
                    str(row.layer),
                    row.method,
                    row.setting,
                    f"{row.bits:.3f}",
                    f"{row.right:.1f}",
                    f"{row.same:.1f}",
                ]
            )
            print("  ".join(cells[-1]), flush=True)
    columns = ("layer", "method", "setting", "bits/value", "right, %", "unchanged, %")
    if options.markdown:
        options.markdown.write_text(table(columns, cells, compact=True) + "\n")


if __name__ == "__main__":
    main()
