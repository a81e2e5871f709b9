"""The models of CompressAI's zoo: `compressai/mbt2018-mean`, `compressai/cheng2020-attn:metric=…`.

Every byte that a decoder needs is counted: the strings, their lengths, and the picture's size. Only
streams that were written here are ever decoded, for CompressAI's coder trusts what it is given.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from quantal.codecs.base import Pixels
from quantal.codecs.zoo import ARCHITECTURES
from quantal.codecs.zoo.weights import FileName, quiet, read
from quantal.errors import ArgumentError, ModelError
from quantal.eval._optional import require, unknown
from quantal.eval.codecs import ROUNDED, Decoded, ImageCodec, Option

__all__ = ["ZooCodec"]

#: Width and height of the picture, rows and columns of z, and how many strings follow.
_HEAD = struct.Struct(">HHHHB")
_LENGTH = struct.Struct(">I")
#: Sides of what the networks take are multiples of this: 16 by the transforms, 4 by the hyperprior.
_MULTIPLE = 64


class ZooCodec(ImageCodec):
    """An architecture of the zoo by name.

    weights: a folder of files named as the zoo names them (`mbt2018-mean-3-723404a8.pth.tar`; those
    of other architectures and metrics are passed over) or just `3.pth`; one such file; or nothing:
    then the zoo downloads its own.
    """

    description = "a model of CompressAI's zoo"
    options: ClassVar = {
        "metric": Option("mse", ("mse", "ms-ssim")),
        "weights": Option(""),
        "rounded": ROUNDED,
    }

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        self._zoo = _zoo(name)
        self.architecture = name.partition("/")[2]
        if self.architecture not in ARCHITECTURES:
            raise unknown("architecture of CompressAI's zoo", self.architecture, ARCHITECTURES)
        self._variable = self.architecture.endswith("-vbr")
        self._files = _weight_files(values, self.architecture) if values["weights"] else {}
        if self._variable:
            self.qualities = tuple(range(8))
        elif self._files:
            self.qualities = tuple(sorted(self._files))
        else:
            self.qualities = tuple(sorted(self._zoo.image.cfgs[self.architecture]))
        self._source = _digest(self._files.values()) if self._files else "the zoo's weights"
        self.limits = (min(self.qualities), max(self.qualities))
        self._network(round(self.qualities[0]))  # that there are no weights is said at once

    @property
    def version(self) -> str:
        from importlib.metadata import version

        return f"compressai {version('compressai')}, {self._source}"

    def prepare(self, quality: float) -> None:
        self._network(round(quality))

    def encode(self, image: Pixels, quality: float) -> bytes:
        network = self._network(round(quality))
        height, width = image.shape[:2]
        edges = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
        padded = np.pad(image, edges, mode="edge")
        x = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            coded = network.compress(x, **self._rate(quality))
        strings = [group[0] for group in coded["strings"]]
        parts = [_HEAD.pack(width, height, *coded["shape"], len(strings))]
        for string in strings:
            parts += [_LENGTH.pack(len(string)), string]
        # Which of the models wrote it: one byte, as a file of its own would need.
        return bytes([round(quality)]) + b"".join(parts)

    def decode(self, data: bytes) -> Decoded:
        quality = data[0]
        width, height, rows, columns, count = _HEAD.unpack_from(data, 1)
        position = 1 + _HEAD.size
        strings = []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(data, position)
            position += _LENGTH.size
            strings.append([data[position : position + length]])
            position += length
        network = self._network(quality)
        with torch.inference_mode():
            drawn: Tensor = network.decompress(strings, (rows, columns), **self._rate(quality))[
                "x_hat"
            ]
        pixels = drawn[0, :, :height, :width].permute(1, 2, 0).clamp(0, 1) * 255
        if self.values["rounded"] == "no":
            return pixels.contiguous().numpy()
        return pixels.round().to(torch.uint8).contiguous().numpy()

    def _rate(self, quality: float) -> dict[str, int]:
        return {"s": round(quality)} if self._variable else {}

    def _network(self, quality: int) -> Any:
        file = self._files.get(0 if self._variable else quality)
        if self._files and file is None:
            have = ", ".join(str(q) for q in sorted(self._files))
            raise ModelError(
                f"codec {self.name!r} has no weights for quality {quality} in "
                f"{self.values['weights']}; it has those of {have}"
            )
        return _load(self.architecture, self.values["metric"], quality, file)


def _zoo(name: str) -> Any:
    with quiet():
        return require("compressai.zoo", f"codec {name!r}", extra="compressai")


def _weight_files(values: Mapping[str, str], architecture: str) -> dict[int, Path]:
    """Quality -> file; 0 for one that serves all rates, or whose name tells none."""
    where = values["weights"]
    path = Path(where).expanduser()
    if path.is_file():
        return {_quality_of(path, architecture, values["metric"]) or 0: path}
    found: dict[int, Path] = {}
    for file in sorted(path.glob("*.pth*")):
        quality = _quality_of(file, architecture, values["metric"])
        if quality is None:
            continue
        if quality in found:
            raise ArgumentError(
                f"two files in {where} are for quality {quality} of {architecture}: "
                f"{found[quality].name} and {file.name}; leave one of them there"
            )
        found[quality] = file
    if not found:
        raise ArgumentError(
            f"codec 'compressai/{architecture}': no weights for metric {values['metric']!r} in "
            f"{where}; expected a folder with files such as {architecture}-3-723404a8.pth.tar or "
            "3.pth, one a quality, or one such file"
        )
    return found


def _quality_of(file: Path, architecture: str, metric: str) -> int | None:
    """The quality that a file's name tells, if it is of the architecture and metric asked for."""
    plain = re.fullmatch(r"([1-8])\.pth(\.tar)?", file.name)
    if plain:
        return int(plain[1])
    named = FileName.of(file)
    if named is None or (named.architecture, named.metric) != (architecture, metric):
        return None
    return named.quality or 0


def _digest(files: Iterable[Path]) -> str:
    """A name for weights: the first digits of a hash over what the files hold."""
    whole = hashlib.sha256()
    for file in files:
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return f"weights {whole.hexdigest()[:8]}"


@lru_cache(maxsize=16)
def _load(architecture: str, metric: str, quality: int, file: Path | None) -> Any:
    """A network ready to code; ModelError if there are no weights for it."""
    zoo = _zoo(f"compressai/{architecture}")
    what = f"codec 'compressai/{architecture}', quality {quality}"
    if file is not None:
        network = read(file, architecture).network
    else:
        try:
            with quiet():
                network = zoo.models[architecture](
                    quality=quality, metric=metric, pretrained=True, progress=False
                ).eval()
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise ModelError(
                f"{what}: no weights can be had from the zoo's download "
                f"({' '.join(str(error).split())}); give those you have with weights=FOLDER"
            ) from error
    # Models of several rates make tables of z for each.
    options = {"scale": network.Gain[quality].abs()} if architecture.endswith("-vbr") else {}
    with quiet(), torch.no_grad():
        network.update(force=True, **options)
    return network
