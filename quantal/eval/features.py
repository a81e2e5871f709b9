"""Codec `features` under evaluation: what the first layers of a classifier make of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import torch
from PIL import Image
from torch import nn

import quantal
from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError, ModelError
from quantal.eval.codecs import ImageCodec, Option
from quantal.eval.perception.route import Undrawn
from quantal.eval.perception.vision import network_of
from quantal.latents import features
from quantal.latents.recognisers import fingerprint

__all__ = ["FeatureCodec"]


class FeatureCodec(ImageCodec):
    """Complete .qtl files of features (docs/features.md); its quality is bits per value.

    Options:
        model: The classifier of torchvision, `NAME` or `NAME:WEIGHTS`.
        weights: File of its weights; default: torchvision's download.
        layer: The first layer of its `features` that is not run before coding.
        basis: A file of a basis or a codebook for these features.
    """

    description = "features of a classifier of torchvision, which no picture can be drawn of"
    options: ClassVar = {
        "model": Option("mobilenet_v2"),
        "weights": Option(""),
        "layer": Option.whole(11, 1, 999),
        "basis": Option(""),
    }
    qualities = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
    limits = (0.01, 16.0)
    whole = False

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        weights = Path(values["weights"]) if values["weights"] else None
        found = network_of(values["model"], "classify", weights)
        layers = getattr(found.network, "features", None)
        self._first = int(values["layer"])
        if not isinstance(layers, nn.Sequential) or self._first >= len(layers):
            there = f"{len(layers)} layers" if isinstance(layers, nn.Sequential) else "no layers"
            raise ArgumentError(
                f"{found.name} has {there} in its `features`, of which layer {self._first} was "
                "asked for"
            )
        self._early = layers[: self._first]
        self._transforms = found.weights.transforms()
        self._backbone, self._teacher = found.name, fingerprint(found.network)
        self._known = features.read_known(values["basis"]) if values["basis"] else None

    @property
    def version(self) -> str:
        basis = f", basis {self._known.hash.hex()}" if self._known else ""
        teacher = bytes(self._teacher.tolist()).hex()
        return f"quantal {quantal.__version__}, network {teacher}{basis}"

    def encode(self, image: Pixels, quality: float) -> bytes:
        with torch.inference_mode():
            values = self._early(self._transforms(Image.fromarray(image))[None])[0]
        fixed = self._known is not None and self._known.rates[0] == self._known.rates[1]
        return features.encode(
            values,
            bits=None if fixed else quality,
            basis=self._known,
            network=bytes(self._teacher.tolist()),
            layer=f"features.{self._first}",
        )

    @property
    def draws(self) -> bool:
        return False

    def decode(self, data: bytes) -> NoReturn:
        raise ModelError("no picture can be drawn of features")

    def undrawn(self, data: bytes) -> Any:
        found = features.decode(data, basis=self._known)
        if isinstance(found, list):
            raise ModelError(f"the file has {len(found)} tensors, expected one")
        return Undrawn(found, self._backbone, self._teacher, self._first)
