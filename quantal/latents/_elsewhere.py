"""Latents in other people's pipelines: streams of tars, webdataset, tables of Hugging Face."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import IO, Any

from quantal.arguments import flag
from quantal.codecs.contract import Codec, Latents
from quantal.errors import ArgumentError, CorruptError, MediaError, QuantalError
from quantal.latents._failures import named
from quantal.latents._read import Symbols, read_each
from quantal.names import shown

__all__ = ["Decoder", "tar_samples"]

#: Of a file that names a class, no more is read: a compressed tar may hold any number of zeros.
_LABEL_BYTES = 64


class Decoder:
    """Decodes .qtl files in the pipeline of webdataset: `WebDataset(url).decode(Decoder())`.

    It can also be called with the bytes of a file alone, and sent to other processes.

    Args:
        symbols_only: whether to return Symbols, else Latents.
        codec: default: the ones that the files name, with the weights that ship.
    """

    def __init__(self, symbols_only: bool = False, codec: Codec | None = None) -> None:
        self._symbols_only = flag("symbols_only", symbols_only)
        self._codec = codec

    def __call__(
        self, key: str | bytes | bytearray | memoryview, data: bytes | None = None
    ) -> Latents | Symbols | None:
        """Return what is in a file; None if the key, its suffix, is not that of one.

        Args:
            key: suffix of the file's name; or the bytes of the file, if they are all that is given.
            data: the bytes of the file.

        Raises:
            BitstreamError, ModelError: The file can't be read.
            ArgumentError: There are no bytes.
        """
        if not isinstance(key, str):
            return self._read(bytes(key))
        if data is None:
            raise ArgumentError(f"a text ({key!r:.40}) without the bytes of a file: give these too")
        return self._read(data) if f".{key}".endswith(".qtl") else None

    def _read(self, data: bytes) -> Latents | Symbols:
        def failed(_: int, error: QuantalError) -> None:
            raise error

        found = read_each([data], self._symbols_only, failed, "cpu", self._codec)[0]
        if found is None:
            raise CorruptError("the file holds no latents")
        return found


def tar_samples(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    symbols_only: bool = False,
    codec: Codec | None = None,
) -> Iterator[tuple[str, Latents | Symbols, str]]:
    """Yield name, latents and class of the .qtl files of a tar, compressed or from a pipe.

    The tar is as webdataset writes it: KEY.cls is the class of KEY.qtl and stands next to it. No
    more is read than is asked for.

    Args:
        source: path of the tar, or the open file.
        symbols_only: whether to yield Symbols, else Latents.
        codec: default: the ones that the files name, with the weights that ship.

    Raises:
        CorruptError: The tar is cut or damaged, or a file in it is; the message has its name.
        MediaError: The tar can't be read.
    """
    decoder = Decoder(symbols_only, codec)
    path = isinstance(source, (str, os.PathLike))
    if not path and not callable(getattr(source, "read", None)):
        raise ArgumentError(
            f"{type(source).__name__} is not a tar: give its path, or the file open in binary mode"
        )
    where = shown(os.fspath(source)) if path else "the tar"  # type: ignore[arg-type]
    place: dict[str, Any] = {"name": source} if path else {"fileobj": source}
    try:
        with tarfile.open(mode="r|*", **place) as tar:
            key, data, label = "", None, ""
            for member in tar:
                base, suffix = os.path.splitext(member.name)
                if not member.isreg() or suffix not in (".qtl", ".cls"):
                    continue
                if base != key:
                    if data is not None:
                        yield _decoded(decoder, key, data, label)
                    key, data, label = base, None, ""
                file = tar.extractfile(member)
                if file is not None and suffix == ".qtl":
                    data = file.read()
                elif file is not None:
                    label = file.read(_LABEL_BYTES).decode("utf-8", "replace").strip()
            if data is not None:
                yield _decoded(decoder, key, data, label)
    except (tarfile.TarError, EOFError) as error:
        raise CorruptError(f"{where} is cut or damaged: {error}; fetch it again") from error
    except QuantalError:
        raise
    except OSError as error:
        raise MediaError(f"{where} can't be read: {error.strerror or error}") from error


def _decoded(
    decoder: Decoder, key: str, data: bytes, label: str
) -> tuple[str, Latents | Symbols, str]:
    name = f"{key}.qtl"
    try:
        found = decoder(data)
    except QuantalError as error:
        raise named(name, error) from error
    if found is None:
        raise CorruptError(f"{name} holds no latents")
    return name, found, label
