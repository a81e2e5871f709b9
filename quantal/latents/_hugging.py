"""A feature of Hugging Face's `datasets` whose values are .qtl files."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from quantal.codecs.contract import Latents
from quantal.errors import ArgumentError, MediaError
from quantal.latents._elsewhere import Decoder
from quantal.latents._failures import named, read_file
from quantal.latents._read import Symbols

try:
    import pyarrow
    from datasets.features import features
    from datasets.table import array_cast
except ImportError as error:
    raise ArgumentError(
        f"features need the package datasets, which can't be imported: {error}; install it with "
        "`pip install datasets`"
    ) from error

__all__ = ["LatentsFeature"]


@dataclass
class LatentsFeature:
    """The type of a column of .qtl files: `table.cast_column("qtl", LatentsFeature())`.

    Values are given as bytes, as paths, or as {"bytes": ..., "path": ...}; a row then has Latents.

    Attributes:
        decode: whether rows have what is in the files, else {"bytes": ..., "path": ...}.
        symbols_only: whether rows have Symbols, else Latents.
    """

    decode: bool = True
    symbols_only: bool = False
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "dict"
    pa_type: ClassVar[Any] = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    _type: str = field(default="LatentsFeature", init=False, repr=False)

    def __call__(self) -> Any:
        return self.pa_type

    def encode_example(self, value: Any) -> dict[str, Any]:
        """Return a value as it is stored."""
        if isinstance(value, dict):
            return {"bytes": value.get("bytes"), "path": value.get("path")}
        if isinstance(value, (str, os.PathLike)):
            return {"bytes": None, "path": os.fspath(value)}
        if isinstance(value, (bytes, bytearray, memoryview)):
            return {"bytes": bytes(value), "path": None}
        raise ArgumentError(
            f"{type(value).__name__} is not a .qtl file: give its bytes or its path"
        )

    def decode_example(
        self, value: dict[str, Any], token_per_repo_id: Any = None
    ) -> Latents | Symbols | None:
        """Return what is in a file."""
        data = value.get("bytes")
        if data is None:
            path = value.get("path")
            if not path:
                raise MediaError("a row holds neither the bytes nor the path of a .qtl file")
            try:
                data = read_file(Path(path))
            except MediaError as error:
                raise named(path, error) from error
        return Decoder(self.symbols_only)(data)

    def cast_storage(self, storage: Any) -> Any:
        """Return a column of bytes, paths or both in the type of this feature."""
        nothing = pyarrow.nulls(len(storage))
        if pyarrow.types.is_string(storage.type):
            parts = [nothing.cast(pyarrow.binary()), storage]
        elif pyarrow.types.is_struct(storage.type):
            names = [entry.name for entry in storage.type]
            parts = [
                storage.field(name) if name in names else nothing.cast(kind)
                for name, kind in (("bytes", pyarrow.binary()), ("path", pyarrow.string()))
            ]
        else:
            parts = [storage.cast(pyarrow.binary()), nothing.cast(pyarrow.string())]
        joined = pyarrow.StructArray.from_arrays(parts, ["bytes", "path"], mask=storage.is_null())
        return array_cast(joined, self.pa_type)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that registering is experimental
    features.register_feature(LatentsFeature, "LatentsFeature")
