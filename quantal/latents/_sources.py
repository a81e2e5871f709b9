"""Where a data set's pictures come from: files of folders and tars, and rows of tables."""

from __future__ import annotations

import operator
import os
import re
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantal import container
from quantal.codecs.contract import Codec, Latents
from quantal.errors import ArgumentError, CorruptError, MediaError, QuantalError
from quantal.latents._failures import named, read_file
from quantal.latents._read import Symbols, read_each
from quantal.names import shown

__all__ = ["Failing", "Files", "Model", "Read", "Rows", "Source", "Tar"]

#: Called with the place of a picture among those asked for, and the error.
Failing = Callable[[int, QuantalError], None]
Read = list[Latents | Symbols | None]

#: A class as a number in a tar: what int64 holds, and nothing else that int() takes.
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True)
class Model:
    """The model that some pictures were coded with.

    Attributes:
        codec: name of the codec.
        hash: its 4 bytes.
        where: name of a file that says so.
    """

    codec: str
    hash: bytes
    where: str


class Source(ABC):
    """Pictures by number.

    A source can be sent to other processes and used after a fork: files are opened on demand.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """Return the name of a picture, with "/"."""

    def label(self, index: int) -> int | str:
        """Return the class of a picture: a number, or the name of its folder."""
        # pathlib takes seconds for the names of a million pictures.
        return self.name(index).rpartition("/")[0].rpartition("/")[2]

    @abstractmethod
    def models(self) -> Iterator[Model]:
        """Yield the models that are known without opening a file for each picture."""

    @abstractmethod
    def size(self, index: int) -> tuple[int, int]:
        """Return width and height in pixels."""

    @abstractmethod
    def read(
        self, indices: Sequence[int], symbols_only: bool, failed: Failing, codec: Codec | None
    ) -> Read:
        """Return the latents or symbols of pictures; None for each that failed.

        Args:
            indices: numbers of the pictures.
            symbols_only: whether to return symbols, else latents.
            failed: called for each that can't be read.
            codec: default: the ones that the pictures name.
        """


class _Coded(Source):
    """Pictures that are .qtl files somewhere."""

    @abstractmethod
    def data(self, index: int, count: int | None = None) -> bytes:
        """Return the bytes of a file, or its first ones."""

    def _header(self, index: int) -> container.Header:
        try:
            return container.probe(self.data(index, container.HEADER_LIMIT), cut=True).header
        except QuantalError as error:
            raise named(self.name(index), error) from error

    def size(self, index: int) -> tuple[int, int]:
        header = self._header(index)
        return header.width, header.height

    def models(self) -> Iterator[Model]:
        """Yield the model of the first picture, if it can be read; reading names others."""
        with suppress(QuantalError):  # reading the picture raises it again
            header = self._header(0)
            yield Model(header.codec, header.model_hash, self.name(0))

    def read(
        self, indices: Sequence[int], symbols_only: bool, failed: Failing, codec: Codec | None
    ) -> Read:
        places: list[int] = []
        found: list[bytes] = []
        for place, index in enumerate(indices):
            try:
                found.append(self.data(index))
                places.append(place)
            except QuantalError as error:
                failed(place, error)
        results: Read = [None] * len(indices)
        each = read_each(
            found, symbols_only, lambda at, error: failed(places[at], error), "cpu", codec
        )
        for place, result in zip(places, each, strict=True):
            results[place] = result
        return results


class Files(_Coded):
    """The files of a folder.

    Args:
        files: name and path of each file.
    """

    def __init__(self, files: Sequence[tuple[str, Path]]) -> None:
        self._files = list(files)

    def __len__(self) -> int:
        return len(self._files)

    def name(self, index: int) -> str:
        return self._files[index][0]

    def data(self, index: int, count: int | None = None) -> bytes:
        return read_file(self._files[index][1], -1 if count is None else count)


class Tar(_Coded):
    """The .qtl files of a tar as webdataset writes it: KEY.qtl beside KEY.cls, its class.

    Args:
        path: path of the tar, which is not compressed: its files are read where they are.

    Raises:
        MediaError: It can't be read, or holds no .qtl files.
        CorruptError: It is cut or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: list[tuple[str, int, int]] = []
        labels: dict[str, str] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    if not member.isreg():
                        continue
                    key, suffix = os.path.splitext(member.name)
                    if suffix == ".qtl":
                        self._files.append((member.name, member.offset_data, member.size))
                    elif suffix == ".cls":
                        file = tar.extractfile(member)
                        text = b"" if file is None else file.read(64)
                        labels[key] = text.decode("utf-8", "replace").strip()
        except tarfile.TarError as error:
            raise CorruptError(
                f"{shown(path)} is not a tar that can be read in place: {error}; unpack it, or "
                "read it as a stream with tar_samples()"
            ) from error
        except OSError as error:
            raise MediaError(f"{shown(path)} can't be read: {error.strerror or error}") from error
        end = path.stat().st_size
        for name, offset, size in self._files:
            if offset + size > end:
                raise CorruptError(f"{shown(path)} ends inside {name}; it was cut, fetch it again")
        if not self._files:
            raise MediaError(f"{shown(path)} holds no .qtl files")
        self._labels = [labels.get(os.path.splitext(name)[0]) for name, _, _ in self._files]

    def __len__(self) -> int:
        return len(self._files)

    def name(self, index: int) -> str:
        return self._files[index][0]

    def label(self, index: int) -> int | str:
        text = self._labels[index]
        if text is None:
            return super().label(index)
        return int(text) if _NUMBER.fullmatch(text) else text

    def data(self, index: int, count: int | None = None) -> bytes:
        _, offset, size = self._files[index]
        try:
            with open(self._path, "rb") as file:
                file.seek(offset)
                return file.read(size if count is None else min(count, size))
        except OSError as error:
            raise MediaError(f"{shown(self._path)} can't be read: {error.strerror}") from error


