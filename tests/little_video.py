"""A little codec of video that is quick and real: quantised pixels, and differences of them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch

from quantal.codecs.contract import Pixels
from quantal.codecs.video_contract import CodedFrame, VideoCodec
from quantal.errors import BitstreamError, CorruptError

__all__ = ["LittleVideo"]


def _step(rate: int) -> float:
    """The size of a step of the quantiser: 64 at rate 0, 1 at rate 252."""
    return float(2.0 ** (6 - 6 * rate / 252))


@dataclass(frozen=True, eq=False)
class _Drawn:
    values: np.ndarray  # float32 [H, W, 3], not rounded

    def pixels(self) -> Pixels:
        return np.clip(np.rint(self.values), 0, 255).astype(np.uint8)


class _Frame:
    def __init__(self, pixels: Pixels) -> None:
        self._given = pixels.astype(np.float32)

    def intra(self, rate: int) -> CodedFrame:
        return _coded(self._given, np.full_like(self._given, 128), rate)

    def predicted(self, before: _Drawn, rate: int) -> CodedFrame:
        return _coded(self._given, before.values, rate)


def _coded(given: np.ndarray, before: np.ndarray, rate: int) -> CodedFrame:
    symbols = np.rint((given - before) / _step(rate)).astype(np.int16)
    return CodedFrame(zlib.compress(symbols.tobytes(), 6), _drawn(symbols, before, rate))


def _drawn(symbols: np.ndarray, before: np.ndarray, rate: int) -> _Drawn:
    return _Drawn(before + symbols.astype(np.float32) * np.float32(_step(rate)))


class _Group:
    def frame(self, pixels: Pixels) -> _Frame:
        return _Frame(pixels)


class LittleVideo(VideoCodec):
    """Registered by tests; little_video_plugin.py registers it in other processes."""

    def __init__(self, name: str = "little-video") -> None:
        super().__init__(name, torch.device("cpu"), b"tiny")

    def group(self, width: int, height: int, rate: int) -> _Group:
        return _Group()

    def decode_intra(self, payload: bytes, width: int, height: int, rate: int) -> _Drawn:
        symbols = self.parse_intra(payload, width, height, rate)
        return _drawn(symbols, np.full(symbols.shape, 128, np.float32), rate)

    def decode_predicted(self, payload: bytes, before: _Drawn, rate: int) -> _Drawn:
        return _drawn(self.parse_predicted(payload, before.values, rate), before.values, rate)

    def parse_intra(self, payload: bytes, width: int, height: int, rate: int) -> np.ndarray:
        return _symbols(payload, (height, width, 3))

    def parse_predicted(self, payload: bytes, before: np.ndarray, rate: int) -> np.ndarray:
        return _symbols(payload, before.shape)


def _symbols(payload: bytes, shape: tuple[int, ...]) -> np.ndarray:
    size = 2 * int(np.prod(shape))
    if size > 1100 * len(payload):  # zlib packs no tighter
        raise CorruptError(f"{len(payload)} bytes do not justify {shape}")
    unpacking = zlib.decompressobj()
    try:
        data = unpacking.decompress(payload, size + 1)
    except zlib.error as error:
        raise BitstreamError(f"a frame can't be read: {error}") from error
    if len(data) != size or not unpacking.eof:
        raise BitstreamError(f"a frame has {len(data)} bytes, expected {size}")
    return np.frombuffer(data, np.int16).reshape(shape)
