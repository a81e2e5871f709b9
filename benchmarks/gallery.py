"""Draw the pictures of docs/results/gallery.md: scenes as codecs show them at equal bytes.

    python benchmarks/gallery.py [--out docs/images] [--only photographs|screen|clip]

Photographs are those of skimage.data (astronaut: NASA, public domain; coffee: CC0; chelsea: CC0).
recipes/draw_screens.py draws the screen. The clip shows a photograph to a moving camera. Other
codecs get the lowest quality that needs no fewer bytes than the first of ours.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from _sheets import Pixels, View, draw_sheet, no_smaller, psnr
from PIL import Image
from skimage import data

import quantal
from quantal import clips
from quantal.eval.clips import ClipCodec, ClipSource, Frames
from quantal.eval.codecs import codec

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from draw_screens import draw_screen

RIVALS = {"JPEG": "jpeg", "WebP": "webp", "AVIF": "avif:speed=4"}
VIDEO_RIVALS = {"x264 medium": "x264", "x265 medium": "x265"}
#: Name: the photograph, bits per pixel, and the crop that is shown at twice its size.
PHOTOGRAPHS = {
    "astronaut": (data.astronaut, 0.15, (96, 20, 336, 200)),
    "coffee": (data.coffee, 0.15, (150, 120, 390, 300)),
    "chelsea": (data.chelsea, 0.2, (110, 60, 350, 240)),
}
SCREEN, SIDE, FRAMES, SHOWN = 3, 512, 24, 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", choices=("photographs", "screen", "clip"))
    options = parser.parse_args()
    for kind, scenes in (("photographs", photographs), ("screen", screen), ("clip", clip)):
        if options.only in (None, kind):
            for name, views, crop, scale in scenes():
                target = options.out / f"gallery-{name}.jpg"
                sheet = draw_sheet(views, 3 if len(views) > 4 else 2, crop, _said, scale)
                sheet.save(target, quality=90, subsampling=0, optimize=True)
                print(target, *(f"{view.title} {view.size:,}" for view in views[1:]), sep=", ")


Scene = tuple[str, list[View], tuple[int, int, int, int], int]


def photographs() -> Iterator[Scene]:
    """Yield photographs: the original, classical codecs, and both tunes of `context-m`."""
    for name, (load, bpp, crop) in PHOTOGRAPHS.items():
        original = np.ascontiguousarray(load())
        ours = _ours("context-m", original, bpp)
        views = [View("original", 0, original)]
        views += [_rival(title, spec, original, ours.size) for title, spec in RIVALS.items()]
        yield name, [*views, ours, _ours("context-m@eyes", original, bpp)], crop, 2


def screen() -> Iterator[Scene]:
    """Yield a drawn screen, whose text and flat areas `context-m` codes in exact colours."""
    original = np.asarray(draw_screen(SCREEN, SIDE, [], []))
    coded = quantal.compress(original, quality=60)
    ours = View("Quantal context-m", len(coded), np.asarray(quantal.decompress(coded)))
    views = [_rival(title, spec, original, ours.size) for title, spec in RIVALS.items()]
    photo = quantal.compress(original, bpp=8 * len(coded) / SIDE**2, content="photo")
    plain = View("without exact colours", len(photo), np.asarray(quantal.decompress(photo)))
    yield "screen", [View("original", 0, original), *views, plain, ours], (120, 120, 420, 320), 1


def clip() -> Iterator[Scene]:
    """Yield a frame of a clip in which a camera turns and comes closer to a photograph."""
    photo = Image.fromarray(data.coffee())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip.mp4")
        given = clips.Properties(width=384, height=256, time_base=Fraction(1, 25))
        with clips.write(path, given, options={"crf": "1"}) as writer:
            for number in range(FRAMES):
                turn, size = np.deg2rad(0.25 * number), 1 - 0.006 * number
                along, across = size * np.cos(turn), size * np.sin(turn)
                left, top = 110 + 0.7 * number, 70 - 0.4 * number
                frame = photo.transform(
                    (given.width, given.height),
                    Image.Transform.AFFINE,
                    (along, across, left, -across, along, top),
                    Image.Resampling.BICUBIC,
                )
                writer.write(clips.Frame(number, np.asarray(frame)))
        source = ClipSource(path, FRAMES)
        coded = quantal.compress_clip(source.pixels, bpp=0.03)
        with quantal.open(coded) as decoded:
            ours = [frame.pixels for frame in decoded][SHOWN]
        views = [View("original", 0, source.pixels[SHOWN])]
        for title, spec in VIDEO_RIVALS.items():
            size, drawn = _video_rival(spec, source, len(coded))
            views.append(View(title, size, drawn[SHOWN]))
    yield "clip", [*views, View("Quantal video-m", len(coded), ours)], (40, 20, 340, 220), 1


def _ours(name: str, original: Pixels, bpp: float) -> View:
    coded = quantal.compress(original, codec=name, bpp=bpp)
    title = f"Quantal {name.replace('@', ', tune ')}"
    return View(title, len(coded), np.asarray(quantal.decompress(coded)))


def _rival(title: str, spec: str, original: Pixels, size: int) -> View:
    coder = codec(spec)
    coded = no_smaller(coder, original, size)
    return View(title, len(coded), np.asarray(coder.decode(coded), dtype=np.uint8))


def _video_rival(spec: str, source: ClipSource, size: int) -> tuple[int, Frames]:
    """Return the bytes of frames, and the frames, of the lowest quality with `size` bytes."""
    coder = codec(spec)
    assert isinstance(coder, ClipCodec)
    coded = coder.encode(source, coder.limits[0])
    for quality in range(int(coder.limits[0]), int(coder.limits[1]) + 1):
        coded = coder.encode(source, quality)
        if sum(coded.sizes) >= size:
            break
    return sum(coded.sizes), coder.decode(coded)


def _said(original: Pixels, decoded: Pixels) -> str:
    return f"{psnr(original, decoded):.2f} dB"


if __name__ == "__main__":
    main()
