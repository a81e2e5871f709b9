"""Clips to files of video: frames are coded by PyAV, packets are copied."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from quantal import clips
from quantal.errors import MediaError
from quantal.files.clip_encode import ClipProgress, total_of

__all__ = ["CopiedClip", "copy_clip"]


@dataclass(frozen=True)
class CopiedClip:
    """What was written.

    Attributes:
        frames: their number.
        duration: in seconds.
        warnings: a sentence each.
    """

    frames: int
    duration: Fraction
    warnings: tuple[str, ...]


def copy_clip(
    clip: clips.Clip,
    path: Path,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    progress: Callable[[ClipProgress], None] | None = None,
) -> CopiedClip:
    """Write a clip to a file of video, or a folder of pictures.

    Args:
        clip: from where it stands.
        path: of the file or folder.
        format: see quantal.clips.write().
        options: options of the encoder.
        progress: called after each frame.

    Raises:
        MediaError: The clip has no frame.
        OutputError: The file can't be written.
    """
    first = next(clip, None)
    if first is None:
        raise MediaError("the clip has no frame; expected at least one")
    began, total = time.monotonic(), total_of(clip.properties)
    with clips.write(
        path,
        clip.properties,
        format=format,
        options=options,
        metadata=clip.metadata,
        chapters=clip.chapters,
    ) as writer:
        for track in clip.tracks:
            writer.add_track(track, clip.packets(track))
        frame: clips.Frame | None = first
        end = first.time
        while frame is not None:
            writer.write(frame)
            end = frame.time + (frame.duration or 0)
            if progress is not None:
                progress(ClipProgress(writer.frames, total, time.monotonic() - began))
            frame = next(clip, None)
    return CopiedClip(
        writer.frames,
        (end - first.time) * clip.properties.time_base,
        (*clip.warnings, *writer.warnings),
    )
