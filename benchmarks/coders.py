"""Coders to measure, and the measurements of one process; benchmarks/codec.py runs this.

    python benchmarks/coders.py work '{"codec": ..., ...}'
    python benchmarks/coders.py untrained NAME FILE
    python benchmarks/coders.py peak

Nothing heavy is imported before it is needed, because codec.py, which has to stay small, takes the
names from here.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

RECIPES = Path(__file__).parents[1] / "recipes"
OURS = ("hyperprior", "context-s", "context-m", "context-l")
#: What may run the networks of ours, after a colon: "context-m:onnx". Without it, torch does.
WAYS: dict[str, dict[str, Any]] = {
    "": {"backend": "torch"},
    "torch": {"backend": "torch"},
    "onnx": {"backend": "onnx"},
    "openvino": {"backend": "openvino"},
    "bfloat16": {"backend": "openvino", "precision": "bfloat16"},
    "auto": {"backend": "openvino", "precision": "auto"},
}
#: CompressAI's models, and the quality that stands for the width of the upper ones.
ZOO = {"mbt2018-mean": 5, "cheng2020-anchor": 6, "elic": 0}
CLASSICAL: dict[str, tuple[str, dict[str, Any]]] = {
    "avif-4": ("AVIF", {"quality": 72, "speed": 4}),
    "avif-6": ("AVIF", {"quality": 72, "speed": 6}),
    "webp-6": ("WEBP", {"quality": 82, "method": 6}),
}
CODECS = (*OURS, *ZOO, *CLASSICAL)
COUNTED_SIZE = (256, 256)


class Coder(NamedTuple):
    """A codec to measure.

    Attributes:
        encode: maps pixels uint8 [H, W, 3] to a code and its number of bytes.
        decode: maps a code to pixels.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    size: Callable[[Any], int]


def picture(path: str | None, width: int, height: int) -> Any:
    """Return a picture of exactly that size, mirrored where it is smaller, to keep its detail."""
    import numpy as np

    from quantal import media

    if path:
        found = media.read(path).pixels
    else:
        from skimage import data

        found = data.astronaut()
    edges = [(0, max(wanted - has, 0)) for wanted, has in zip((height, width), found.shape)]  # noqa: B905
    return np.pad(found, (*edges, (0, 0)), mode="symmetric")[:height, :width].copy()


def plain(name: str) -> str:
    """Return the name of a codec without what runs its networks."""
    return name.partition(":")[0]


def ours(name: str, weights: str | None, quality: int) -> Coder:
    import quantal
    from quantal import media
    from quantal.files import Target, decode_picture, encode_picture

    own, _, way = name.partition(":")
    codec = quantal.load(own, "cpu", weights=weights, **WAYS[way])
    target = Target(quality=quality)
    return Coder(
        lambda pixels: encode_picture(media.from_array(pixels), codec, target).data,
        lambda data: decode_picture(data, codec=codec).pixels,
        len,
    )


def write_untrained(name: str, path: str) -> None:
    """Write weights of a recipe's networks as they are before training."""
    import torch

    from quantal.codecs.info import Card
    from quantal.codecs.pyramid.net import PyramidNet
    from quantal.codecs.pyramid.weights import write_entropy_net_weights
    from quantal.train import build, read_recipe

    recipe = read_recipe(RECIPES / f"{name}.yaml")
    torch.manual_seed(0)
    net = build(recipe.codec, recipe.model).eval()
    assert isinstance(net, PyramidNet)
    crops = torch.from_numpy(picture(None, 512, 512)).permute(2, 0, 1)[None].float() / 255
    net.initialise(crops)
    write_entropy_net_weights(Path(path), net, net.entropy.freeze(), Card())


