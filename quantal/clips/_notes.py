"""Sentences about what reading a clip converts, drops or loses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.stream import Disposition

from quantal.clips._convert import matrix_by_size
from quantal.clips._decoder import Loss
from quantal.clips._properties import UNSPECIFIED, Properties
from quantal.clips._turn import Turn

__all__ = ["notes_of_frame", "notes_of_loss", "notes_of_streams"]

_SDR_TRANSFERS = {1, UNSPECIFIED, 4, 5, 6, 7, 11, 13, 14, 15}
_TRANSFERS = {16: "PQ", 18: "HLG", 8: "linear light"}
_WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3", 10: "XYZ"}


def notes_of_frame(frame: VideoFrame, properties: Properties, turn: Turn) -> Iterator[str]:
    """Yield what making RGB of 8 bits, upright, changes in frames like this one."""
    colour = properties.colour
    if turn.degrees or turn.mirrored:
        mirrored = "mirrored and " if turn.mirrored else ""
        yield f"the pictures were {mirrored}turned by {turn.degrees} degrees, as the file asks"
    if not turn.exact:
        yield "the file asks for a turn that is not a multiple of 90 degrees; the nearest was taken"
    if properties.bits > 8:
        yield f"samples of {properties.bits} bits were rounded to 8"
    if properties.subsampling not in ("rgb", "grey") and colour.matrix == UNSPECIFIED:
        assumed = {1: "BT.709", 6: "BT.601"}[matrix_by_size(frame.width, frame.height)]
        yield f"the clip does not name the matrix of its colours; {assumed} was assumed by its size"
    if colour.transfer not in _SDR_TRANSFERS or colour.primaries in _WIDE:
        transfer = _TRANSFERS.get(colour.transfer)
        primaries = _WIDE.get(colour.primaries)
        kept = [f"{primaries} primaries"] if primaries else []
        kept += (
            [transfer or f"transfer {colour.transfer}"]
            if (colour.transfer not in _SDR_TRANSFERS)
            else []
        )
        yield f"colours keep their {' and '.join(kept)}; they were not mapped to sRGB"
    if frame.interlaced_frame:
        yield "the pictures are interlaced; both fields of a frame were kept as one picture"
    if _is_transparent(frame):
        yield "transparency was dropped"


def notes_of_streams(
    container: InputContainer, pictures: Any, left: Iterable[Any]
) -> Iterator[str]:
    """Yield what of a file is left out.

    Args:
        container: The file.
        pictures: The stream that is read.
        left: Other streams whose packets can't be carried.
    """
    others = [s for s in container.streams.video if s is not pictures]
    covers = sum(bool(s.disposition & Disposition.attached_pic) for s in others)
    data = sum(stream.type in ("data", "unknown") for stream in container.streams)
    if "mp4" in container.format.name and container.chapters():
        data -= 1  # it holds the titles of the chapters
    if covers:
        yield f"{_were(covers, 'cover picture')} left out"
    if len(others) > covers:
        yield f"{_were(len(others) - covers, 'further stream', ' of pictures')} left out"
    if data > 0:
        yield f"{_were(data, 'stream', ' of data')} left out"
    for stream in left:
        yield f"the {stream.type} of stream {stream.index} has a codec that can't be carried"


def notes_of_loss(loss: Loss) -> list[str]:
    """Return what could not be read so far."""
    notes = []
    if loss.packets:
        notes.append(f"{_were(len(loss.packets), 'piece', ' of the file')} unreadable and skipped")
    if loss.damaged:
        notes.append(f"{_were(len(loss.damaged), 'frame')} damaged, which the decoder concealed")
    if loss.moved:
        notes.append(f"{_were(len(loss.moved), 'frame')} moved to be later than the one before")
    if loss.cut:
        notes.append("the file ends before what it announces; it was cut")
    return notes


def _were(number: int, what: str, of: str = "") -> str:
    return f"{number} {what}{'s' if number > 1 else ''}{of} {'were' if number > 1 else 'was'}"


def _is_transparent(frame: VideoFrame) -> bool:
    if not any(component.is_alpha for component in frame.format.components):
        return False
    alpha = frame.reformat(format="rgba").to_ndarray()[..., 3]
    return bool(np.any(alpha < 255))
