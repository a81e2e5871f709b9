"""Which codecs there are: Quantal's own, and others' by the entry-point group `quantal.codecs`.

Listing them loads no torch; a codec's module is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantal.codecs import zoo
from quantal.codecs._info import CodecInfo
from quantal.errors import ArgumentError, ModelError, QuantalWarning

if TYPE_CHECKING:
    from quantal.codecs.base import Codec

__all__ = [
    "DEFAULT_CODEC",
    "CodecEntry",
    "available",
    "codec_class",
    "device_name",
    "earlier",
    "load",
    "names",
]

DEFAULT_CODEC = "context-m"
_GROUP = "quantal.codecs"
_WEIGHTS = Path(__file__).parents[1] / "weights"
#: A folder that is looked into first: weights trained at home, tried from the command line.
_FOLDER_VARIABLE = "QUANTAL_WEIGHTS"


@dataclass(frozen=True)
class CodecEntry:
    """How a codec is found: `target` is "module:class" of a Codec built from (weights, device).

    An entry point in the group `quantal.codecs` names an object of this type.
    """

    name: str
    description: str
    target: str
    weights: Path
    media: str = "picture"


_OWN = (
    CodecEntry(
        name="hyperprior",
        description="Mean-scale hyperprior on a three-level pyramid; one model for all rates.",
        target="quantal.codecs.hyperprior:Hyperprior",
        weights=_WEIGHTS / "hyperprior.safetensors",
    ),
    CodecEntry(
        name="context-s",
        description="Channel-and-position context, small networks; one model for all rates.",
        target="quantal.codecs.context:ContextS",
        weights=_WEIGHTS / "context-s.safetensors",
    ),
    CodecEntry(
        name="context-m",
        description="Channel-and-position context; one model for all rates.",
        target="quantal.codecs.context:ContextM",
        weights=_WEIGHTS / "context-m.safetensors",
    ),
    CodecEntry(
        name="context-l",
        description="Channel-and-position context, large networks, for a GPU.",
        target="quantal.codecs.context:ContextL",
        weights=_WEIGHTS / "context-l.safetensors",
    ),
    CodecEntry(
        name="vq",
        description="Vector-quantised ladder, generative; for 0.01 to 0.1 bits per pixel.",
        target="quantal.codecs.vq:Vq",
        weights=_WEIGHTS / "vq.safetensors",
    ),
    CodecEntry(
        name="tokens",
        description="Tiles of 256x256 as up to 128 binary tokens; any prefix is a picture.",
        target="quantal.codecs.tokens:Tokens",
        weights=_WEIGHTS / "tokens.safetensors",
    ),
)


def _entries() -> dict[str, CodecEntry]:
    entries = {entry.name: entry for entry in _OWN}
    for point in entry_points(group=_GROUP):
        try:
            found = point.load()
            if not isinstance(found, CodecEntry):
                raise TypeError(f"{point.value} is no CodecEntry")
        except Exception as error:  # another package's fault must not take our codecs with it
            message = f"the codec {point.name!r} of another package is left out: {error}"
            warnings.warn(message, QuantalWarning, stacklevel=3)
            continue
        entries.setdefault(found.name, found)
    return {name: each for entry in entries.values() for name, each in _versions(entry)}


def _versions(entry: CodecEntry) -> Iterator[tuple[str, CodecEntry]]:
    """A codec, and what it was before: `NAME@1` has the weights NAME@1.safetensors, if there."""
    yield entry.name, entry
    folders = (_own_folder(), entry.weights.parent)
    earlier = {
        file.stem: file
        for folder in folders
        if folder is not None
        for file in folder.glob(f"{entry.weights.stem}@*{entry.weights.suffix}")
        if file.stem.rpartition("@")[2].isdecimal()  # not NAME@1-conceal, which lies beside it
    }
    for name, file in sorted(earlier.items()):
        about = f"`{entry.name}` with earlier weights, which files made with them need."
        yield name, replace(entry, name=name, description=about, weights=file)


def _own_folder() -> Path | None:
    """The folder of weights that the user named."""
    folder = os.environ.get(_FOLDER_VARIABLE)
    if folder and not Path(folder).is_dir():
        raise ModelError(
            f"{_FOLDER_VARIABLE} says {folder!r}, which is no folder; name or unset it"
        )
    return Path(folder) if folder else None


def _weights(entry: CodecEntry) -> Path:
    """Where a codec's weights lie: in the folder that the user named, else where they ship."""
    folder = _own_folder()
    own = folder / entry.weights.name if folder else entry.weights
    return own if own.is_file() else entry.weights