class Rows(_Coded):
    """The rows of a table, such as a data set of Hugging Face's `datasets`.

    Args:
        rows: has a length, and rows by number; a row maps columns to values.
        column: column of the .qtl files: bytes, or {"bytes": ..., "path": ...}.
        label: column of the classes; default: "label", if there is such a column.

    Raises:
        ArgumentError: There are no such rows or columns.
    """

    def __init__(self, rows: Any, column: str, label: str | None) -> None:
        self._rows, self._column = rows, column
        columns: Any = ()
        try:
            if len(rows):
                columns = list(rows[0].keys())
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise ArgumentError(
                f"{type(rows).__name__} has no row 0 that maps columns to values; give a list of "
                "dicts, or one split of a data set"
            ) from error
        for each in (column, label):
            if columns and each is not None and each not in columns:
                raise ArgumentError(
                    f"the rows have no column {each!r}; there are {', '.join(map(str, columns))}"
                )
        self._label = "label" if label is None and "label" in columns else label
        # Labels alone: a data set of `datasets` would decode the files beside them too.
        select = getattr(rows, "select_columns", None)
        self._labels = select([self._label]) if callable(select) and self._label else rows

    def __len__(self) -> int:
        return len(self._rows)

    def name(self, index: int) -> str:
        value = self._value(index)
        path = value.get("path") if isinstance(value, dict) else None
        return str(path or f"row {index}")

    def label(self, index: int) -> int | str:
        value = None if self._label is None else self._labels[index].get(self._label)
        if value is None:
            return super().label(index)
        if isinstance(value, str):
            return value
        try:
            return operator.index(value)  # numpy's and torch's whole numbers too
        except TypeError:
            raise ArgumentError(
                f"row {index} has the label {value!r:.40}, expected a whole number or a text"
            ) from None

    def _value(self, index: int) -> Any:
        return self._rows[index].get(self._column)

    def data(self, index: int, count: int | None = None) -> bytes:
        value = self._value(index)
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None and isinstance(value, dict) and value.get("path"):
            return Files([("", Path(value["path"]))]).data(0, count)
        if data is None:
            raise MediaError(f"row {index} holds no .qtl file in column {self._column!r}")
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ArgumentError(
                f"row {index} holds {type(data).__name__} in column {self._column!r}, expected the "
                "bytes of a .qtl file, undecoded"
            )
        return bytes(data)[:count]
