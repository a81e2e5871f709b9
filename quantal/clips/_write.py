"""Writing of clips: which format a name asks for, and files that are complete or not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from quantal.arguments import choice, typed
from quantal.arguments import path as path_of
from quantal.clips._encoders import FFV1, X264, Y4M
from quantal.clips._folder import FolderWriter
from quantal.clips._muxed import MuxedWriter
from quantal.clips._properties import Properties
from quantal.clips._tracks import Chapter
from quantal.clips._writer import Writer
from quantal.errors import OutputError
from quantal.names import shown
from quantal.outputs import output_errors, replaced_whole

__all__ = ["CLIP_FORMATS", "write"]

_KINDS = {"mp4": X264, "mkv": FFV1, "y4m": Y4M}

CLIP_FORMATS = (*_KINDS, "png")
"""Formats that are written; png is a folder of numbered pictures."""


@contextmanager
def write(
    path: str | Path,
    properties: Properties,
    *,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    chapters: tuple[Chapter, ...] = (),
) -> Iterator[Writer]:
    """Write a clip, in a `with` block at whose end the file takes its name.

    If the block is left by an error or an interrupt, what was at that name before stays.

    Args:
        path: The file, or the folder for "png", which has to be new or empty.
        properties: Size, time base, rate, aspect and colours of the frames; the other fields do
            not matter.
        format: "mp4" (H.264 by libx264, with loss), "mkv" (FFV1, lossless), "y4m" or "png" (a
            folder of numbered pictures). By default the suffix says it; without one it is "png".
        options: Options of the encoder, such as {"crf": "18", "preset": "slow"}, and "pix_fmt".
            mp4 has crf 12 and yuv420p by default, y4m yuv420p.
        metadata: Tags of the whole clip.
        chapters: Its chapters.

    Yields:
        A writer of frames and tracks.

    Raises:
        OutputError: The file can't be written, or no frame was given.
        ArgumentError: The format or an option is unknown.
    """
    name = path_of("clip", path)
    typed("properties", properties, Properties)
    suffix = Path(name).suffix.lower().removeprefix(".") or "png"
    format = choice("format", suffix if format is None else format, CLIP_FORMATS)
    if format == "png" and Path(name).exists():
        with output_errors(name):
            if any(Path(name).iterdir()):
                raise OutputError(f"{shown(name)} is not empty; name a new folder")
    with replaced_whole(name) as partial:
        writer: Writer
        if format == "png":
            writer = FolderWriter(partial, name, properties, options or {})
        else:
            writer = MuxedWriter(partial, name, properties, options or {}, _KINDS[format])
        try:
            writer.describe(metadata or {}, chapters)
            yield writer
            writer.finish()
        finally:
            writer.close()
