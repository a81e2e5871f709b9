"""Quantal's codecs under evaluation: complete .qtl files; of clips, the frames in them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

import quantal
from quantal import container
from quantal.codecs import load
from quantal.codecs.contract import Pixels
from quantal.codecs.video_contract import VideoCodec
from quantal.errors import ArgumentError
from quantal.eval.clips import INTRA, ClipCodec, ClipSource, CodedClip, Frames, stacked
from quantal.eval.codecs import ROUNDED, Decoded, ImageCodec, Option
from quantal.eval.perception.route import Joint, Undrawn
from quantal.files.clip_decode import open_clip
from quantal.files.clip_face import compress_clip
from quantal.files.targets import check_effort
from quantal.latents.recognisers import StemNet, read_recogniser

__all__ = ["LearnedCodec", "LearnedVideoCodec"]


class LearnedCodec(ImageCodec):
    """A codec of the registry.

    Options:
        weights: A safetensors file in place of the weights that ship.
        device: Where the networks run.
        effort: Encoder effort.
        rounded: Whether decoded pictures are rounded to 8 bits.
        latents: A file of a stem, by which models are shown latents in place of pixels.
    """

    description = "a codec of Quantal or of a plug-in package"
    options: ClassVar = {
        "weights": Option(""),
        "device": Option("cpu", ("cpu", "cuda", "auto")),
        "effort": Option.whole(0, 0, 3),
        "rounded": ROUNDED,
        "latents": Option(""),
    }
    qualities: tuple[float, ...] = (1, 8, 15, 22, 30, 38, 46, 54, 62, 70, 78, 86, 93, 100)
    limits: tuple[float, float] = (1.0, 100.0)

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        self._codec = load(name, values["device"], values["weights"] or None)
        if len(self._codec.rates) == 1:
            only = container.rate_to_quality(self._codec.rates[0])
            self.qualities, self.limits = (only,), (only, only)
        self._effort = int(values["effort"])
        check_effort(self._effort, self._codec)
        self._stem = _stem(values["latents"], name) if values["latents"] else None

    @property
    def version(self) -> str:
        effort = f", effort {self._effort}" if self._effort else ""
        stem = f", stem {self._stem[0]}" if self._stem else ""
        return f"quantal {quantal.__version__}, model {self._codec.model_hash.hex()}{effort}{stem}"

    def encode(self, image: Pixels, quality: float) -> bytes:
        return quantal.compress(image, self._codec, quality=round(quality), effort=self._effort)

    def decode(self, data: bytes) -> Decoded:
        if self.values["rounded"] == "no":
            return self._codec.synthesise_unrounded(self._codec.latents(data))
        return np.asarray(self._codec.decompress(data).convert("RGB"))

    @property
    def draws(self) -> bool:
        return self._codec.draws

    @property
    def joint(self) -> Joint | None:
        return _joint(self._stem[1]) if self._stem else None

    def undrawn(self, data: bytes) -> Any:
        if self._stem is None:
            return None
        stem = self._stem[1]
        with torch.inference_mode():
            y_hat = torch.from_numpy(self._codec.latents(data).y_hat)
            features = stem(y_hat[None])[0]
        return Undrawn(features, _joint(stem))


def _joint(stem: StemNet) -> Joint:
    return Joint(stem.config.backbone, stem.teacher, stem.config.first)


def _stem(path: str, codec: str) -> tuple[str, StemNet]:
    """Return the hash of a stem's file, and the stem; ArgumentError unless it fits the codec."""
    net = read_recogniser(Path(path))
    if not isinstance(net, StemNet) or net.config.source != codec:
        raise ArgumentError(
            f"{Path(path).name} reads latents of {net.config.source!r}; expected a stem for "
            f"{codec!r}"
        )
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8], net


class LearnedVideoCodec(ClipCodec):
    """A video codec of the registry: whole .qtl files, of which only the frames are counted.

    Options:
        weights: A safetensors file in place of the weights that ship.
        device: Where the networks run.
        intra: Frames from one intra frame to the next at most.
    """

    description = "a video codec of Quantal or of a plug-in package"
    options: ClassVar = {
        "weights": Option(""),
        "device": Option("cpu", ("cpu", "cuda", "auto")),
        "intra": INTRA,
    }
    qualities = (10, 20, 30, 40, 50, 60, 70)
    limits = (1.0, 100.0)

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        found = load(name, values["device"], values["weights"] or None)
        if not isinstance(found, VideoCodec):
            raise ArgumentError(f"codec {name!r} codes pictures, not video")
        self._codec = found

    @property
    def version(self) -> str:
        return f"quantal {quantal.__version__}, model {self._codec.model_hash.hex()}"

    def encode(self, source: ClipSource, quality: float) -> CodedClip:
        data = compress_clip(
            source.pixels,
            self._codec,
            quality=round(quality),
            intra_period=self.intra_period,
        )
        groups = container.ClipReader(io.BytesIO(data)).groups()
        sizes = (len(frame.payload) for group in groups for frame in group.frames)
        return CodedClip(data, tuple(sizes))

    def decode(self, coded: CodedClip) -> Frames:
        with open_clip(coded.data, codec=self._codec) as clip:
            return stacked(clip, len(coded.sizes))
