"""Draw a photograph as JPEG, WebP and Quantal show it at equal bytes, side by side.

    python benchmarks/equal_bytes.py [--bpp 0.2] [--out docs/images/equal-bytes.png]

The photograph is skimage.data.astronaut (NASA, public domain), 512x512; a crop is shown at twice
its size. JPEG and WebP get the lowest quality that needs no fewer bytes than ours.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import quantal

CROP = (96, 20, 336, 240)
SCALE = 2
CAPTION = 26


def psnr(a: Image.Image, b: Image.Image) -> float:
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b)
    return float(10 * np.log10(255**2 / np.square(difference).mean()))


def classical(image: Image.Image, format: str, size: int, **options: object) -> bytes:
    for quality in range(101):
        file = io.BytesIO()
        image.save(file, format, quality=quality, **options)
        if file.tell() >= size:
            break
    return file.getvalue()


def panel(name: str, shown: Image.Image, original: Image.Image, size: int) -> Image.Image:
    crop = shown.crop(CROP)
    crop = crop.resize((crop.width * SCALE, crop.height * SCALE), Image.Resampling.NEAREST)
    result = Image.new("RGB", (crop.width, crop.height + CAPTION), "white")
    result.paste(crop, (0, CAPTION))
    text = name if shown is original else f"{name}: {size:,} bytes, {psnr(shown, original):.2f} dB"
    ImageDraw.Draw(result).text((6, 4), text, "black", ImageFont.load_default(16))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bpp", type=float, default=0.2)
    parser.add_argument("--out", type=Path, default=Path("docs/images/equal-bytes.png"))
    options = parser.parse_args()
    original = Image.fromarray(data.astronaut())
    ours = quantal.compress(original, bpp=options.bpp)
    jpeg = classical(original, "JPEG", len(ours), optimize=True, progressive=True)
    webp = classical(original, "WebP", len(ours), method=6)
    panels = [panel("original", original, original, 0)]
    for name, coded in (("JPEG", jpeg), ("WebP", webp)):
        shown = Image.open(io.BytesIO(coded)).convert("RGB")
        panels.append(panel(name, shown, original, len(coded)))
    panels.append(panel("Quantal", quantal.decompress(ours), original, len(ours)))
    width, height = panels[0].size
    sheet = Image.new("RGB", (2 * width + 8, 2 * height + 8), "white")
    for place, part in enumerate(panels):
        sheet.paste(part, ((width + 8) * (place % 2), (height + 8) * (place // 2)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out, optimize=True)
    print(f"{options.out}: {len(ours):,} bytes ours, {len(webp):,} WebP, {len(jpeg):,} JPEG")


if __name__ == "__main__":
    main()