def zoo(name: str) -> Coder:
    import torch
    import torch.nn.functional as F
    from compressai import zoo as models
    from compressai.models.sensetime import Elic2022Official

    torch.manual_seed(0)
    if name == "elic":
        model = Elic2022Official()
    else:
        model = getattr(models, name.replace("-", "_"))(quality=ZOO[name], pretrained=False)
    model.eval().requires_grad_(False)
    model.update(force=True)

    def encode(pixels: Any) -> Any:
        height, width = pixels.shape[:2]
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float().div_(255)
        x = F.pad(x, (0, -width % 64, 0, -height % 64), mode="replicate")
        return {**model.compress(x), "crop": (height, width)}

    def decode(coded: Any) -> Any:
        height, width = coded["crop"]
        x = model.decompress(coded["strings"], coded["shape"])["x_hat"][0, :, :height, :width]
        return x.mul_(255).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()

    def size(strings: Any) -> int:
        return len(strings) if isinstance(strings, bytes) else sum(map(size, strings))

    return Coder(encode, decode, lambda coded: size(coded["strings"]))


def classical(name: str, threads: int) -> Coder:
    import io

    import numpy as np
    from PIL import AvifImagePlugin, Image

    AvifImagePlugin.DEFAULT_MAX_THREADS = threads  # of the decoder
    kind, options = CLASSICAL[name]
    if kind == "AVIF":
        options = {**options, "max_threads": threads}

    def encode(pixels: Any) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **options)
        return file.getvalue()

    return Coder(encode, lambda data: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), len)


def build(task: dict[str, Any]) -> Coder:
    if plain(task["codec"]) in OURS:
        return ours(task["codec"], task["weights"], task["quality"])
    if task["codec"] in ZOO:
        return zoo(task["codec"])
    return classical(task["codec"], task["threads"])


def gigabytes() -> float:
    """Return the peak memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def kmac(run: Callable[[], Any], pixels: int) -> tuple[float, Any]:
    """Return thousand multiplications per pixel while something runs, and its result."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        result = run()
    return counter.get_total_flops() / 2 / pixels / 1000, result


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Return the measurements of one process, without the times of the first repeat."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-task["threads"] :])
    inference: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if task["codec"] not in CLASSICAL and task["codec"].partition(":")[2] in ("", "torch"):
        import torch

        torch.set_num_threads(task["threads"])
        inference = torch.inference_mode()
    with inference:
        coder = build(task)
        if task["count"]:
            pixels = picture(task["picture"], *COUNTED_SIZE)
            there, coded = kmac(lambda: coder.encode(pixels), pixels[..., 0].size)
            back, _ = kmac(lambda: coder.decode(coded), pixels[..., 0].size)
            return {"encode_kmac": round(there, 2), "decode_kmac": round(back, 2)}
        width, height = map(int, task["size"].split("x"))
        pixels = picture(task["picture"], width, height)
        loaded, times = gigabytes(), []
        for _ in range(task["repeats"] + 1):
            start = time.perf_counter()
            coded = coder.encode(pixels)
            middle = time.perf_counter()
            coder.decode(coded)
            times.append((middle - start, time.perf_counter() - middle))
            if sum(map(sum, times)) > task["limit"]:
                break  # slow: once is enough, and warming up matters little
        encode, decode = zip(*(times[1:] or times), strict=True)
    return {
        "encode": encode,
        "decode": decode,
        "bpp": coder.size(coded) * 8 / (width * height),
        "peak_gb": gigabytes(),
        "loaded_gb": loaded,
    }


def peak() -> float:
    """Return how many billion multiplications a second float32 matrix products reach."""
    import numpy as np

    side, best = 1024, 0.0
    one, other = np.random.default_rng(0).random((2, side, side), np.float32)
    for _ in range(12):
        start = time.perf_counter()
        one @ other
        best = max(best, side**3 / (time.perf_counter() - start) / 1e9)
    return best


def main() -> None:
    if sys.argv[1] == "untrained":
        write_untrained(*sys.argv[2:])
        return
    if sys.argv[1] == "peak":
        print(peak())
        return
    print(json.dumps(work(json.loads(sys.argv[2]))))


if __name__ == "__main__":
    main()
