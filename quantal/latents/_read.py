"""Latents of one file, and of many at once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal import container
from quantal.arguments import choice, flag
from quantal.codecs.contract import Codec, Latents
from quantal.errors import ArgumentError, BitstreamError, QuantalError, QuantalWarning
from quantal.files.decode import read_latents
from quantal.files.matching import codec_for, coded_part, describe_work
from quantal.latents._failures import named
from quantal.memory import memory_errors
from quantal.names import shown
from quantal.sources import Source, read_source

__all__ = ["Symbols", "read", "read_each", "read_many"]


@dataclass(frozen=True, eq=False)
class Symbols:
    """The symbols of a picture; what no floating-point network has touched.

    Attributes:
        codec: name of the codec.
        model_hash: hash of the codec's model, 4 bytes.
        width: picture width, in pixels.
        height: picture height, in pixels.
        rate: 0..252.
        symbols: every coded symbol in coding order, integer arrays, equal on all machines.
    """

    codec: str
    model_hash: bytes
    width: int
    height: int
    rate: int
    symbols: list[npt.NDArray[np.integer[Any]]]


def read(data: Source, *, device: str = "auto", codec: Codec | None = None) -> Latents:
    """Return the latents of a .qtl file as arrays; no synthesis is run.

    Args:
        data: the bytes of the file in any buffer, its path, or the file open in binary mode.
        device: "auto", "cpu" or "cuda".
        codec: default: the one that the file names, with the weights that ship.

    Raises:
        BitstreamError: If the file is damaged.
        ModelError: If its codec isn't here.
    """
    return read_latents(read_source(data), device=device, codec=codec)


def read_many(
    sources: Iterable[Source],
    *,
    symbols_only: bool = False,
    on_error: str = "raise",
    device: str = "auto",
    codec: Codec | None = None,
) -> list[Latents | Symbols | None]:
    """Return the latents of many .qtl files, in their order.

    Files of one codec, size and rate are read together.

    Args:
        sources: a list of files, each as read() takes it.
        symbols_only: whether to return Symbols, for which no floating-point network is run.
        on_error: "raise" the first error, which names its file, or "skip": a QuantalWarning names
            the file, and None is in its place.
        device: "auto", "cpu" or "cuda".
        codec: default: the ones that the files name, with the weights that ship.

    Raises:
        BitstreamError, ModelError, MediaError: See read(); with `on_error="raise"`.
        ArgumentError: An argument is impossible, also with `on_error="skip"`.
    """
    if isinstance(sources, (str, bytes, bytearray, memoryview, os.PathLike)):
        raise ArgumentError(
            f"a single file ({type(sources).__name__}) found, expected a list of files; give it to "
            "read(), or put it in a list"
        )
    skip = choice("on_error", on_error, ("raise", "skip")) == "skip"
    symbols_only = flag("symbols_only", symbols_only)
    given = [(_name(source, number), source) for number, source in enumerate(sources)]

    def failed(number: int, error: QuantalError) -> None:
        name = given[number][0]
        # An impossible argument is not a damaged file: it would cost all of them.
        if not skip or isinstance(error, ArgumentError):
            raise named(name, error) from error
        warnings.warn(f"{name} is left out: {error}", QuantalWarning, stacklevel=4)

    return read_each([source for _, source in given], symbols_only, failed, device, codec)


def read_each(
    sources: Sequence[Source],
    symbols_only: bool,
    failed: Callable[[int, QuantalError], None],
    device: str = "auto",
    codec: Codec | None = None,
) -> list[Latents | Symbols | None]:
    """Return the latents of many files; see read_many().

    Args:
        sources: the files.
        symbols_only: see read_many().
        failed: called with the number of a file that can't be read, for which None is returned.
        device: see read_many().
        codec: see read_many().
    """
    groups: dict[tuple[str, bytes, int, int, int], list[tuple[int, bytes]]] = {}
    codecs: dict[tuple[str, bytes, int, int, int], Codec] = {}
    found: dict[int, Latents | Symbols] = {}
    for number, source in enumerate(sources):
        try:
            file = container.read(read_source(source))
            fitting = codec_for(file, device, codec)
            payload, width, height, rate = coded_part(file)
        except QuantalError as error:
            failed(number, error)
            continue
        key = (fitting.name, fitting.model_hash, width, height, rate)
        codecs[key] = fitting
        groups.setdefault(key, []).append((number, payload))
    for key, members in groups.items():
        _, _, width, height, rate = key
        payloads = [payload for _, payload in members]
        results = _read_group(codecs[key], payloads, width, height, rate, symbols_only)
        for (number, _), result in zip(members, results, strict=True):
            if isinstance(result, QuantalError):
                failed(number, result)
            else:
                found[number] = result
    return [found.get(number) for number in range(len(sources))]


def _read_group(
    codec: Codec, payloads: Sequence[bytes], width: int, height: int, rate: int, symbols_only: bool
) -> Sequence[Latents | Symbols | BitstreamError]:
    """Read image parts of one codec, size and rate."""
    what = f"reading {len(payloads)} times {describe_work(width, height)}"
    with memory_errors(what if len(payloads) > 1 else f"reading {describe_work(width, height)}"):
        if not symbols_only:
            return codec.read_many(payloads, width, height, rate)
        parsed = codec.parse_many(payloads, width, height, rate)
    about = (codec.name, codec.model_hash, width, height, rate)
    return [p if isinstance(p, BitstreamError) else Symbols(*about, [*p]) for p in parsed]


def _name(source: Source, number: int) -> str:
    path = isinstance(source, (str, os.PathLike))
    return shown(os.fspath(source)) if path else f"file {number}"  # type: ignore[arg-type]
