"""Variables of a dataset as what a file stores: whole numbers where the conventions pack them."""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantal.cubes._file import unzipped
from quantal.cubes._levels import Array
from quantal.cubes._require import require
from quantal.cubes._values import array_dtype
from quantal.errors import CorruptError, MediaError, QuantalWarning

__all__ = ["Stored", "decoded", "keep", "kept_array", "stored"]

_PACKING = ("dtype", "scale_factor", "add_offset", "_FillValue", "missing_value", "_Unsigned")


@dataclass(frozen=True)
class Stored:
    """A variable as it is stored.

    Attributes:
        data: its values.
        attrs: its attributes, with those of the conventions if they are to be decoded.
        encoding: as it was given.
        conventions: whether it has to be decoded by them.
    """

    data: Array
    attrs: dict[str, Any]
    encoding: dict[str, Any]
    conventions: bool = False

    @property
    def unit(self) -> float:
        """What 1 in the data stands for."""
        scale = self.attrs.get("scale_factor", 1.0) if self.conventions else 1.0
        return float(scale) or 1.0

    def physical(self) -> Callable[[Array], Array]:
        """Return the function from stored values to those in the variable's units."""
        if not self.conventions:
            return lambda values: values
        attrs = dict(self.attrs)
        return lambda values: np.asarray(decoded(("value",), values.ravel(), attrs, {}).values)


def stored(name: str, variable: Any) -> Stored:
    """Return a variable of xarray as it is stored.

    Times and packed numbers are encoded by the CF conventions, if decoding gives back the very
    same values; of others that a file is to pack, the packing is dropped with a warning.
    """
    data, attrs = np.asarray(variable.values), dict(variable.attrs)
    encoding = dict(variable.encoding)
    if data.dtype.kind in "SU" and not data.dtype.itemsize:  # only empty texts
        data = data.astype(f"{data.dtype.kind}1")
    packed = data.dtype.kind == "f" and np.dtype(encoding.get("dtype", "O")).kind in "iu"
    calendar = data.dtype.kind == "O" and bool(data.size) and hasattr(data.flat[0], "calendar")
    if packed or calendar:
        found = _encoded(name, variable)
        if found is not None:
            return found
    if packed:
        warnings.warn(
            f"the values of variable {name!r:.60} are not those that its packing as "
            f"{np.dtype(encoding['dtype'])} can hold; they are kept as {data.dtype}, unpacked",
            QuantalWarning,
            stacklevel=2,
        )
        encoding = {key: value for key, value in encoding.items() if key not in _PACKING}
    return Stored(data, attrs, encoding)


def decoded(dims: tuple[str, ...], data: Array, attrs: dict[str, Any], encoding: Any) -> Any:
    """Return a variable of xarray, decoded by the CF conventions."""
    xarray = require("xarray")
    variable = xarray.Variable(dims, data, attrs, encoding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about values that don't follow the conventions
        found = xarray.conventions.decode_cf_variable("variable", variable)
        return found.load()


def _encoded(name: str, variable: Any) -> Stored | None:
    """Return what the conventions make of a variable; None if it doesn't come back the same."""
    xarray = require("xarray")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = xarray.conventions.encode_cf_variable(variable, name=name)
            data = np.asarray(found.values)
            again = decoded(tuple(map(str, variable.dims)), data, dict(found.attrs), {})
    except (ValueError, TypeError, OverflowError, KeyError, AttributeError):
        return None
    given, back = np.asarray(variable.values), np.asarray(again.values)
    if data.dtype.kind not in "iuf" or given.dtype != back.dtype:
        return None
    equal = np.array_equal(given, back, equal_nan=given.dtype.kind == "f")
    return Stored(data, dict(found.attrs), dict(variable.encoding), True) if equal else None


def keep(name: str, data: Array) -> tuple[str, bytes, int]:
    """Pack values that are not coded over time.

    Returns:
        Form, bytes, and their number before packing.

    Raises:
        MediaError: They are objects other than texts.
    """
    if data.dtype.kind in "biufcmMSU":
        content, form = np.ascontiguousarray(data).tobytes(), "raw"
    else:
        items = [_text(name, item) for item in data.ravel().tolist()]
        content, form = json.dumps(items).encode(), "text"
    return form, zlib.compress(_shuffled(content, data, form), 9), len(content)


def kept_array(form: str, packed: bytes, size: int, dtype: str, shape: tuple[int, ...]) -> Array:
    """Return the values of `keep`.

    Raises:
        CorruptError: They are not those of such an array.
    """
    content = unzipped(packed, size, "a variable")
    if form == "raw":
        kind = array_dtype(dtype)
        if not content:
            return np.zeros(shape, kind)
        lanes = np.frombuffer(content, np.uint8).reshape(kind.itemsize, -1)
        return np.frombuffer(lanes.T.tobytes(), kind).reshape(shape).copy()
    try:
        items = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"texts of a variable can't be read: {error!r:.60}") from error
    known = isinstance(items, list) and all(item is None or type(item) is str for item in items)
    if not known or len(items) != int(np.prod(shape, dtype=object)):
        raise CorruptError("texts of a variable are other or of another number than expected")
    found = np.empty(len(items), object)
    found[:] = [np.nan if item is None else item for item in items]
    return found.reshape(shape)


def _shuffled(content: bytes, data: Array, form: str) -> bytes:
    """Bytes of the same weight side by side, which zlib packs better."""
    if form != "raw" or not content:
        return content
    return np.frombuffer(content, np.uint8).reshape(-1, data.dtype.itemsize).T.tobytes()


def _text(name: str, item: object) -> str | None:
    if isinstance(item, str):
        return str(item)
    if item is None or (isinstance(item, float) and item != item):
        return None
    raise MediaError(
        f"variable {name!r:.60} holds {type(item).__name__} objects, which can't be kept; turn "
        "them into numbers, times or texts"
    )
