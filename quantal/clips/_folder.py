"""Clips as folders of numbered PNG pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from quantal.clips._properties import Frame, Properties
from quantal.clips._writer import Writer
from quantal.errors import ArgumentError
from quantal.outputs import output_errors

__all__ = ["FolderWriter"]

_DIGITS = 6


class FolderWriter(Writer):
    """PNG files 000000.png, 000001.png and so on.

    Args:
        path: The folder, which is created.
        name: What messages call it.
        properties: Size of the pictures.
        options: "compress_level", 0 to 9, 6 by default.

    Raises:
        ArgumentError: An option is unknown.
    """

    def __init__(
        self, path: Path, name: str, properties: Properties, options: Mapping[str, str]
    ) -> None:
        super().__init__(properties)
        level = str(options.get("compress_level", "6"))
        if set(options) - {"compress_level"} or level not in set("0123456789"):
            raise ArgumentError(
                f"options of png are {dict(options)!r:.80}, expected compress_level, 0 to 9"
            )
        self._path, self._name, self._level = path, name, int(level)
        with output_errors(name):
            path.mkdir()

    def _write(self, frame: Frame) -> None:
        self._note_times(frame)
        picture = self._path / f"{self.frames:0{_DIGITS}d}.png"
        with output_errors(self._name):
            Image.fromarray(frame.pixels).save(picture, "PNG", compress_level=self._level)

    def _finish(self) -> None:
        pass

    def close(self) -> None:
        pass
