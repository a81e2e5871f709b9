"""The weights files of a codec: the present ones, tunes and superseded ones; nothing is loaded.

A file `NAME@TUNE.safetensors` holds a tune: other weights of the same codec, trained for another
measure of distortion. `NAME@1.safetensors`, `NAME@2.safetensors`, ... hold earlier weights, which
files made with them need. All write files that name the codec alone, and their own hash.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from quantal.codecs.family import CodecEntry
from quantal.codecs.weights_packages import find_installed
from quantal.errors import ModelError

__all__ = ["TUNES", "editions", "weights_path"]

#: What each tune is for.
TUNES = {"eyes": "Tuned for what people see: MS-SSIM and LPIPS beside squared error."}
#: Names a folder of weights that is searched first, such as those of one's own training.
_FOLDER_VARIABLE = "QUANTAL_WEIGHTS"


def weights_path(entry: CodecEntry) -> Path | None:
    """Return the path of a codec's weights: in the user's folder, else where they ship.

    Raises:
        ModelError: If the user's folder is none.
    """
    if entry.weights is None:
        return None
    folder = _own_folder()
    own = folder / entry.weights.name if folder else entry.weights
    for path in (own, entry.weights):
        if path.is_file():
            return path
    return find_installed(entry.weights.name) or entry.weights


def editions(entry: CodecEntry) -> dict[str, CodecEntry]:
    """Return tunes and superseded weights of a codec that are here, by name.

    Raises:
        ModelError: If the user's folder is none.
    """
    if entry.weights is None:
        return {}
    files = {
        file.stem: file
        for folder in (_own_folder(), entry.weights.parent)
        if folder is not None
        for file in folder.glob(f"{entry.weights.stem}@*{entry.weights.suffix}")
    }
    found = {}
    for name, file in sorted(files.items()):
        edition = name.rpartition("@")[2]
        if edition.isdecimal():
            about = f"`{entry.name}` with earlier weights, which files made with them need."
        elif edition in TUNES:
            about = TUNES[edition]
        else:  # NAME@1-conceal lies beside NAME@1
            continue
        found[name] = replace(entry, name=name, description=about, weights=file)
    return found


def _own_folder() -> Path | None:
    """Return the folder of weights that the user named, if any."""
    folder = os.environ.get(_FOLDER_VARIABLE)
    if folder and not Path(folder).is_dir():
        raise ModelError(
            f"{_FOLDER_VARIABLE} says {folder!r}, which is no folder; name or unset it"
        )
    return Path(folder) if folder else None
