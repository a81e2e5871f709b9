"""The registry of codecs: finds them by name and loads them.

Families of this package are the folders beside this file whose module has a Family; those of other
packages are entry points of the group `quantal.codecs`, or are registered by the running process.
Listing them loads no torch.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantal.arguments import choice
from quantal.codecs.backends import BACKENDS, PRECISIONS, backend_of, chosen, need, precision_of
from quantal.codecs.backends.graphs import has_graphs
from quantal.codecs.catalogue import PLUGINS_VARIABLE, Catalogue
from quantal.codecs.editions import TUNES, editions, weights_path
from quantal.codecs.family import SHIPPED, CodecEntry, Family, resolve
from quantal.codecs.info import Card, CodecInfo
from quantal.codecs.loaded import LoadedCodecs
from quantal.codecs.weights import WeightsFile, find_weights, read_header, read_weights
from quantal.errors import ArgumentError, ModelError
from quantal.sources import Source, read_source

if TYPE_CHECKING:
    from quantal.codecs.contract import Codec
    from quantal.codecs.video_contract import VideoCodec

__all__ = [
    "DEFAULT_CODEC",
    "VIDEO_CODECS",
    "PLUGINS_VARIABLE",
    "available",
    "codec_class",
    "default_video_codec",
    "device_name",
    "families",
    "family_of",
    "load",
    "load_version",
    "names",
    "networks_of",
    "register",
    "tuned",
    "weights_files",
]

DEFAULT_CODEC = "context-m"
VIDEO_CODECS = ("video-m", "video-s", "video-s-still")
"""Codecs of video in the order in which one is taken by default."""
#: The tune of weights without another.
_PLAIN_TUNE = "psnr"
#: Codecs that are kept loaded.
_KEPT = 16


_CATALOGUE = Catalogue()


def register(codec: Codec | VideoCodec | Family) -> None:
    """Register a codec in this process: `compress`, `decompress`, `load` and evaluation find it.

    Registering a name again replaces the codec. Worker processes import modules that register
    codecs if these are named by `--plugin` or the environment variable QUANTAL_PLUGINS.

    Args:
        codec: a codec of pictures or of video, or a family whose codecs are loaded on demand.

    Raises:
        ArgumentError: If a codec of this name ships with Quantal or another package, or the name
            can't be written to files.
    """
    from quantal import container

    if isinstance(codec, Family):
        _CATALOGUE.add(codec)
        return
    name = getattr(codec, "name", None)
    if not isinstance(name, str) or not (hasattr(codec, "encoding") or hasattr(codec, "group")):
        raise ArgumentError(
            f"{type(codec).__name__} is no codec: register a Codec, a VideoCodec or a Family"
        )
    container.write(container.Header(name, bytes(4), 1, 1, 0), [container.Part("image", b"")])
    about = f"Registered by this process ({type(codec).__name__})."
    _CATALOGUE.add(Family(f"registered:{name}", "", (CodecEntry(name, about, None, codec.media),)))
    _CATALOGUE.instances[name] = codec


def families() -> tuple[Family, ...]:
    """Return all families, those of this package first."""
    return tuple(_CATALOGUE.families().values())


def family_of(name: str) -> Family:
    """Return the family of a codec, or the family of this name.

    Raises:
        ModelError: If there is neither.
    """
    families = _CATALOGUE.families()
    if name in families:
        return families[name]
    entries = _CATALOGUE.entries()
    if name in entries:
        return entries[name][1]
    known = ", ".join([*entries, *(n for n in families if n not in entries)])
    raise ModelError(f"there is no codec {name!r}; there are: {known}")


# -- codecs and their weights --------------------------------------------------------------------


def _find(name: str) -> tuple[CodecEntry, Family]:
    """Return the entry and the family of a name that `load` takes."""
    entries = _CATALOGUE.entries()
    if name in entries:
        return entries[name]
    base, at, _ = name.partition("@")
    if at and base in entries:
        entry, family = entries[base]
        others = editions(entry)
        if name in others:
            return others[name], family
    for family in _CATALOGUE.families().values():
        if name in family.aliases:
            return entries[family.aliases[name]]
    raise ModelError(f"there is no codec {name!r}; there are: {', '.join(names())}")


def names() -> tuple[str, ...]:
    """Return all names that `load` takes."""
    entries = _CATALOGUE.entries()
    others = [name for entry, _ in entries.values() for name in editions(entry)]
    aliases = [name for family in _CATALOGUE.families().values() for name in family.aliases]
    return (*entries, *others, *aliases)


def tuned(name: str, tune: str) -> str:
    """Return the name that `load` takes for a tune of a codec.

    Args:
        name: of the codec.
        tune: "psnr", which every codec's own weights are, or one of TUNES.

    Raises:
        ArgumentError: If the codec has no such tune.
    """
    tune = choice("tune", tune, (_PLAIN_TUNE, *TUNES))
    if tune == _PLAIN_TUNE:
        return name
    found = f"{name}@{tune}"
    if found not in names():
        here = [other.partition("@")[0] for other in names() if other.endswith(f"@{tune}")]
        raise ArgumentError(
            f"codec {name!r} has no tune {tune!r}; those that have one: {', '.join(here) or 'none'}"
        )
    return found


def available() -> tuple[CodecInfo, ...]:
    """Return what is known of every codec that has weights; loads neither torch nor weights."""
    infos = []
    for entry, _ in _CATALOGUE.entries().values():
        here = entry.name in _CATALOGUE.instances
        if entry.weights is None and not here:
            continue
        for each in (entry, *editions(entry).values()):
            path = weights_path(each)
            card = None if path is None else Card.of(read_header(path))
            infos.append(
                CodecInfo(
                    name=each.name,
                    media=each.media,
                    description=each.description,
                    weights=here or (path is not None and path.is_file()),
                    package=each.package,
                    **asdict(card or Card()),
                )
            )
    return tuple(infos)


def weights_files(media: str) -> dict[str, list[Path]]:
    """Return the weights files of every codec that are here, the present ones first.

    Args:
        media: "picture" or "video".

    Returns:
        Paths by the codec's name in files.
    """
    found: dict[str, list[Path]] = {}
    for entry, _ in _CATALOGUE.entries().values():
        if entry.media != media:
            continue
        paths = [weights_path(each) for each in (entry, *reversed(editions(entry).values()))]
        here = [path for path in paths if path is not None and path.is_file()]
        if here:
            found[entry.name] = here
    return found


def default_video_codec() -> str:
    """Return the name of the codec that codes clips where none is named.

    The first of VIDEO_CODECS whose weights are here, else any other codec of video.

    Raises:
        ModelError: If there is none.
    """
    here = [info.name for info in available() if info.media == "video" and info.weights]
    for name in (*VIDEO_CODECS, *here):
        if name in here:
            return name
    raise ModelError(
        f"no codec of video has its weights here; there should be {', '.join(VIDEO_CODECS)}",
        code="weights",
    )


def codec_class(name: str) -> type:
    """Return the class of a codec without loading it; `object` if its family names a function.

    Raises:
        ModelError: If there is no such codec.
    """
    if name in _CATALOGUE.instances:
        return type(_CATALOGUE.instances[name])
    found = resolve(_find(name)[1].codec)
    return found if isinstance(found, type) else object


def device_name(name: str, backend: str = "torch") -> str:
    """Return the device of "auto", "cpu" or "cuda" on this machine: "cpu" or "cuda".

    Args:
        name: what was asked for.
        backend: "onnx", "openvino" or "torch".

    Raises:
        ArgumentError: If there is no such device.
        InstallError: If it needs torch, which is missing.
    """
    name = choice("device", name, ("auto", "cpu", "cuda"))
    if backend != "torch" or name == "cpu":
        return "cpu"
    need("torch", f"device {name!r}")
    import torch

    # A forked process can't use the GPU that its parent uses.
    forked = getattr(torch.cuda, "_is_in_bad_fork", bool)()
    here = torch.cuda.is_available() and not forked
    if name == "cuda" and not here:
        why = "this process was forked: start it with the method spawn" if forked else "use 'cpu'"
        raise ArgumentError(f"device 'cuda' was asked for, and torch finds none; {why}")
    return "cuda" if here and name != "cpu" else "cpu"


_LOADED = LoadedCodecs(_KEPT)


def _after_fork() -> None:
    """Make a forked process usable, which has its parent's locks but not its threads.

    OpenMP would wait forever for threads that are gone; with one thread it needs none.
    """
    _CATALOGUE.renew()
    _LOADED.renew()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def load(
    name: str = DEFAULT_CODEC,
    device: str = "auto",
    weights: Source | None = None,
    *,
    backend: str = "auto",
    precision: str | None = None,
) -> Codec:
    """Return a codec with its weights loaded; the same object for the same arguments.

    Args:
        name: of the codec; see available().
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        weights: a file in place of the one that ships: its path, its bytes in any buffer, or the
            file open in binary mode. A model of CompressAI's zoo, which ships none, needs one; its
            name is `compressai/ARCHITECTURE`, or just `compressai`.
        backend: what runs the networks: "onnx" (ONNX Runtime, on the CPU), "torch", or "auto":
            torch where it is already imported or a GPU is asked for, else ONNX Runtime. "openvino"
            (on the CPU) is quicker once it is warm. Symbols are the same by all, pixels differ by
            one level where a sample lies between two.
        precision: "float32", the default; or of transforms that OpenVINO runs, "bfloat16", or
            "auto": bfloat16 where a trial, once for this machine, has found it quicker and at most
            0.02 dB worse.

    Raises:
        ModelError: If the codec is unknown, its weights are missing or damaged, or what runs its
            networks is not installed.
        ArgumentError: If the device is unknown, or an argument is of another type.
    """
    if not isinstance(name, str):
        raise ArgumentError(f"{type(name).__name__} is no name of a codec")
    precision = precision_of(precision)
    if weights is not None and not isinstance(weights, (str, os.PathLike)):
        return _load_bytes(name, device, read_source(weights, "weights file"), backend, precision)
    if name in _CATALOGUE.instances:
        return _CATALOGUE.instances[name]
    entry, family = _find(name)
    if entry.media == "video":
        # A frame is predicted from the one before: encoder and decoder have to draw alike.
        precision = PRECISIONS[0]
    if weights is not None:
        path = find_weights(weights)
    else:
        found = weights_path(entry)
        if found is None or not found.is_file():
            raise _lack(entry, found)
        path = found
    # The modification time is part of the key: rewritten weights are loaded again.
    way, place = _way(family, path, backend, device, precision)
    key = (name, way, place, precision, path, path.stat().st_mtime_ns)
    return _LOADED.get(key, lambda: _build(name, family, path, way, place, precision))


def networks_of(
    name: str, weights: str | os.PathLike[str] | None = None
) -> tuple[Any, WeightsFile]:
    """Return a codec's networks in torch, and its weights file.

    Args:
        name: of the codec, or of a family of networks that serve one, such as "vq-conceal".
        weights: a file in place of the one that ships.

    Raises:
        ModelError: If there is no such codec, its weights are missing, or its networks are not
            ours.
        InstallError: If torch is not installed.
    """
    family = family_of(name)
    if not family.net:
        raise ModelError(f"the networks of {name!r} are run by torch alone; there are no graphs")
    need("torch", "writing graphs")
    net = resolve(family.net)
    if weights is not None:
        path = find_weights(weights)
    else:
        entry = next((e for e in family.codecs if e.name == name), None)
        found = SHIPPED / f"{name}.safetensors" if entry is None else weights_path(entry)
        if found is None or not found.is_file():
            raise _lack(entry or CodecEntry(name, "", found), found)
        path = found
    file = read_weights(path, [net.layout])
    return net.of(file), file


def _lack(entry: CodecEntry, path: Path | None) -> ModelError:
    """Return the error of a codec whose weights are not here."""
    if path is None:
        lack = f"codec {entry.name!r} has no weights of its own: name yours"
    elif entry.package:
        lack = (
            f"the weights of codec {entry.name!r} are in a package of their own, which is not "
            f"installed: pip install {entry.package}; or name yours"
        )
    else:
        lack = (
            f"the weights of codec {entry.name!r} are missing: {path.name} is not there; name "
            "yours, or train some"
        )
    return ModelError(lack, code="weights")


def _load_bytes(name: str, device: str, data: bytes, backend: str, precision: str) -> Codec:
    """Return a codec with weights that are in memory."""
    entry, family = _find(name)
    if entry.media == "video":
        precision = PRECISIONS[0]

    def build() -> Codec:
        # Families read files: what they leave unread needs no memory.
        suffix = ".safetensors" if data[8:9] == b"{" else ".pth"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"weights{suffix}")
            path.write_bytes(data)
            way, place = _way(family, path, backend, device, precision)
            return _build(name, family, path, way, place, precision)

    key = (name, backend, device, precision, hashlib.sha256(data).digest())
    return _LOADED.get(key, build)


def _way(family: Family, path: Path, backend: str, device: str, precision: str) -> tuple[str, str]:
    """Return the backend and the device that run a codec; "" and the CPU for integers alone."""
    if family.integers:
        choice("backend", backend, BACKENDS)
        choice("device", device, ("auto", "cpu", "cuda"))
        return "", "cpu"
    way = chosen(backend, device, bool(family.net) and has_graphs(path), precision)
    return way, device_name(device, way)


def _build(
    name: str, family: Family, path: Path, backend: str, device: str, precision: str
) -> Codec:
    # Files name the codec, not the version of its weights.
    in_files = name.partition("@")[0]
    if family.integers:
        exact: Codec = resolve(family.codec)(in_files, path, device)
        return exact
    found = backend_of(backend, device, precision)
    runs = found if family.net else found.device
    codec: Codec = resolve(family.codec)(in_files, path, runs)
    if precision == "auto":
        from quantal.codecs.trial import settle

        settle(codec)
    return codec


@lru_cache(maxsize=64)
def _stored_hash(path: Path, _modified: int) -> str:
    return read_header(path).get("hash", "")


def load_version(name: str, model_hash: bytes, device: str) -> Codec:
    """Return a codec with the weights of a hash if they are here, else with its present ones.

    Weights files state their hash in their header, so only one network is built.

    Args:
        name: of the codec, in a coded file.
        model_hash: in the same file.
        device: see load().
    """
    if name in _CATALOGUE.instances:
        return _CATALOGUE.instances[name]
    entry, _ = _find(name)
    for each in (entry, *reversed(editions(entry).values())):
        path = weights_path(each)
        if path is None or not path.is_file():
            continue
        if _stored_hash(path, path.stat().st_mtime_ns) == model_hash.hex():
            return load(each.name, device)
    return load(name, device)
