"""Intra frames of HEVC (x265) and AV1 (SVT-AV1), through PyAV.

A file is the elementary stream with its parameter sets, without a container, and 4 bytes for the
picture's width and height, since frames are padded to a size that the encoder accepts. Quality is
the largest quantiser minus the quantiser in use.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from quantal.codecs.contract import Pixels
from quantal.errors import ArgumentError, EvaluationError
from quantal.eval._optional import require
from quantal.eval.classical._planes import from_planes, to_planes
from quantal.eval.classical._scale import SCALE, SIZE, resized, scaled_down, scaled_side
from quantal.eval.codecs import ImageCodec, Option
from quantal.threads import kept_scheduling

__all__ = ["Av1", "Hevc"]

#: Minimum side of a frame in SVT-AV1, in pixels.
_LEAST = 64


class IntraCodec(ImageCodec):
    """One intra frame of a video codec, as an elementary stream."""

    encoder: ClassVar[str]
    decoder: ClassVar[str]
    #: The coarsest quantiser; quality 0 uses it.
    coarsest: ClassVar[int]

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        super().__init__(name, values)
        self._av = require("av", f"codec {name!r}")
        self._subsampled = values["subsampling"] == "4:2:0"
        self._bits = int(values["bits"])
        self._scale = int(values["scale"])
        self.limits = (0.0, float(self.coarsest))
        for role, codec in (("w", self.encoder), ("r", self.decoder)):
            try:
                self._av.Codec(codec, role)
            except ValueError as error:
                raise ArgumentError(
                    f"codec {name!r}: this PyAV was built without {codec}; install its wheel: "
                    "pip install --upgrade av"
                ) from error

    @property
    def version(self) -> str:
        from importlib.metadata import version

        return f"{self.encoder} by PyAV {version('av')}"

    @abstractmethod
    def encoder_options(self, quantiser: int) -> dict[str, str]:
        """Return options of the encoder with ffmpeg's names."""

    @kept_scheduling()
    def encode(self, image: Pixels, quality: float) -> bytes:
        size = SIZE.pack(image.shape[1], image.shape[0])
        image = scaled_down(image, self._scale)
        height, width = image.shape[:2]
        edges = [(0, max(_LEAST - side, -side % 2)) for side in (height, width)]
        padded = np.pad(image, [*edges, (0, 0)], mode="edge")
        context = self._av.CodecContext.create(self.encoder, "w")
        context.height, context.width = padded.shape[:2]
        chroma = "420" if self._subsampled else "444"
        context.pix_fmt = f"yuv{chroma}p" + ("10le" if self._bits == 10 else "")
        context.time_base = Fraction(1, 25)
        context.framerate = Fraction(25, 1)
        context.gop_size = 1
        context.thread_count = 1
        context.color_range = 2  # full
        context.options = self.encoder_options(self.coarsest - round(quality))
        packets = [*context.encode(self._frame(padded, context.pix_fmt)), *context.encode(None)]
        return size + b"".join(bytes(p) for p in packets)

    def _frame(self, image: Pixels, pixel_format: str) -> Any:
        frame = self._av.VideoFrame(image.shape[1], image.shape[0], pixel_format)
        sample = np.dtype("<u2" if self._bits == 10 else "u1")
        for plane, values in zip(
            frame.planes, to_planes(image, self._subsampled, self._bits), strict=True
        ):
            rows = np.zeros((plane.height, plane.line_size // sample.itemsize), sample)
            rows[:, : plane.width] = values
            plane.update(rows.tobytes())
        frame.pts = 0
        return frame

    def decode(self, data: bytes) -> Pixels:
        width, height = SIZE.unpack_from(data)
        context = self._av.CodecContext.create(self.decoder, "r")
        context.thread_count = 1
        packet = self._av.Packet(data[SIZE.size :])
        frames = [*context.decode(packet), *context.decode(None)]
        if len(frames) != 1:
            raise EvaluationError(f"{self.decoder} found {len(frames)} frames, expected one")
        sample = np.dtype("<u2" if self._bits == 10 else "u1")
        planes = []
        for plane in frames[0].planes:
            rows = np.frombuffer(plane, sample).reshape(plane.height, -1)
            planes.append(rows[:, : plane.width].astype(np.uint16))
        coded = tuple(slice(scaled_side(side, self._scale)) for side in (height, width))
        return resized(from_planes(planes, self._bits)[coded], width, height)


class Hevc(IntraCodec):
    """HEVC by x265; quality is 51 - quantiser."""

    description = "HEVC intra frame by x265, elementary stream"
    encoder, decoder = "libx265", "hevc"
    coarsest = 51
    options: ClassVar = {
        "preset": Option(
            "slow",
            ("ultrafast", "veryfast", "fast", "medium", "slow", "slower", "veryslow", "placebo"),
        ),
        "tune": Option("psnr", ("psnr", "ssim", "grain", "none")),
        "subsampling": Option("4:2:0", ("4:2:0", "4:4:4")),
        "bits": Option("8", ("8", "10")),
        "scale": SCALE,
    }
    qualities = (0, 5, 10, 13, 16, 19, 22, 25, 28, 31, 34, 37, 40)

    def encoder_options(self, quantiser: int) -> dict[str, str]:
        # info=0: x265 writes its settings, 2 kB of text, into every stream by default.
        fixed = "ipratio=1:keyint=1:info=0:pools=none:frame-threads=1:log-level=none"
        options = {"preset": self.values["preset"], "x265-params": f"qp={quantiser}:{fixed}"}
        if self.values["tune"] != "none":
            options["tune"] = self.values["tune"]
        return options


class Av1(IntraCodec):
    """AV1 by SVT-AV1; quality is 63 - quantiser."""

    description = "AV1 intra frame by SVT-AV1, elementary stream; 4:2:0 only, as the encoder is"
    encoder, decoder = "libsvtav1", "libdav1d"
    coarsest = 63
    options: ClassVar = {
        "preset": Option.whole(4, 0, 12),
        "tune": Option("psnr", ("vq", "psnr", "ssim")),
        "subsampling": Option("4:2:0", ("4:2:0", "4:4:4")),
        "bits": Option("8", ("8", "10")),
        "scale": SCALE,
    }
    qualities = (0, 4, 8, 13, 18, 23, 28, 33, 38, 43, 48, 53, 58)

    def __init__(self, name: str, values: Mapping[str, str]) -> None:
        if values["subsampling"] != "4:2:0":
            raise ArgumentError(
                f"codec {name!r}: SVT-AV1 codes 4:2:0 only; for AV1 in 4:4:4 take "
                "avif:subsampling=4:4:4, which is libaom's"
            )
        os.environ.setdefault("SVT_LOG", "1")  # it logs the settings of every frame by default
        super().__init__(name, values)

    def encoder_options(self, quantiser: int) -> dict[str, str]:
        tune = self.options["tune"].choices or ()
        params = {
            "rc": "0",
            "aq-mode": "0",
            "qp": str(quantiser),
            "keyint": "1",
            "tune": str(tune.index(self.values["tune"])),
            "lp": "1",
        }
        text = ":".join(f"{key}={value}" for key, value in params.items())
        return {"preset": self.values["preset"], "svtav1-params": text}
