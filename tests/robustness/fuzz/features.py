"""Damaged files of features: tensors or an error of ours must come of each."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Iterator, Sequence
from functools import cache

import torch

from quantal import container
from quantal.errors import QuantalError
from quantal.latents import features

from .limits import SECONDS, Fault
from .mutations import GENERAL, Random

__all__ = ["cases", "outcome", "sample_features"]

#: Channels of the samples, and values that a byte can claim (docs/how-to/features.md).
_CHANNELS, _CLAIM = 12, 713


def _maps(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@cache
def known() -> tuple[features.Basis, features.Codebook]:
    """A basis and a codebook of a few maps."""
    samples = [_maps(seed, _CHANNELS, 7, 9) for seed in range(6)]
    return features.Basis.fit(samples), features.Codebook.fit(samples, 6)


def sample_features() -> list[bytes]:
    """Small files of every codec, type and number of dimensions."""
    maps = _maps(9, _CHANNELS, 7, 9)
    several = [maps, maps.half(), maps.bfloat16().relu(), torch.tensor(2.5), torch.zeros(0, 3)]
    integers = [torch.arange(-4, 9, dtype=kind) for kind in (torch.int8, torch.int64)]
    basis, codebook = known()
    return [
        features.encode(maps, max_error=0.2, layer="layer", network=b"1234"),
        features.encode(several, max_error=0.5),
        features.encode(integers),
        features.encode(_maps(3, 2, 1, 2, 3, 2, 2), bits=16),
        features.encode(maps, basis=basis, rate=20),
        features.encode([maps, maps[:, :3]], basis=basis, rate=5),
        features.encode(maps, basis=codebook),
    ]


def repaired(data: bytes) -> bytes:
    """The same file with the right checksum."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def outcome(data: bytes) -> str:
    """Read a file: "features", or the name of the error of ours; Fault for all else."""
    started = time.process_time()
    try:
        header = container.probe_features(data).header
        basis, codebook = known()
        own = {"feature-basis": basis, "feature-tokens": codebook}.get(header.codec)
        found = features.decode(data, basis=own)
        reason = features.verify(data, basis=own)
        result = "features"
        tensors = found if isinstance(found, list) else [found]
        shapes = [tuple(each.shape) for each in tensors]
        if reason is not None or shapes != [each.shape for each in header.tensors]:
            raise Fault(f"{shapes} for a header of {header.tensors}, {reason}")
        if sum(map(math.prod, shapes)) > _CLAIM * _CHANNELS * (len(data) + 8):
            raise Fault(f"{len(data)} bytes gave {shapes}")
    except QuantalError as error:
        result = type(error).__name__
    except Fault:
        raise
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error
    seconds = time.process_time() - started
    if seconds > 2 * SECONDS:
        raise Fault(f"{seconds:.1f} s of processor time")
    return result


def cases(seed: int, files: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Endless (what was done, damaged file)."""
    rng = Random(seed)
    while True:
        data, done = rng.choice(files), []
        for mutate in rng.choices(GENERAL, k=rng.choice((1, 1, 1, 2))):
            if data:
                data = mutate(rng, data, files)
                done.append(mutate.__name__)
        if rng.random() < 0.7:
            data = repaired(data)
            done.append("repaired")
        yield " + ".join(done), data
