"""Models of CompressAI's zoo as codecs to evaluate: `compressai/mbt2018-mean:weights=FOLDER`.

The codec is that of `quantal compress --codec compressai/ARCHITECTURE` and writes the same .qtl
files. This module finds the weights: a file for each quality, or one file for all.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch

import quantal
from quantal import container
from quantal.codecs import load
from quantal.codecs.compressai import ARCHITECTURES
from quantal.codecs.compressai.weights import FileName
from quantal.codecs.contract import Codec, Pixels
from quantal.errors import ArgumentError, ModelError, QuantalWarning
from quantal.eval._optional import require, unknown
from quantal.eval.codecs import ROUNDED, Decoded, ImageCodec, Option

__all__ = ["CompressAICodec"]

_QUALITIES = range(1, 9)
#: A file of weights in a folder that holds one architecture only.
_PLAIN_NAME = re.compile(r"([1-8])\.pth(\.tar)?")

#: Quality -> file, or URL of a download; None: a file for all qualities, or for an unknown one.
Sources: TypeAlias = Mapping[int | None, Path | str]


class CompressAICodec(ImageCodec):
    """A picture model of CompressAI's zoo, by its architecture.

    Options:
        metric: The metric that the weights were trained for.
        weights: A folder of files named as the zoo names them (`mbt2018-mean-3-723404a8.pth.tar`;
            other architectures and metrics are ignored) or `3.pth`; or one such file. If empty,
            the zoo's weights are downloaded.
        device: Where the transforms run.
        rounded: Whether decoded pictures are rounded to 8 bits.
    """

    description = "a model of CompressAI's zoo, in .qtl files"
    options: ClassVar = {
        "metric": Option("mse", ("mse", "ms-ssim")),
        "weights": Option(""),
        "device": Option("cpu", ("cpu", "cuda", "auto")),
        "rounded": ROUNDED,
    }

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        zoo = _zoo(name)
        architecture, metric = name.partition("/")[2], values["metric"]
        if architecture not in ARCHITECTURES:
            raise unknown("architecture of CompressAI's zoo", architecture, ARCHITECTURES)
        if values["weights"]:
            files = _weight_files(values["weights"], architecture, metric)
            self._sources: Sources = files
            self._origin = _digest(files.values())
        else:
            self._sources = _urls(zoo, architecture, metric)
            self._origin = "the zoo's weights"
        self._loaded: dict[Path | str, Codec] = {}
        if None in self._sources:
            every = tuple(q for q in _QUALITIES if _accepts(self._codec(q), q))
            self.limits = every[0], every[-1]
            # Weights of one rate give the same pictures at every quality that they are taken for.
            self.qualities = every if architecture.endswith("-vbr") else every[:1]
        else:
            self.qualities = tuple(sorted(q for q in self._sources if q is not None))
            self.limits = self.qualities[0], self.qualities[-1]
            self.prepare(self.qualities[0])  # raises at once if there are no weights

    @property
    def version(self) -> str:
        from importlib.metadata import version

        ours, theirs = quantal.__version__, version("compressai")
        return f"quantal {ours}, compressai {theirs}, {self._origin}"

    def prepare(self, quality: float) -> None:
        self._codec(round(quality))

    def encode(self, image: Pixels, quality: float) -> bytes:
        codec = self._codec(round(quality))
        with warnings.catch_warnings():
            # That other machines may be unable to read the file does not concern an evaluation.
            warnings.simplefilter("ignore", QuantalWarning)
            return quantal.compress(image, codec, quality=round(quality))

    def decode(self, data: bytes) -> Decoded:
        codec = self._codec(container.probe(data).quality)
        if self.values["rounded"] == "no":
            return codec.synthesise_unrounded(codec.latents(data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", QuantalWarning)
            return np.asarray(codec.decompress(data).convert("RGB"))

    def _codec(self, quality: int) -> Codec:
        source = self._sources.get(quality, self._sources.get(None))
        if source is None:
            raise ModelError(
                f"codec {self.name!r} has no weights for quality {quality} in "
                f"{self.values['weights'] or 'the zoo'}; it has those of "
                f"{', '.join(map(str, self.qualities))}"
            )
        if source not in self._loaded:
            file = _download(source) if isinstance(source, str) else source
            self._loaded[source] = load(self.name, self.values["device"], weights=file)
        return self._loaded[source]


def _zoo(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CompressAI and its torch.jit warn about themselves
        return require("compressai.zoo", f"codec {name!r}", extra="compressai")


def _accepts(codec: Codec, quality: int) -> bool:
    try:
        codec.rate_of(quality)
    except ArgumentError:
        return False
    return True


def _urls(zoo: Any, architecture: str, metric: str) -> Sources:
    """The zoo's own weights; ModelError if it has none."""
    try:
        if architecture.endswith("-vbr"):
            return {None: zoo.image_vbr.model_urls[architecture][metric]}
        return dict(zoo.image.model_urls[architecture][metric])
    except (AttributeError, KeyError) as error:
        raise ModelError(
            f"codec 'compressai/{architecture}': the zoo has no weights for metric {metric!r}; "
            "name those you have with weights=FOLDER"
        ) from error


def _download(url: str) -> Path:
    """The file of a URL, from torch's cache if it is there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=False)
    except OSError as error:
        raise ModelError(
            f"{url} could not be downloaded ({' '.join(str(error).split())}); "
            "name the weights you have with weights=FOLDER"
        ) from error
    return path


def _weight_files(where: str, architecture: str, metric: str) -> dict[int | None, Path]:
    """Quality -> file; None for a file of all qualities, or one whose name states no quality."""
    path = Path(where).expanduser()
    if path.is_file():
        named = _parsed(path, architecture, metric)
        return {named.quality if named else None: path}
    found: dict[int | None, Path] = {}
    for file in sorted(path.glob("*.pth*")):
        named = _parsed(file, architecture, metric)
        if named is None:
            continue
        if named.quality in found:
            what = "all qualities" if named.quality is None else f"quality {named.quality}"
            raise ArgumentError(
                f"two files in {where} are for {what} of {architecture}: "
                f"{found[named.quality].name} and {file.name}; leave one of them there"
            )
        found[named.quality] = file
    if not found:
        raise ArgumentError(
            f"codec 'compressai/{architecture}': no weights for metric {metric!r} in "
            f"{where}; expected a folder with files such as {architecture}-3-723404a8.pth.tar or "
            "3.pth, one a quality, or one such file"
        )
    return found


def _parsed(file: Path, architecture: str, metric: str) -> FileName | None:
    """The name of a file of weights; None if it is not of this architecture and metric."""
    plain = _PLAIN_NAME.fullmatch(file.name)
    if plain and not architecture.endswith("-vbr"):
        return FileName(architecture, metric, int(plain[1]))
    named = FileName.of(file)
    if named is None or (named.architecture, named.metric) != (architecture, metric):
        return None
    return named


def _digest(files: Iterable[Path]) -> str:
    """A name for weights: the first digits of a hash over the content of the files."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return f"weights {whole.hexdigest()[:8]}"
