"""Training sequences: frames that follow one another, with the motion between them.

A picture whose name ends in `_fK`, such as `0012_street_f3.png`, is frame K of a sequence; any
other picture is a still, which the sampler pans, zooms, turns, fades and blurs with noise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from quantal import media
from quantal.arguments import whole
from quantal.errors import ArgumentError, MediaError
from quantal.fields import BLOCK
from quantal.motion import Search, crf_of
from quantal.train.data import turned
from quantal.train.files import pictures_under

__all__ = ["SEARCH_RATES", "Advance", "Clip", "SequenceSampler", "as_clips", "read_sequences"]

#: Rates 0..252 whose vectors are searched for; a sample takes those of the nearest.
SEARCH_RATES = (40, 100, 160, 220)
_FRAME = re.compile(r"(.*)_f(\d+)$")
#: Frames that a chain of predicted frames has, on average, beyond the first two, and at most.
_MEAN_LENGTH, _MOST = 6.0, 32
#: Frames of a chain that is made from a still, and how many chains are, where there are both.
_STILL_FRAMES, _STILL_SHARE = 5, 0.15


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of one sequence.

    Attributes:
        frames: uint8 [T, 3, H, W].
        forward: vectors from each frame to the one before, int16 [len(SEARCH_RATES), T, 2, h, w].
        backward: the same in reversed time: frame t given frame t + 1.
    """

    frames: Tensor
    forward: npt.NDArray[np.int16]
    backward: npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Advance:
    """The next frames of several chains.

    Attributes:
        frames: [B, 3, S, S] in 0..1.
        fields: motion vectors int16 [len(SEARCH_RATES), B, 2, S/8, S/8].
        first: the frames before, for chains that begin: [n, 3, S, S].
        begins: which chains begin, int64 [n].
    """

    frames: Tensor
    fields: Tensor
    first: Tensor
    begins: Tensor

    def cpu(self) -> Advance:
        """Return the same on the CPU."""
        return self.to(torch.device("cpu"))

    def to(self, device: torch.device) -> Advance:
        """Return the same on a device."""
        parts = (self.frames, self.fields, self.first, self.begins)
        return Advance(*(part.to(device) for part in parts))


def read_sequences(paths: Sequence[str], smallest: int) -> list[Clip]:
    """Read sequences and stills, and search for the motion in the sequences.

    Args:
        paths: folders, tar shards and pictures.
        smallest: sequences with a side below this are left out.

    Raises:
        ArgumentError: If a path does not exist, or there is nothing.
        MediaError: If a picture can't be read, or the frames of a sequence differ in size.
    """
    found: dict[str, dict[int, Tensor]] = {}
    for path in paths:
        for name, data in pictures_under(path):
            stem = name.rpartition(".")[0]
            frame = _FRAME.match(stem)
            sequence, number = (frame[1], int(frame[2])) if frame else (name, 0)
            try:
                pixels = torch.from_numpy(media.read(data).pixels).permute(2, 0, 1).contiguous()
            except MediaError as error:
                raise MediaError(f"training picture {name}: {error}") from error
            if min(pixels.shape[1:]) >= smallest:
                found.setdefault(sequence, {})[number] = pixels
    if not found:
        raise ArgumentError(f"no frames of {smallest} pixels or more under {', '.join(paths)}")
    return [_clip(name, frames) for name, frames in found.items()]


def as_clips(given: Sequence[Clip | Tensor]) -> list[Clip]:
    """Return clips; pictures uint8 [3, H, W] become stills."""
    return [_still(each) if isinstance(each, Tensor) else each for each in given]


def _still(pixels: Tensor) -> Clip:
    nothing = np.zeros(0, np.int16)
    return Clip(pixels[None], nothing, nothing)


def _clip(name: str, numbered: dict[int, Tensor]) -> Clip:
    frames = [numbered[number] for number in sorted(numbered)]
    if len({frame.shape for frame in frames}) > 1:
        raise MediaError(f"training sequence {name} has frames of different sizes")
    stacked = torch.stack(frames)
    if len(frames) == 1:
        return _still(frames[0])
    return Clip(stacked, _vectors(stacked), _vectors(stacked.flip(0))[:, ::-1])


def _vectors(frames: Tensor) -> npt.NDArray[np.int16]:
    """Return the vectors of every frame of [T, 3, H, W] at all search rates."""
    height, width = frames.shape[2:]
    pixels = [frame.permute(1, 2, 0).contiguous().numpy() for frame in frames]
    found = []
    for rate in SEARCH_RATES:
        with Search(width, height, crf_of(rate)) as search:
            found.append(np.stack([search.next(each) for each in pixels]))
    return np.stack(found)


@dataclass
class _Chain:
    """One chain of crops: where it is cut, how it is turned, and how far it has gone."""

    clip: Clip
    top: int
    left: int
    turns: int
    place: int
    step: int

    def advance(self) -> bool:
        """Move to the next frame; frames go to and fro. Returns whether time runs forward."""
        if not 0 <= self.place + self.step < len(self.clip.frames):
            self.step = -self.step
        self.place += self.step
        return self.step > 0


