"""Make a codec's golden files anew: coded pictures and the hashes of their symbols.

    python tests/golden/make.py CODEC

Only when its weights or the format change on purpose: the point of golden files is that what was
written once decodes to the same symbols ever after, on every machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import quantal

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "codecs"))

from symbols import digest  # noqa: E402


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("codec")
    codec = quantal.load(parser.parse_args().codec, "cpu")
    folder, table = HERE / codec.name, HERE / "golden.json"
    folder.mkdir(exist_ok=True)
    hashes = json.loads(table.read_text(encoding="utf-8"))
    for name, (image, quality) in pictures().items():
        coded = quantal.compress(image, quality=quality, codec=codec)
        (folder / f"{name}.qtl").write_bytes(coded)
        latents = quantal.latents(coded)
        size = [latents.width, latents.height]
        hashes[f"{codec.name}/{name}"] = {"symbols": digest(latents), "size": size}
    table.write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
    print(f"{len(pictures())} golden files of {codec.name} written")


if __name__ == "__main__":
    main()
