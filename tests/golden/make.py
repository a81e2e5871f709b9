"""Make the golden files anew: coded pictures and the hashes of their symbols.

    python tests/golden/make.py

Only when the weights or the format change on purpose: the point of golden files is that what was
written once decodes to the same symbols ever after, on every machine.
"""

from __future__ import annotations

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
    hashes = {}
    for name, (image, quality) in pictures().items():
        coded = quantal.compress(image, quality=quality)
        (HERE / f"{name}.qtl").write_bytes(coded)
        latents = quantal.latents(coded)
        hashes[name] = {"symbols": digest(latents), "size": [latents.width, latents.height]}
    (HERE / "golden.json").write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
    print(f"{len(hashes)} golden files written")


if __name__ == "__main__":
    main()
