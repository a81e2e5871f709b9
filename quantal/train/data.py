"""Training pictures: kept in memory with 8 bits per sample, and cut into crops.

Everything is decoded once at the start, so that a step costs no decoding; on a GPU the pictures
live in its memory and crops are cut there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from quantal import media
from quantal.arguments import whole
from quantal.errors import ArgumentError, MediaError
from quantal.memory import memory_errors
from quantal.names import shown
from quantal.train.files import pictures_under

__all__ = [
    "CropSampler",
    "Picture",
    "as_input",
    "as_pictures",
    "decoded",
    "read_pictures",
    "turned",
]

#: uint8 [3, H, W], uint8 [H, W, 3] or [H, W], a picture of Pillow, or a path as read_pictures()
#: takes it.
Picture = Tensor | npt.NDArray[np.uint8] | Image.Image | str | Path


def read_pictures(paths: Sequence[str | Path], smallest: int = 1) -> list[Tensor]:
    """Decode pictures.

    Args:
        paths: folders, tar shards and pictures.
        smallest: pictures with a side below this are left out.

    Returns:
        Pictures uint8 [3, H, W].

    Raises:
        ArgumentError: If a path does not exist, or there is no picture.
        MediaError: If a picture, a shard or a folder can't be read.
        OutOfMemoryError: If the pictures need more memory than there is.
    """
    smallest = whole("smallest", smallest, 1)
    pictures: list[Tensor] = []
    for path in paths:
        for name, data in pictures_under(path):
            with memory_errors(f"holding {len(pictures) + 1} training pictures, the last {name},"):
                picture = decoded(name, data)
            if min(picture.shape[1:]) >= smallest:
                pictures.append(picture)
    if not pictures:
        where = ", ".join(map(shown, paths))
        raise ArgumentError(f"no picture of {smallest} pixels or more under {where}")
    return pictures


def decoded(name: str, data: bytes) -> Tensor:
    """Return a picture uint8 [3, H, W]; MediaError, which names it, if it can't be read."""
    try:
        return _planes(media.read(data).pixels)
    except MediaError as error:
        raise MediaError(f"training picture {name}: {error}") from error


def as_pictures(pictures: Iterable[Picture], smallest: int = 1) -> list[Tensor]:
    """Return pictures as uint8 [3, H, W].

    Args:
        pictures: tensors, arrays, pictures of Pillow or paths.
        smallest: the least that a side must have.

    Raises:
        ArgumentError: If one is something else or too small, or a path does not exist.
        MediaError: If a file can't be read.
    """
    smallest = whole("smallest", smallest, 1)
    found: list[Tensor] = []
    for number, picture in enumerate(pictures, 1):
        if isinstance(picture, str | Path):
            found += read_pictures([picture], smallest)
            continue
        planes = _converted(picture, number)
        if min(planes.shape[1:]) < smallest:
            height, width = planes.shape[1:]
            raise ArgumentError(
                f"a picture has {width}x{height} pixels, expected {smallest} a side or more; leave "
                "it out"
            )
        found.append(planes)
    return found


def _converted(picture: object, number: int) -> Tensor:
    """Return a picture given from Python as uint8 [3, H, W]."""
    try:
        if isinstance(picture, Image.Image):
            return _planes(media.from_image(picture).pixels)
        if isinstance(picture, np.ndarray):
            return _planes(media.from_array(picture).pixels)
    except MediaError as error:
        raise ArgumentError(f"picture {number} of those given: {error}") from error
    if (
        isinstance(picture, Tensor)
        and picture.dtype == torch.uint8
        and picture.ndim == 3
        and len(picture) == 3
    ):
        return picture
    raise ArgumentError(
        f"a picture is a {type(picture).__name__}, expected uint8 [3, H, W], an array "
        "uint8 [H, W, 3], a picture of Pillow or a path"
    )


def _planes(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Return pixels [H, W, 3] as [3, H, W]."""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


class CropSampler:
    """Random crops with flips; a picture is drawn in proportion to its area.

    Args:
        pictures: uint8 [3, H, W].
        device: where they are kept, and where crops are.
        seed: of the crops.
        turns: of the eight ways to turn and mirror a crop, how many are drawn from; see turned().
    """

    def __init__(
        self, pictures: Sequence[Tensor], device: torch.device, seed: int, turns: int = 8
    ) -> None:
        self.turns = turns
        self.pictures = [p.to(device) for p in pictures]
        self.device = device
        self.reseed(seed)
        areas = np.array([p.shape[1] * p.shape[2] for p in pictures], dtype=np.float64)
        self.chances = areas / areas.sum()

    def reseed(self, seed: int) -> None:
        """Draw other crops from here on; a resumed run must not repeat its first ones."""
        self.generator = np.random.default_rng(seed)

    def batch(self, count: int, size: int, rows: range | None = None) -> Tensor:
        """Return random crops.

        Args:
            count: crops of a batch.
            size: pixels along a side.
            rows: those of the batch that are returned; all if None. The others are drawn too, so
                that processes with rows of their own together have the batch of a single one.

        Returns:
            [rows, 3, size, size], float32 in 0..1, channels last.
        """
        count, size = whole("count", count, 1), whole("size", size, 1)
        rows = range(count) if rows is None else rows
        crops = []
        picks = self.generator.choice(len(self.pictures), count, p=self.chances)
        for row, pick in enumerate(picks):
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
            turns = int(self.generator.integers(self.turns))
            if row in rows:
                crops.append(turned(crop, turns))
        return as_input(torch.stack(crops))


def turned(crop: Tensor, turns: int) -> Tensor:
    """Return a crop [..., H, W], turned and mirrored in one of eight ways.

    Args:
        crop: pixels.
        turns: 0..7: 1 mirrors left to right, 2 top to bottom, 4 swaps the axes; crops stay upright
            below 2.
    """
    if turns & 1:
        crop = crop.flip(-1)
    if turns & 2:
        crop = crop.flip(-2)
    return crop.transpose(-2, -1) if turns & 4 else crop


def as_input(crops: Tensor) -> Tensor:
    """Return crops uint8 [B, 3, H, W] as networks take them: float32 in 0..1, channels last."""
    pixels = crops.to(torch.float32).mul_(1 / 255)
    return pixels.contiguous(memory_format=torch.channels_last)
