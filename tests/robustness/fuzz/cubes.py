"""Damaged data cubes: a dataset or an error of ours must come of each."""

from __future__ import annotations

import copy
import json
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray

from quantal import cubes
from quantal.cubes import _file
from quantal.errors import QuantalError
from tests.little_video import LittleVideo

from .limits import SECONDS, Fault
from .mutations import GENERAL, Mutation, Random

__all__ = ["cases", "outcome", "sample_cubes"]

CODEC = LittleVideo()
_FIXED = 9  # bytes before the header


def sample_cubes() -> list[bytes]:
    """Small files of every codec, with masks, texts, times, packed numbers and one value."""
    rng = np.random.default_rng(1)
    values = rng.normal(280, 9, (6, 20, 24)).astype(np.float32)
    holes = values.copy()
    holes[:, 3:9, 5:] = np.nan
    packed = xarray.Variable(
        ("time", "y", "x"),
        np.where(np.isnan(holes), np.nan, np.rint(holes.astype(float)) * 0.5),
        encoding={"dtype": "int16", "scale_factor": 0.5, "_FillValue": -1},
    )
    dataset = xarray.Dataset(
        {
            "t": (("time", "y", "x"), values),
            "holes": (("time", "y", "x"), holes),
            "packed": packed,
            "counts": (("time", "y", "x"), rng.integers(0, 99, (6, 20, 24), np.int32)),
            "names": (("y",), np.array([f"n{n}" for n in range(20)], object)),
        },
        {"time": np.arange("2020-01-01", "2020-01-07", dtype="M8[D]").astype("M8[ns]")},
        {"title": "cube", "list": np.arange(3), "nan": np.nan},
    )
    files = [cubes.compress(dataset), cubes.compress(dataset, max_error=0.3)]
    files.append(cubes.compress(dataset, codec="x265", quality=50, bits=8))
    files.append(cubes.compress(dataset, codec=CODEC, quality=50))
    one = xarray.Dataset({"v": (("time", "y", "x"), np.ones((1, 1, 1)))})
    return [*files, cubes.compress(one)]


def _taken_apart(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    sections = _file.unpack(data)
    contents = [sections.data[start : start + size] for start, size in sections.places]
    return copy.deepcopy(sections.header), contents


def repaired(data: bytes) -> bytes:
    """The same file with right checksums, if its header can still be read."""
    length = int.from_bytes(data[5:9], "little")
    start = _FIXED + length
    if start + 4 > len(data):
        return data
    fixed = bytearray(data)
    seed = zlib.crc32(fixed[:start])
    fixed[start : start + 4] = seed.to_bytes(4, "little")
    try:
        sections = _file.unpack(bytes(fixed))
    except QuantalError:
        return bytes(fixed)
    for index, (place, size) in enumerate(sections.places):
        checksum = _file._section_checksum(bytes(fixed[place : place + size]), index, seed)
        fixed[place + size : place + size + 4] = checksum.to_bytes(4, "little")
    return bytes(fixed)


def edit_header(rng: Random, data: bytes, _: Sequence[bytes] = ()) -> bytes:
    """Another value at some place of the header, in a file that is well-formed."""
    header, contents = _taken_apart(data)
    header.pop("sections", None)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places: list[tuple[Any, Any]] = []
        _walk(header, places)
        owner, key = rng.choice(places)
        old = owner[key]
        values: list[Any] = [None, True, 0, 1, -1, 7, 255, 1 << 20, 1 << 39, 1e300, "", "x265"]
        values += ["ffv1", "<f8", "<M8[ns]", "<U99999", [], {}, "days since 1-1-1", "scale_factor"]
        if isinstance(old, int):
            values += [old + 1, old - 1, old * 2, old // 2] * 3
        owner[key] = rng.choice(values)
    return _file.pack(header, contents)


def _walk(value: Any, places: list[tuple[Any, Any]]) -> None:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        places.append((value, key))
        if isinstance(value[key], (dict, list)):
            _walk(value[key], places)


def edit_section(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Another content of some section, in a file that is well-formed."""
    header, contents = _taken_apart(data)
    header.pop("sections", None)
    place = rng.randrange(len(contents))
    _, foreign = _taken_apart(rng.choice(others))
    if contents[place]:
        mutate = rng.choice(GENERAL)
        contents[place] = mutate(rng, contents[place], foreign)
    if rng.random() < 0.2:
        contents[place] = rng.choice(foreign)
    return _file.pack(header, contents)


MUTATIONS: tuple[Mutation, ...] = (*GENERAL, edit_header, edit_header, edit_section, edit_section)


def outcome(data: bytes) -> str:
    """Read a file in every way: "cube", or the name of the error of ours; Fault for all else."""
    started = time.process_time()
    try:
        info = cubes.probe(data)
        json.dumps([vars(band) for each in info.variables for band in each.bands])
        found = cubes.decompress(data, device="cpu", codec=CODEC)
        cubes.verify(data, codec=CODEC)
        result = "cube"
        if dict(found.sizes) != {d: info.dims[str(d)] for d in found.sizes}:
            raise Fault(f"{dict(found.sizes)} for a header of {info.dims}")
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
        for mutate in rng.choices(MUTATIONS, k=rng.choice((1, 1, 1, 2))):
            try:
                data = mutate(rng, data, files)
            except (QuantalError, ValueError, LookupError, TypeError, AttributeError):
                break  # too damaged already for this one
            done.append(mutate.__name__)
        if rng.random() < 0.5:
            data = repaired(data)
            done.append("repaired")
        yield " + ".join(done), data
