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
from quantal.eval.perception.route import Joint, Undrawn
from quantal.eval.perception.vision import network_of
from quantal.latents import features
from quantal.latents.recognisers import fingerprint

__all__ = ["FeatureCodec"]


class FeatureCodec(ImageCodec):
    """Complete .qtl files of features (docs/how-to/features.md); its quality is bits per value.

    Options:
        model: The classifier of torchvision, `NAME` or `NAME:WEIGHTS`.
        weights: File of its weights; default: torchvision's download.
        layer: How many layers of its `features` are run before coding.
        basis: A file of a basis or a codebook for these features.
    """

    description = "features of a classifier of torchvision, which no picture can be drawn of"
    options: ClassVar = {
        "model": Option("mobilenet_v2"),
        "weights": Option(""),
        "layer": Option.whole(11, 1, 999),
        "basis": Option(""),
    }
    qualities: tuple[float, ...] = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
    limits = (0.05, 16.0)
    whole = False

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        weights = Path(values["weights"]) if values["weights"] else None
        found = network_of(values["model"], "classify", weights)
        layers = getattr(found.network, "features", None)
        self._first = int(values["layer"])
        if not isinstance(layers, nn.Sequential):
            raise ArgumentError(
                f"{found.name} has no `features`; take a classifier such as mobilenet_v2"
            )
        if self._first >= len(layers):
            raise ArgumentError(
                f"{found.name} has {len(layers)} layers in its `features`, of which layer "
                f"{self._first} was asked for"
            )
        self._early = layers[: self._first]
        self._transforms = found.weights.transforms()
        self._joint = Joint(found.name, fingerprint(found.network), self._first)
        self._known = features.read_known(values["basis"]) if values["basis"] else None
        #: Whether there is one rate, whatever the quality.
        self._fixed = isinstance(self._known, features.Codebook)
        if self._fixed:
            self.qualities, self.limits = (1.0,), (1.0, 1.0)

    @property
    def version(self) -> str:
        basis = f", basis {self._known.hash.hex()}" if self._known else ""
        teacher = bytes(self._joint.teacher.tolist()).hex()
        return f"quantal {quantal.__version__}, network {teacher}{basis}"

    def encode(self, image: Pixels, quality: float) -> bytes:
        with torch.inference_mode():
            values = self._early(self._transforms(Image.fromarray(image))[None])[0]
        return features.encode(
            values,
            bits=None if self._fixed else quality,
            basis=self._known,
            network=bytes(self._joint.teacher.tolist()),
            layer=f"features.{self._first}",
        )

    @property
    def draws(self) -> bool:
        return False

    @property
    def joint(self) -> Joint:
        return self._joint

    def decode(self, data: bytes) -> NoReturn:
        raise ModelError("no picture can be drawn of features")

    def undrawn(self, data: bytes) -> Any:
        found = features.decode(data, basis=self._known)
        if isinstance(found, list):
            raise ModelError(f"the file has {len(found)} tensors, expected one")
        return Undrawn(found, self._joint)
