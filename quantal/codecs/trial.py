"""What draws fastest and still exactly enough: tried once, on a fixed picture, and remembered.

The picture has the statistics of photographs. A candidate is kept if it is faster than ONNX Runtime
in float32; bfloat16 only up to the rate at which it costs 0.02 dB there. The result is kept in a
file of the user's cache, for the processor, the libraries, the threads and the weights.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from quantal.codecs.backends.onnx import thread_count
from quantal.codecs.backends.openvino import (
    ALL_RATES,
    NO_RATE,
    OpenVinoNetworks,
    Precision,
    has_bfloat16,
)
from quantal.codecs.contract import Codec, Pixels
from quantal.codecs.transform import QUARTERS, TransformCodec
from quantal.errors import QuantalError
from quantal.outputs import write_whole

__all__ = ["LOSS", "cache_file", "settle"]

#: What bfloat16 may cost, in dB.
LOSS = 0.02
_RATES = (20, 60, 90, 120, 150, 170, 190, 210, 230, 252)
_SIDE = 256
_REPEATS = 4
#: What may run transforms in float32.
_LIBRARIES = ("onnx", "openvino")
#: Seconds are noisy: only what is clearly faster is kept.
_FASTER = 0.95


def cache_file() -> Path:
    """Return the file that results are kept in.

    Raises:
        RuntimeError: If the user has no folder of their own.
    """
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = stated if stated.is_absolute() else Path("~/.cache").expanduser()
    return folder / "quantal" / "precision.json"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _key(codec: TransformCodec) -> str:
    libraries = [f"{name} {version(name)}" for name in ("openvino", "onnxruntime")]
    return ", ".join(
        [_processor(), f"{thread_count()} threads", *libraries, codec.name, codec.model_hash.hex()]
    )


def _remembered() -> dict[str, Any]:
    try:
        found = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # no file, no JSON, no folder or too deep
        return {}
    return found if isinstance(found, dict) else {}


def _valid(found: Any) -> Precision | None:
    """Return what was remembered, if it can have been written here."""
    try:
        library, until = found["float32"], found["bfloat16_until"]
    except (LookupError, TypeError):
        return None
    number = isinstance(until, (int, float)) and NO_RATE <= until <= ALL_RATES
    return Precision(library, float(until)) if number and library in _LIBRARIES else None


def settle(codec: Codec) -> None:
    """Give a codec of backend "openvino" the precision that suits this machine.

    Codecs without transforms of one rate axis stay in float32.
    """
    if not isinstance(codec, TransformCodec):
        return
    networks = codec.entropy.networks
    if not isinstance(networks, OpenVinoNetworks):
        return
    key, known = _key(codec), _remembered()
    precision = _valid(known.get(key))
    if precision is None:
        precision = _tried(codec, networks)
        # Without a place to keep it, it is found out again.
        with suppress(OSError, RuntimeError, QuantalError):
            path = cache_file()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({**known, key: asdict(precision)}, indent=1).encode())
    networks.precision = precision


def _tried(codec: TransformCodec, networks: OpenVinoNetworks) -> Precision:
    """Return the precision that is fastest and exact enough."""
    generator = np.random.default_rng(0)
    latents = generator.normal(0, 0.05, (codec.entropy.channels, 32, 48)).astype(np.float32)
    ways: dict[str, Callable[[], object]] = {
        "onnx": lambda: networks("synthesis", 0.0, latents),
        "openvino": lambda: networks.by_openvino("synthesis", "float32", latents),
    }
    if has_bfloat16():
        ways["bfloat16"] = lambda: networks.by_openvino("synthesis", "bfloat16", latents)
    seconds = dict.fromkeys(ways, np.inf)
    for _ in range(_REPEATS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    library = "openvino" if seconds["openvino"] < _FASTER * seconds["onnx"] else "onnx"
    best = min(seconds["onnx"], seconds["openvino"])
    until = NO_RATE
    if seconds.get("bfloat16", np.inf) < _FASTER * best:
        until = _exact_until(codec, networks)
    return Precision(library, until)


def _exact_until(codec: TransformCodec, networks: OpenVinoNetworks) -> float:
    """Return the highest position on the rate axis up to which bfloat16 costs at most LOSS."""
    pixels, until = _picture(), NO_RATE
    encoding = codec.encoding(pixels)
    for rate in _RATES:
        latents = codec.read(encoding.at(rate), _SIDE, _SIDE, rate)
        drawn = []
        for bound in (NO_RATE, ALL_RATES):
            networks.precision = Precision(bfloat16_until=bound)
            drawn.append(_psnr(codec.synthesise(latents), pixels))
        networks.precision = Precision()
        if not drawn[0] - drawn[1] <= LOSS:  # nor if it is no number
            break
        until = rate / QUARTERS
    return until


def _psnr(drawn: Pixels, pixels: Pixels) -> float:
    error = np.square(drawn.astype(np.float64) - pixels).mean()
    return float(10 * np.log10(255**2 / error))


def _picture() -> Pixels:
    """Return a picture whose spectrum falls as that of photographs, uint8 [256, 256, 3]."""
    generator = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(_SIDE), np.fft.fftfreq(_SIDE)))
    frequency[0, 0] = np.inf
    spectrum = np.fft.fft2(generator.normal(size=(2, _SIDE, _SIDE))) / frequency**1.2
    grey, hue = np.fft.ifft2(spectrum).real
    grey, hue = (50 * each / each.std() for each in (grey, hue))
    samples = 128 + np.stack((grey + 0.2 * hue, grey, grey - 0.2 * hue), 2)
    return samples.clip(0, 255).astype(np.uint8)
