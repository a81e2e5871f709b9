"""Training pictures: read from folders and tar shards, kept in memory as bytes, cut into crops.

Everything is decoded once at the start, so that a step costs no decoding; on a GPU the pictures
live in its memory and crops are cut there.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from quantal.errors import ArgumentError

__all__ = ["CropSampler", "Picture", "as_pictures", "read_pictures"]

#: uint8 [3, H, W], uint8 [H, W, 3], a picture of Pillow, or a path as read_pictures() takes it.
Picture = Tensor | npt.NDArray[np.uint8] | Image.Image | str | Path

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff"})


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every picture below a folder, in a tar shard, or of one file."""
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
    """Decode pictures.

    Args:
        paths: folders, tar shards and pictures.
        smallest: pictures with a side below this are left out.

    Returns:
        Pictures uint8 [3, H, W].

    Raises:
        ArgumentError: If there is no picture, or one can't be read.
    """
    pictures = []
    for path in paths:
        for name, data in _members(Path(path)):
            try:
                with Image.open(io.BytesIO(data)) as image:
                    picture = _planes(np.array(image.convert("RGB")))
            except (UnidentifiedImageError, OSError) as error:
                raise ArgumentError(f"training picture {name} can't be read: {error}") from error
            if min(picture.shape[1:]) >= smallest:
                pictures.append(picture)
    if not pictures:
        where = ", ".join(map(str, paths))
        raise ArgumentError(f"no picture of {smallest} pixels or more under {where}")
    return pictures


def as_pictures(pictures: Iterable[Picture], smallest: int = 1) -> list[Tensor]:
    """Return pictures as uint8 [3, H, W].

    Args:
        pictures: tensors, arrays, pictures of Pillow or paths.
        smallest: the least that a side must have.

    Raises:
        ArgumentError: If one is something else or too small, or a path can't be read.
    """
    found: list[Tensor] = []
    for picture in pictures:
        if isinstance(picture, str | Path):
            found += read_pictures([picture], smallest)
            continue
        if isinstance(picture, Image.Image):
            picture = np.array(picture.convert("RGB"))
        planes = picture
        if isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3:
            planes = _planes(picture)
        if (
            not isinstance(planes, Tensor)
            or planes.dtype != torch.uint8
            or planes.ndim != 3
            or len(planes) != 3
        ):
            raise ArgumentError(
                f"a picture is a {type(picture).__name__}, expected uint8 [3, H, W], an array "
                "uint8 [H, W, 3], a picture of Pillow or a path"
            )
        if min(planes.shape[1:]) < smallest:
            height, width = planes.shape[1:]
            raise ArgumentError(
                f"a picture has {width}x{height} pixels, expected {smallest} a side or more; leave "
                "it out"
            )
        found.append(planes)
    return found


def _planes(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Return pixels [H, W, 3] as [3, H, W]."""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


class CropSampler:
    """Random crops with flips; a picture is drawn in proportion to its area.

    Args:
        pictures: uint8 [3, H, W].
        device: where they are kept, and where crops are.
        seed: of the crops.
    """

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