class SequenceSampler:
    """Chains of crops, each a frame further at every call; chains end at random lengths.

    Args:
        clips: sequences and stills.
        device: where crops are.
        seed: of everything random.
    """

    def __init__(self, clips: Sequence[Clip], device: torch.device, seed: int) -> None:
        self.pictures, self.device = list(clips), device
        self._stills = [clip for clip in clips if len(clip.frames) == 1]
        self._sequences = [clip for clip in clips if len(clip.frames) > 1]
        self._chains: dict[int, _Chain] = {}
        #: Frames that each chain of a batch still has.
        self._left: list[int] = []
        self._size = 0
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Begin other chains from here on; a resumed run must not repeat its first ones."""
        self.generator = np.random.default_rng(seed)
        self._left = []

    def batch(self, count: int, size: int, rows: range | None = None) -> Advance:
        """Return the next frames of `count` chains of crops of `size` pixels a side.

        Args:
            count: chains of a batch.
            size: pixels along a side.
            rows: those of the batch that are returned, the same as in the last call; see
                CropSampler.
        """
        count, size = whole("count", count, 1), whole("size", size, 64)
        rows = range(count) if rows is None else rows
        if (len(self._left), self._size) != (count, size):
            self._left, self._size = [0] * count, size
        begins = []
        for chain in range(count):
            if not self._left[chain]:
                # All processes know how long a chain is; what is in it, its own one alone.
                length = 1 + int(self.generator.geometric(1 / _MEAN_LENGTH))
                self._left[chain] = min(length, _MOST)
                seed = int(self.generator.integers(1 << 63))
                if chain in rows:
                    self._chains[chain] = self._begun(size, np.random.default_rng(seed))
                    begins.append(chain - rows.start)
            self._left[chain] -= 1
        own = [self._chains[chain] for chain in rows]
        first = [self._pixels(own[k], size) for k in begins]
        frames, fields = [], []
        for each in own:
            forward = each.advance()
            frames.append(self._pixels(each, size))
            fields.append(self._field(each, size, forward))
        blank = torch.zeros(0, 3, size, size)
        return Advance(
            torch.stack(frames),
            torch.from_numpy(np.stack(fields, axis=1)),
            torch.stack(first) if first else blank,
            torch.tensor(begins, dtype=torch.int64),
        ).to(self.device)

    def _begun(self, size: int, draw: np.random.Generator) -> _Chain:
        """Return a new chain, at its first frame."""
        still = self._stills and (not self._sequences or draw.random() < _STILL_SHARE)
        kind = self._stills if still else self._sequences
        clip = kind[int(draw.integers(len(kind)))]
        height, width = clip.frames.shape[2:]
        if min(height, width) < size:
            raise ArgumentError(
                f"a training sequence of {width}x{height} is smaller than crops of {size}; leave "
                "it out"
            )
        if still:
            clip = _moving(clip.frames[0], size, draw)
            height, width = clip.frames.shape[2:]
        top = int(draw.integers((height - size) // BLOCK + 1)) * BLOCK
        left = int(draw.integers((width - size) // BLOCK + 1)) * BLOCK
        step = 1 if draw.random() < 0.5 else -1
        place = int(draw.integers(len(clip.frames)))
        return _Chain(clip, top, left, int(draw.integers(8)), place, step)

    def _pixels(self, chain: _Chain, size: int) -> Tensor:
        rows, columns = (slice(start, start + size) for start in (chain.top, chain.left))
        crop = chain.clip.frames[chain.place, :, rows, columns]
        return turned(crop, chain.turns).float().mul(1 / 255)

    def _field(self, chain: _Chain, size: int, forward: bool) -> npt.NDArray[np.int16]:
        vectors = chain.clip.forward if forward else chain.clip.backward
        rows, columns = (
            slice(start // BLOCK, (start + size) // BLOCK) for start in (chain.top, chain.left)
        )
        field = vectors[:, chain.place, :, rows, columns]
        if chain.turns & 1:
            field = field[..., ::-1] * np.array([-1, 1], np.int16)[:, None, None]
        if chain.turns & 2:
            field = field[..., ::-1, :] * np.array([1, -1], np.int16)[:, None, None]
        if chain.turns & 4:
            field = field[:, ::-1].swapaxes(2, 3)
        return field


def _moving(still: Tensor, size: int, draw: np.random.Generator) -> Clip:
    """Return frames made of a still: it is panned, zoomed, turned, faded, and noise is added.

    The motion between two frames is the same throughout.
    """
    side = size + 64
    height, width = still.shape[1:]
    if min(height, width) < side:
        side = min(height, width) // BLOCK * BLOCK
    top = int(draw.integers(height - side + 1))
    left = int(draw.integers(width - side + 1))
    source = still[None, :, top : top + side, left : left + side].float()
    pace = float(draw.choice((0.0, 0.2, 1.0)))
    shift = pace * draw.normal(0, 4.0, 2) / (side / 2)
    angle, zoom = pace * draw.normal(0, 0.02, 2)
    gain = draw.normal(0, 0.03) if draw.random() < 0.2 else 0.0
    noise = abs(draw.normal(0, 3.0)) if draw.random() < 0.3 else 0.0
    frames = []
    for number in range(_STILL_FRAMES):
        t = number - _STILL_FRAMES // 2
        turn, scale = angle * t, float(np.exp(zoom * t))
        c, s = scale * np.cos(turn), scale * np.sin(turn)
        theta = torch.tensor([[[c, -s, shift[0] * t], [s, c, shift[1] * t]]], dtype=torch.float32)
        grid = F.affine_grid(theta, [1, 3, side, side], align_corners=False)
        moved = F.grid_sample(
            source, grid, mode="bicubic", padding_mode="reflection", align_corners=False
        )
        moved = moved * (1 + gain * t)
        if noise:
            grain = draw.standard_normal((3, side, side), dtype=np.float32)
            moved = moved + noise * torch.from_numpy(grain)
        frames.append(moved[0].round().clamp(0, 255).to(torch.uint8))
    stacked = torch.stack(frames)
    return Clip(stacked, _vectors(stacked), _vectors(stacked.flip(0))[:, ::-1])
