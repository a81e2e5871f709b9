"""Photographs of any origin made fit for training: scaled down where they were coded, each once.

    python recipes/gather_pictures.py OUT PATH [PATH ...] [--apart PATH ...] [--pixels LIMIT]

Reads pictures of folders and tar shards and writes PNG files into OUT; name that folder in a
recipe's `data`.

What a coder removed from a picture must not be learned as if it were nature. So a JPEG file is
scaled down by a factor that follows the mean step of its luma table: 1.5, 2 or 3. Formats without
loss keep their size, and so does AVIF, in which training crops are stored; all others are halved.
Pictures that are then smaller than --smallest pixels a side are left out.

A picture that resembles one of --apart, which holds what the codec is measured with, or one that
was taken before, is left out: two pictures are near-duplicates when the correlation of their
thumbnails of 16 x 16 grey samples, in any of the eight orientations, exceeds --alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import islice
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from quantal.train.files import pictures_under

THUMBNAIL = 16
#: Files that are in memory at a time.
BATCH = 64
#: Formats without loss, and that of training crops.
UNSCALED = ("PNG", "TIFF", "BMP", "PPM", "AVIF")
#: Mean step of the luma table up to which a picture is scaled down by a factor. Quality 97 of
#: libjpeg has a mean of 3.6, quality 93 of 8.1.
FACTORS = ((1.0, 1.0), (4.0, 1.5), (12.0, 2.0), (np.inf, 3.0))

Thumbnail = npt.NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--apart", type=Path, nargs="*", default=[])
    parser.add_argument("--smallest", type=int, default=256, help="pixels of the shorter side")
    parser.add_argument("--pixels", type=int, default=3_000_000, help="of one picture, at most")
    parser.add_argument("--alike", type=float, default=0.97)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    known = Gallery(options.alike)
    for path in options.apart:
        for _, data in pictures_under(path):
            known.add(thumbnail(opened(data)))
    for path in options.paths:
        taken = pixels = alike = small = 0
        for number, picture in enumerate(prepared(path, options.pixels)):
            if picture is None or min(picture.size) < options.smallest:
                small += 1
            elif not known.add(thumbnail(picture)):
                alike += 1
            else:
                picture.save(options.out / f"{path.stem}-{number:05d}.png", compress_level=1)
                taken += 1
                pixels += picture.width * picture.height
        print(
            f"{path.name}: {taken} pictures, {pixels / 1e6:.0f} megapixels; left out: {alike} "
            f"near-duplicates, {small} too small or unreadable",
            flush=True,
        )


def prepared(path: Path, most: int) -> Iterator[Image.Image | None]:
    """Yield the pictures of a place, scaled down; None for one that can't be read."""
    jobs = ((data, most) for _, data in pictures_under(path))
    with Pool() as pool:
        # In batches, because imap() would read all files before the first result is used.
        while batch := list(islice(jobs, BATCH)):
            yield from pool.imap(_prepared, batch)


def _prepared(job: tuple[bytes, int]) -> Image.Image | None:
    data, most = job
    try:
        picture = opened(data)
    except (OSError, UnidentifiedImageError):
        return None
    factor = max(scaling(data), (picture.width * picture.height / most) ** 0.5)
    if factor == 1:
        return picture
    size = round(picture.width / factor), round(picture.height / factor)
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def opened(data: bytes) -> Image.Image:
    """Return a picture, upright, in RGB."""
    with Image.open(BytesIO(data)) as picture:
        return ImageOps.exif_transpose(picture).convert("RGB")


def scaling(data: bytes) -> float:
    """Return by how much a file's picture is to be scaled down, for what its coder took."""
    with Image.open(BytesIO(data)) as picture:
        tables = getattr(picture, "quantization", None)
        if not tables:
            return 1.0 if picture.format in UNSCALED else 2.0
        step = float(np.mean(tables[0]))
    return next(factor for limit, factor in FACTORS if step <= limit)


def thumbnail(picture: Image.Image) -> Thumbnail:
    """Return a picture's grey thumbnail, without mean and of length 1: [THUMBNAIL, THUMBNAIL]."""
    small = picture.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    samples = np.asarray(small, np.float32)
    samples -= samples.mean()
    return samples / max(float(np.linalg.norm(samples)), 1e-6)


class Gallery:
    """Thumbnails of what is known.

    Args:
        alike: the correlation above which two thumbnails are of one picture.
    """

    def __init__(self, alike: float) -> None:
        self.alike = alike
        self.rows = np.zeros((0, THUMBNAIL**2), np.float32)

    def add(self, found: Thumbnail) -> bool:
        """Add a thumbnail, unless one that resembles it is there; return whether it was added."""
        views = np.stack([view.ravel() for view in orientations(found)])
        if (self.rows @ views.T > self.alike).any():
            return False
        self.rows = np.concatenate([self.rows, found.reshape(1, -1)])
        return True


def orientations(samples: Thumbnail) -> Sequence[Thumbnail]:
    """Return the eight ways to turn and mirror samples."""
    turned = [np.rot90(samples, turns) for turns in range(4)]
    return [*turned, *(view[:, ::-1] for view in turned)]


if __name__ == "__main__":
    main()
