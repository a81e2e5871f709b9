"""Clips under evaluation: the first frames of a file, and what a codec makes of them.

Bits are those of frames: packets of a classical codec with its parameter sets, payloads of ours.
What a container adds is left out for all codecs alike.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from quantal import clips
from quantal.errors import EvaluationError
from quantal.eval.codecs import EvaluatedCodec, Option

__all__ = [
    "CLIP_SUFFIXES",
    "INTRA",
    "ClipCodec",
    "ClipSource",
    "CodedClip",
    "Frames",
    "stacked",
]

#: uint8 [T, H, W, 3], RGB.
Frames: TypeAlias = npt.NDArray[np.uint8]

CLIP_SUFFIXES = frozenset((".mp4", ".mkv", ".mov", ".webm", ".avi", ".y4m", ".m4v", ".ts"))
"""Suffixes of files that are measured as clips."""

#: Frames from one intra frame to the next at most; an option of all video codecs.
INTRA = Option.whole(48, 1, 250)


@dataclass(frozen=True, eq=False)
class ClipSource:
    """The first frames of a clip.

    Attributes:
        path: The file.
        frames: Their number at most.
    """

    path: Path
    frames: int

    @cached_property
    def pixels(self) -> Frames:
        """The frames, upright, uint8 [T, H, W, 3].

        Raises:
            MediaError: The clip can't be read.
        """
        with clips.read(self.path) as clip:
            return stacked(clip, self.frames)


def stacked(frames: Iterable[clips.Frame], count: int) -> Frames:
    """Return the first frames as one array; EvaluationError if there are none."""
    found = [frame.pixels for frame in islice(frames, count)]
    if not found:
        raise EvaluationError("the clip has no frame")
    return np.stack(found)


@dataclass(frozen=True, eq=False)
class CodedClip:
    """A coded clip; its length is that of its frames in bytes.

    Attributes:
        data: What is decoded, container included.
        sizes: Bytes of each frame, in the order in which they are shown.
        rotation: Degrees by which decoded frames are turned clockwise.
        mirrored: Whether they are mirrored left to right before.
    """

    data: bytes
    sizes: tuple[int, ...]
    rotation: int = 0
    mirrored: bool = False

    def __len__(self) -> int:
        return sum(self.sizes)

    def upright(self, frames: Frames) -> Frames:
        """Return decoded frames [T, H, W, 3] as the clip shows them."""
        frames = frames[:, :, ::-1] if self.mirrored else frames
        return np.ascontiguousarray(np.rot90(frames, -self.rotation // 90, (1, 2)))


class ClipCodec(EvaluatedCodec):
    """A video codec under evaluation, with the option `intra`."""

    media = "video"

    @property
    def intra_period(self) -> int:
        """Frames from one intra frame to the next at most."""
        return int(self.values["intra"])

    @abstractmethod
    def encode(self, source: ClipSource, quality: float) -> CodedClip:
        """Encode a clip at a quality within `limits`."""

    @abstractmethod
    def decode(self, coded: CodedClip) -> Frames:
        """Decode a clip to frames, uint8 [T, H, W, 3]."""
