"""CompressAI's models as .qtl files beside CompressAI's own streams: bytes and seconds.

    python benchmarks/zoo.py [--picture FILE] [--quality 3] [--weights FOLDER]

Weights are looked for in FOLDER under the zoo's names. An architecture that has none there gets
random ones of the zoo's sizes, whose last layers are enlarged so that symbols are not all zero:
useful for seconds and for comparing coders, but not for the quality of an architecture. Bytes of
CompressAI are those of its strings alone, ours those of the whole file. Seconds are of processor
time, one thread, warm, in process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from skimage import data
from torch import nn

from quantal import codecs, media
from quantal.codecs.compressai import ARCHITECTURES, FAMILY
from quantal.codecs.compressai.codec import CompressaiCodec
from quantal.codecs.compressai.weights import CLASSES, FileName, quiet, read
from quantal.errors import QuantalWarning
from quantal.files import Target, decode_picture, encode_picture


def lively(network: Any) -> dict[str, torch.Tensor]:
    """Return random weights whose symbols are not all zero."""

    def enlarge(part: nn.Module, factor: float) -> None:
        layers = [m for m in part.modules() if isinstance(m, nn.Conv2d)]
        layers[-1].weight.data.mul_(factor)

    enlarge(network.g_a, 8)
    if hasattr(network, "h_a"):
        enlarge(network.h_a, 5)
        enlarge(network.h_s, 20)
    if hasattr(network, "entropy_parameters"):
        enlarge(network.entropy_parameters, 10)
    state: dict[str, torch.Tensor] = network.state_dict()
    return state


def weights_for(architecture: str, quality: int, folder: Path | None, spare: Path) -> Path:
    for file in sorted(folder.iterdir()) if folder else ():
        named = FileName.of(file)
        if named and named.architecture == architecture and named.quality in (None, quality):
            return file
    from compressai import models, zoo
    from compressai.zoo import image_vbr

    variable = architecture.endswith("-vbr")
    sizes = image_vbr.cfgs[architecture] if variable else zoo.image.cfgs[architecture][quality]
    options = {"vr_entbttlnck": True} if variable and architecture != "mbt2018-vbr" else {}
    torch.manual_seed(0)
    with quiet():
        network = getattr(models, CLASSES[architecture])(*sizes, **options)
    file = spare / f"{architecture.removesuffix('-vbr')}-{'vbr' if variable else quality}.pth"
    torch.save(lively(network), file)
    return file


def best(work: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """Return the result of some work, and its least seconds of processor time."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return result, min(seconds)


def theirs(
    codec: CompressaiCodec, file: Path, pixels: np.ndarray, quality: int, repeats: int
) -> Any:
    """Return the bytes of CompressAI's strings, seconds to encode and to decode."""
    network = read(file).network
    options = {}
    if codec.architecture.endswith("-vbr"):
        options = {"s": quality - 1}
        network.update(force=True, scale=network.Gain[quality - 1].detach().abs())
    height, width = pixels.shape[:2]
    multiple = network.downsampling_factor
    edges = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    x = torch.from_numpy(np.pad(pixels, edges, mode="edge")).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        coded, encode = best(lambda: network.compress(x, **options), repeats)
        strings, shape = coded["strings"], coded["shape"]
        _, decode = best(lambda: network.decompress(strings, shape, **options), repeats)
    return sum(len(group[0]) for group in strings), encode, decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--quality", type=int, default=3)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=ARCHITECTURES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", QuantalWarning)
    pixels = media.read(options.picture).pixels if options.picture else data.chelsea()
    picture = media.from_array(pixels)
    width, height = picture.width, picture.height
    table = Table(title=f"{width}x{height}, quality {options.quality}, one thread")
    for heading in ("architecture", "bytes", "theirs", "encode", "theirs", "decode", "theirs"):
        table.add_column(heading, justify="left" if heading == "architecture" else "right")
    with tempfile.TemporaryDirectory() as spare:
        for architecture in options.only:
            file = weights_for(architecture, options.quality, options.weights, Path(spare))
            codec = codecs.load(f"{FAMILY}/{architecture}", "cpu", file)
            target = Target(quality=options.quality)
            coded, encode = best(
                lambda c=codec, t=target: encode_picture(picture, c, t).data, options.repeats
            )
            _, decode = best(lambda c=codec, d=coded: decode_picture(d, codec=c), options.repeats)
            assert isinstance(codec, CompressaiCodec)
            size, their_encode, their_decode = theirs(
                codec, file, picture.pixels, options.quality, options.repeats
            )
            seconds = (f"{s:.2f}" for s in (encode, their_encode, decode, their_decode))
            table.add_row(architecture, f"{len(coded):,}", f"{size:,}", *seconds)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
