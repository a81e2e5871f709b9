"""Whether text on screens stays legible: a recogniser's errors, beside AVIF in as many bytes.

    python benchmarks/legibility.py [--pages 8] [--quality 30] [--codec context-m]

Needs the program `tesseract` (tested with 5.3). Pages of text are drawn with Pillow's font, dark
and light, in 11 to 16 pixels, and read at three times their size. AVIF is Pillow's at speed 4, at
the highest quality that takes no more bytes than ours.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import subprocess
import textwrap
from pydoc_data.topics import topics

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import quantal
from quantal.eval.perception.text import edits, plain
from quantal.markdown import table

_SIZE = 640, 480
_COLOURS = (
    ("#ffffff", "#1a1a1a"),
    ("#1e1e2e", "#cdd6f4"),
    ("#fdf6e3", "#586e75"),
    ("#f0f4ff", "#0645ad"),
    ("#000000", "#33ff66"),
    ("#2b3e50", "#f5f5f5"),
)
_TEXT = " ".join(" ".join(topics[name].split()) for name in ("for", "class", "lambda", "yield"))
_WORDS = [word for word in _TEXT.split() if word.isalpha()]


def page(number: int) -> tuple[Image.Image, str]:
    """Draw a page, and return it with its text."""
    chosen = random.Random(number)
    paper, ink = _COLOURS[number % len(_COLOURS)]
    size = chosen.randint(11, 16)
    image = Image.new("RGB", _SIZE, paper)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    start = chosen.randrange(len(_WORDS) - 400)
    lines = textwrap.wrap(" ".join(_WORDS[start:]), int(_SIZE[0] / size * 1.75))
    kept = lines[: (_SIZE[1] - 24) // (size + 8)]
    for row, line in enumerate(kept):
        draw.text((12, 12 + row * (size + 8)), line, ink, font)
    return image, "\n".join(kept)


def errors(image: Image.Image, text: str) -> int:
    """Return how many characters a recogniser reads wrong."""
    file = io.BytesIO()
    image.resize((_SIZE[0] * 3, _SIZE[1] * 3), Image.Resampling.BICUBIC).save(file, "PNG")
    command = ["tesseract", "-", "-", "--psm", "6"]
    read = subprocess.run(command, input=file.getvalue(), capture_output=True, check=True).stdout
    return edits(plain(read.decode()), plain(text))


def avif(image: Image.Image, most: int, subsampling: str) -> bytes:
    """Return the largest AVIF of at most so many bytes, or the smallest there is."""
    low, best = 0, b""
    high = 100
    while low <= high:
        quality = (low + high) // 2
        file = io.BytesIO()
        image.save(file, "AVIF", quality=quality, speed=4, subsampling=subsampling)
        data = file.getvalue()
        if len(data) <= most or not quality:
            best, low = data, quality + 1
        else:
            high = quality - 1
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=8)
    parser.add_argument("--quality", type=int, default=30)
    parser.add_argument("--codec", default="context-m")
    given = parser.parse_args()
    if not shutil.which("tesseract"):
        raise SystemExit("the program tesseract is not installed: apt-get install tesseract-ocr")
    sums: dict[str, list[tuple[int, int, float]]] = {}
    characters = 0
    for number in range(given.pages):
        image, text = page(number)
        characters += len(plain(text))
        pixels = np.asarray(image, np.float64)
        ours = quantal.compress(image, given.codec, quality=given.quality, content="screen")
        files = {
            f"`{given.codec}` at quality {given.quality}": ours,
            "its transforms alone": quantal.compress(
                image, given.codec, quality=given.quality, content="photo"
            ),
            "AVIF 4:2:0": avif(image, len(ours), "4:2:0"),
            "AVIF 4:4:4": avif(image, len(ours), "4:4:4"),
        }
        sums.setdefault("original", []).append((0, errors(image, text), 0.0))
        for name, data in files.items():
            if name.startswith("AVIF"):
                drawn = Image.open(io.BytesIO(data)).convert("RGB")
            else:
                drawn = quantal.decompress(data).convert("RGB")
            lost = float(((np.asarray(drawn) - pixels) ** 2).mean())
            sums.setdefault(name, []).append((len(data), errors(drawn, text), lost))
        print(f"{number + 1} of {given.pages}", flush=True)
    rows = []
    for name, found in sums.items():
        size, wrong, lost = (sum(part) for part in zip(*found, strict=True))
        psnr = f"{10 * np.log10(65025 * len(found) / lost):.1f}" if lost else "–"
        rows.append((name, f"{size:,}" if size else "", psnr, f"{100 * wrong / characters:.2f} %"))
    print(f"{given.pages} pages, {characters:,} characters\n")
    print(table(("", "bytes", "PSNR-RGB, dB", "characters wrong"), rows))


if __name__ == "__main__":
    main()