def _card(path: Path) -> dict[str, Any] | None:
    """The card in a safetensors header: 8 bytes of length, then JSON; no tensor is read.

    None if there is no such file, or none with a card.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, 1 << 24)))
        card = json.loads(header["__metadata__"]["card"])
        return {
            "parameters": int(card["parameters"]),
            "encode_kmac_per_pixel": float(card["encode_kmac_per_pixel"]),
            "decode_kmac_per_pixel": float(card["decode_kmac_per_pixel"]),
            "training_data": str(card["training_data"]),
            "training_steps": int(card["training_steps"]),
        }
    except (OSError, struct.error, ValueError, KeyError, TypeError):
        return None


#: What is told of a codec whose weights are not here.
_NO_CARD = {
    "parameters": 0,
    "encode_kmac_per_pixel": 0.0,
    "decode_kmac_per_pixel": 0.0,
    "training_data": "",
    "training_steps": 0,
}


def names() -> tuple[str, ...]:
    """What `load` can be asked for; the models of CompressAI's zoo need weights of the user's."""
    return _names(_entries())


def _names(entries: Iterable[str]) -> tuple[str, ...]:
    return (*entries, zoo.FAMILY, *zoo.NAMES)


def earlier(name: str) -> tuple[str, ...]:
    """The earlier versions of a codec whose weights are here, the latest first."""
    return tuple(found for found in reversed(_entries()) if found.startswith(f"{name}@"))


def available() -> tuple[CodecInfo, ...]:
    """Every codec that has weights of its own; loads no torch and no weights."""
    infos = []
    for entry in _entries().values():
        card = _card(_weights(entry))
        infos.append(
            CodecInfo(
                name=entry.name,
                media=entry.media,
                description=entry.description,
                weights=card is not None,
                **(card or _NO_CARD),
            )
        )
    return tuple(infos)


def device_name(name: str) -> str:
    """What torch calls the device "auto", "cpu" or "cuda" here; ArgumentError if there is none."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise ArgumentError(f"device {name!r} is not one of auto, cpu, cuda")
    here = torch.cuda.is_available()
    if name == "cuda" and not here:
        raise ArgumentError("device 'cuda' was asked for, and torch finds none; use 'cpu'")
    return "cuda" if here and name != "cpu" else "cpu"


def weights_file(path: str | Path) -> Path:
    """A file of weights that a user named; ModelError if it isn't there."""
    found = Path(path).expanduser()
    if not found.is_file():
        raise ModelError(f"{found} is no file of weights; name a file that is there")
    return found


def codec_class(name: str) -> type[Codec]:
    """The class of a codec with weights of its own; ModelError for any other name."""
    entries = _entries()
    if name not in entries:
        raise ModelError(f"there is no codec {name!r} of our own; there are: {', '.join(entries)}")
    module, _, attribute = entries[name].target.partition(":")
    return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]


@lru_cache(maxsize=4)
def _load(name: str, device: str, weights: Path, _modified: int) -> Codec:
    import torch

    # The codec is kept: whoever asks next may want gradients.
    with torch.inference_mode(False):
        if name in (zoo.FAMILY, *zoo.NAMES):
            return zoo.load(name, weights, torch.device(device))
        return codec_class(name)(weights, torch.device(device))  # type: ignore[call-arg, arg-type]


def load(
    name: str = DEFAULT_CODEC, device: str = "auto", weights: str | Path | None = None
) -> Codec:
    """Return a codec with its weights loaded; the same object when asked again.

    device: "auto" takes a GPU if there is one. weights: a file other than the one that ships; for
    a model of CompressAI's zoo, which ships none, `compressai/ARCHITECTURE` or just `compressai`
    and the file. Raises ModelError for an unknown codec, and for missing or damaged weights.
    """
    entries = _entries()
    known = _names(entries)
    if name not in known:
        raise ModelError(f"there is no codec {name!r}; there are: {', '.join(known)}")
    if weights is not None:
        path = weights_file(weights)
    elif name in entries:
        path = _weights(entries[name])
        if not path.is_file():
            raise ModelError(
                f"the weights of codec {name!r} are missing: {path.name} is not there; name yours "
                "with --weights FILE (in Python weights=FILE), or train some with `quantal train`"
            )
    else:
        raise ModelError(
            f"codec {name!r} has no weights of its own: name yours with --weights FILE, or in "
            f"Python quantal.load({name!r}, weights=FILE)"
        )
    # The time of writing is part of the key: weights written anew are loaded anew.
    return _load(name, device_name(device), path, path.stat().st_mtime_ns)
