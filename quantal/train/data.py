"""Training pictures: read from folders and tar shards, kept in memory as bytes, cut into crops.

Everything is decoded once at the start, so that a step costs no decoding; on a GPU the pictures
live in its memory and crops are cut there.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from quantal.errors import ArgumentError

__all__ = ["CropSampler", "read_pictures"]

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff"})


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every picture below a folder, in a tar shard, or of one file."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in _SUFFIXES:
                yield str(file), file.read_bytes()
            elif file.suffix == ".tar":
                yield from _members(file)
    elif path.suffix == ".tar":
        with tarfile.open(path) as shard:
            for member in shard:
                stream = shard.extractfile(member)
                if stream is not None and Path(member.name).suffix.lower() in _SUFFIXES:
                    yield member.name, stream.read()
    elif path.is_file():
        yield str(path), path.read_bytes()
    else:
        raise ArgumentError(f"training data {path} does not exist; name a folder, shard or picture")


def read_pictures(paths: Sequence[str | Path], smallest: int = 1) -> list[Tensor]:
    """Decode every picture under `paths` to uint8 [3, H, W]; those below `smallest` are left out.

    Raises ArgumentError if nothing usable is found or a picture can't be read.
    """
    pictures = []
    for path in paths:
        for name, data in _members(Path(path)):
            try:
                with Image.open(io.BytesIO(data)) as image:
                    pixels = np.array(image.convert("RGB"))
            except (UnidentifiedImageError, OSError) as error:
                raise ArgumentError(f"training picture {name} can't be read: {error}") from error
            if min(pixels.shape[:2]) >= smallest:
                pictures.append(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
    if not pictures:
        where = ", ".join(map(str, paths))
        raise ArgumentError(f"no picture of {smallest} pixels or more under {where}")
    return pictures


class CropSampler:
    """Random crops with flips; a picture is drawn in proportion to its area."""

    def __init__(self, pictures: Sequence[Tensor], device: torch.device, seed: int) -> None:
        self.pictures = [p.to(device) for p in pictures]
        self.device = device
        self.reseed(seed)
        areas = np.array([p.shape[1] * p.shape[2] for p in pictures], dtype=np.float64)
        self.chances = areas / areas.sum()

    def reseed(self, seed: int) -> None:
        """Draw other crops from here on; a resumed run must not repeat its first ones."""
        self.generator = np.random.default_rng(seed)

    def batch(self, count: int, size: int) -> Tensor:
        """Return crops [count, 3, size, size], float32 in 0..1, channels last."""
        crops = []
        for pick in self.generator.choice(len(self.pictures), count, p=self.chances):
            picture = self.pictures[pick]
            height, width = picture.shape[1:]
            if min(height, width) < size:
                raise ArgumentError(
                    f"a training picture of {width}x{height} is smaller than crops of {size}; "
                    "leave it out"
                )
            top = int(self.generator.integers(height - size + 1))
            left = int(self.generator.integers(width - size + 1))
            crop = picture[:, top : top + size, left : left + size]
            turns = int(self.generator.integers(8))
            if turns & 1:
                crop = crop.flip(2)
            if turns & 2:
                crop = crop.flip(1)
            if turns & 4:
                crop = crop.transpose(1, 2)
            crops.append(crop)
        pixels = torch.stack(crops).to(torch.float32).mul_(1 / 255)
        return pixels.contiguous(memory_format=torch.channels_last)
