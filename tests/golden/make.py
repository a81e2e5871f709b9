"""Make a codec's golden files anew: coded pictures or a clip, and the hashes of their symbols.

    python tests/golden/make.py CODEC
    python tests/golden/make.py formats      # a data cube, features, and a shard of `context-s`

Only when its weights or the format change on purpose: the point of golden files is that what was
written once decodes to the same symbols ever after, on every machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

import quantal
from quantal.codecs.contract import Codec, Exact
from quantal.codecs.video_contract import VideoCodec

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "codecs"))

from frames import moving  # noqa: E402
from symbols import clip_digest, digest  # noqa: E402


def pictures() -> dict[str, tuple[Image.Image, int]]:
    """Name to picture and quality: colour, grey, alpha, one pixel, an odd size."""
    astronaut = Image.fromarray(data.astronaut())
    camera = Image.fromarray(data.camera())
    faded = astronaut.crop((150, 20, 278, 148))
    ramp = np.linspace(0, 255, 128).astype(np.uint8)
    faded.putalpha(Image.fromarray(np.repeat(ramp[None], 128, axis=0)))
    return {
        "colour-low": (astronaut, 15),
        "colour-high": (astronaut.crop((100, 0, 357, 211)), 95),
        "grey": (camera.resize((200, 200)), 60),
        "alpha": (faded, 50),
        "one-pixel": (astronaut.crop((7, 7, 8, 8)), 80),
    }


def kept_pictures() -> dict[str, Image.Image]:
    """Name to picture, for codecs that keep every sample: smaller, and deep and drawn ones too."""
    astronaut = Image.fromarray(data.astronaut())
    deep = np.asarray(data.camera()[100:180, 200:290], np.uint16) * 200
    deep += np.arange(deep.size, dtype=np.uint16).reshape(deep.shape) * 37 % 200
    rng = np.random.default_rng(0)
    letters = rng.integers(0, 2, (9, 12, 8), np.uint8) * 230
    lines = [np.concatenate(letters[rng.integers(0, 9, 30)], 1) for _ in range(8)]
    page = np.full((256, 256, 3), 255, np.uint8)
    page[20:116, 8:248] = np.concatenate(lines)[:, :, None]
    page[128:, 128:] = data.astronaut()[:128, 100:228]
    drawn = Image.fromarray(page)
    found = {name: image for name, (image, _) in pictures().items() if name != "colour-low"}
    found["colour-high"] = astronaut.crop((100, 0, 249, 123))
    found["grey"] = found["grey"].crop((60, 40, 160, 140))
    found["alpha"] = found["alpha"].crop((20, 20, 100, 90))
    return {**found, "deep": Image.fromarray(deep), "drawn": drawn}


def coded_pictures(codec: Codec) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Yield name, file and what is expected of it."""
    chosen: dict[str, tuple[Image.Image, int | None]] = {**pictures()}
    if isinstance(codec, Exact):
        chosen = {name: (image, None) for name, image in kept_pictures().items()}
    for name, (image, quality) in chosen.items():
        coded = quantal.compress(image, quality=quality, codec=codec)
        latents = quantal.latents.read(coded)
        size = [latents.width, latents.height]
        yield name, coded, {"symbols": digest(latents), "size": size}


def coded_clips(codec: VideoCodec) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Yield name, file and what is expected of it."""
    frames = moving(10)
    height, width = frames[0].shape[:2]
    coded = quantal.compress_clip(frames, codec, quality=50, intra_period=6)
    yield "clip", coded, {"symbols": clip_digest(coded), "size": [width, height], "frames": 10}


def waves() -> np.ndarray:
    """Return a field that moves: float32 [6, 20, 30], without any function of the platform's."""
    time, y, x = np.meshgrid(np.arange(6), np.arange(20), np.arange(30), indexing="ij")
    return ((x * x + 3 * x * y + 7 * time * y) % 251 / 16).astype(np.float32)


def write_formats(folder: Path) -> None:
    """Write files of the formats that are no pictures or clips."""
    import torch
    import xarray

    from quantal import cubes
    from quantal.latents import features

    folder.mkdir(exist_ok=True)
    field = waves()
    cube = xarray.Dataset({"height": (("time", "y", "x"), field, {"units": "m"})})
    cubes.compress(cube, folder / "cube.qcube", max_error=0.01)
    tensor = torch.from_numpy(field)
    (folder / "features.qtl").write_bytes(features.encode(tensor, max_error=0.05))
    with tempfile.TemporaryDirectory() as out:
        packed = quantal.latents.pack(HERE / "context-s", out)
        (folder / "context-s.qshard").write_bytes(packed.shards[0].read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("codec")
    name = parser.parse_args().codec
    if name == "formats":
        write_formats(HERE / name)
        return
    codec = quantal.load(name, "cpu")
    folder, table = HERE / name, HERE / "golden.json"
    folder.mkdir(exist_ok=True)
    hashes = json.loads(table.read_text(encoding="utf-8"))
    files = list(coded_clips(codec) if isinstance(codec, VideoCodec) else coded_pictures(codec))
    for file, coded, expected in files:
        (folder / f"{file}.qtl").write_bytes(coded)
        hashes[f"{name}/{file}"] = expected
    table.write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
    print(f"golden files of {name} written: {len(files)}")


if __name__ == "__main__":
    main()
