"""Attributes, encodings and single values as JSON, to the last bit, and back."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantal.errors import ArgumentError, CorruptError

__all__ = ["array_dtype", "encoding_from_json", "encodings", "from_json", "mapping_from_json"]
__all__ += ["mapping_to_json", "to_json"]

#: A time of zero units would end the process: numpy and pandas divide by their number.
_DTYPE = re.compile(
    r"[<>|=]?(?:[biufcSU][1-9]\d{0,5}|[mM]8\[(?:[1-9]\d{0,5})?(?:[YMWDhm]|[munpfa]?s)\])"
)
_NO_TIME = re.compile(r"(?:[mM]8|(?:datetime|timedelta)64)\[0")


def array_dtype(text: object) -> np.dtype[Any]:
    """Return the type of elements that a text names; CorruptError if it names none of ours."""
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise CorruptError(f"type {text!r:.40} found, expected a number, a time or text")
    try:
        return np.dtype(text)
    except TypeError as error:
        raise CorruptError(f"type {text!r:.40} found, which numpy does not know") from error


def to_json(value: Any) -> Any:
    """Return a value as JSON; what JSON lacks becomes an object with one key.

    Raises:
        ArgumentError: It is of a kind that can't be kept.
    """
    if value is None or type(value) in (str, bool, int):
        return value
    if isinstance(value, str):
        return str(value)
    if type(value) is float:
        return value if np.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (list, tuple)):
        items = [to_json(item) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict) and all(type(name) is str for name in value):
        return {"dict": {name: to_json(item) for name, item in value.items()}}
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if isinstance(value, type) and issubclass(value, np.generic):
        return {"dtype": np.dtype(value).str}
    if isinstance(value, bytes):
        return {"bytes": _text(value)}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufcmMSU":
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        array = np.ascontiguousarray(value)
        shape = list(np.shape(value))
        return {kind: [array.dtype.str, shape, _text(array.tobytes())]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OT":
        return {"objects": [list(value.shape), [to_json(item) for item in value.ravel().tolist()]]}
    raise ArgumentError(f"{type(value).__name__} {value!r:.40} can't be kept")


def from_json(value: Any) -> Any:
    """Return what `to_json` was given; CorruptError for anything else."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise CorruptError("a value of the header has no kind, or several")
    ((kind, content),) = value.items()
    try:
        return _READERS[kind](content)
    except CorruptError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CorruptError(f"a value of kind {kind!r:.20} can't be read: {error!r:.60}") from error


def mapping_to_json(values: Mapping[Any, Any], what: str) -> dict[str, Any]:
    """Return attributes as JSON; ArgumentError names one that can't be kept."""
    found = {}
    for name, value in values.items():
        try:
            if not isinstance(name, str):
                raise ArgumentError(f"its name {name!r:.40} is not text")
            found[name] = to_json(value)
        except ArgumentError as error:
            raise ArgumentError(f"attribute {name!r:.40} of {what}: {error}; remove it") from error
    return found


def encodings(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return encodings as JSON, without a file's name and what can't be kept (codecs of Zarr)."""
    found = {}
    for name, value in values.items():
        if isinstance(name, str) and name != "source":
            try:
                found[name] = to_json(value)
            except ArgumentError:
                continue
    return found


def mapping_from_json(values: Any) -> dict[str, Any]:
    """Return attributes or encodings; CorruptError for anything else."""
    if not isinstance(values, dict):
        raise CorruptError(f"{type(values).__name__} found where attributes are expected")
    return {name: from_json(value) for name, value in values.items()}


def encoding_from_json(values: Any) -> dict[str, Any]:
    """Return how a file held a variable; CorruptError also for a type that no file has."""
    found = mapping_from_json(values)
    if _NO_TIME.search(str(found.get("dtype"))):  # a text, which xarray gives to numpy
        raise CorruptError(f"type {found['dtype']!r:.40} found, expected times of whole units")
    return found


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise CorruptError(f"bytes of the header can't be read: {error}") from error


def _array(content: Any) -> NDArray[Any]:
    name, shape, text = content
    dtype, data = array_dtype(name), _bytes(text)
    if any(type(side) is not int or side < 0 for side in shape):
        raise CorruptError("an array of the header has no shape")
    found = np.frombuffer(data, dtype) if data else np.empty(0, dtype)
    return found.reshape(shape).copy()


def _objects(content: Any) -> NDArray[Any]:
    shape, items = content
    if not all(type(side) is int for side in shape):
        raise CorruptError("an array of the header has no shape")
    found = np.empty(len(items), object)
    found[:] = [from_json(item) for item in items]
    return found.reshape(shape)


_READERS: dict[str, Any] = {
    "float": lambda text: {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}[text],
    "tuple": lambda items: tuple(from_json(item) for item in items),
    "dict": lambda items: {name: from_json(item) for name, item in items.items()},
    "dtype": array_dtype,
    "bytes": _bytes,
    "scalar": lambda content: _array(content)[()],
    "array": _array,
    "objects": _objects,
}
