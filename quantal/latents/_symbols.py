"""Symbols that come from a shard, and the codec that takes them: neither need fit the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quantal.codecs.contract import Codec
from quantal.codecs.registry import load_version
from quantal.errors import ArgumentError, CorruptError, ModelError, QuantalError
from quantal.files.matching import describe_work
from quantal.memory import memory_errors

__all__ = ["damaged_symbols", "fitting_codec"]


@contextmanager
def damaged_symbols(width: int, height: int) -> Iterator[None]:
    """Convert what a codec raises on symbols that are not those of a picture to CorruptError.

    Codecs trust their symbols, since parse() checks them; those of a shard come from anywhere.

    Args:
        width: picture width, in pixels.
        height: picture height, in pixels.
    """
    try:
        with memory_errors(f"reading {describe_work(width, height)}"):
            yield
    except Exception as error:
        if isinstance(error, QuantalError) and not isinstance(error, ArgumentError):
            raise
        raise CorruptError(
            f"its symbols are not those of a picture of {width}x{height}: {error}; pack it again"
        ) from error


def fitting_codec(name: str, model_hash: bytes, where: str, codec: Codec | None = None) -> Codec:
    """Return the codec that parsed symbols, on the CPU.

    Args:
        name: its name, as it is stored beside the symbols.
        model_hash: its hash, likewise.
        where: the file of the symbols, for errors.
        codec: the caller's choice, which is checked; default: the one of this name.

    Raises:
        ModelError: It isn't here, or has other weights.
    """
    if codec is None:
        codec = load_version(name, model_hash, "cpu")
    if (codec.name, codec.model_hash) != (name, model_hash):
        raise ModelError(
            f"{where} needs the model {model_hash.hex()} of codec {name!r}, but the "
            f"loaded one is {codec.model_hash.hex()} of {codec.name!r}; keep the weights that "
            "wrote its files in the folder QUANTAL_WEIGHTS, or name them",
            code="weights",
        )
    return codec
