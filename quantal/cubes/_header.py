"""What the header of a .qcube file says, every field checked: variables, bands, streams."""

from __future__ import annotations

import math
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from quantal.cubes._file import Sections
from quantal.cubes._levels import Bits, Levels, Linear
from quantal.cubes._streams import BITS
from quantal.cubes._values import (
    array_dtype,
    encoding_from_json,
    from_json,
    mapping_from_json,
    to_json,
)
from quantal.errors import CorruptError

__all__ = ["Band", "Header", "Kept", "Missing", "Stream", "Variable", "parse_header"]
__all__ += ["header_to_json"]

Kind = TypeVar("Kind")

_CODEC = re.compile(r"[a-z0-9._-]{1,23}")
_MOST = 1 << 40  # values of a variable
_FORMS = ("raw", "text")


@dataclass(frozen=True)
class Stream:
    """A plane of levels in a section.

    Attributes:
        codec: "ffv1", "x265", or the name of a codec of clips.
        section: its place.
        after: whether levels are differences from the frame before, modulo 2^16 (ffv1).
        bits: of a level (x265).
        model_hash: of the codec of clips.
        rate: 0..252, of a codec of clips.
        channel: 0..2 of its frames.
    """

    codec: str
    section: int
    after: bool = False
    bits: int = 0
    model_hash: str = ""
    rate: int = 0
    channel: int = 0

    @property
    def learned(self) -> bool:
        """Whether a codec of clips made it."""
        return self.codec not in ("ffv1", "x265")


@dataclass(frozen=True)
class Missing:
    """Values that are missing.

    Attributes:
        value: what stands for them: NaN, or a number.
        section: of their mask.
    """

    value: Any
    section: int


@dataclass(frozen=True)
class Band:
    """What two dimensions and time hold at one place of the other dimensions.

    Attributes:
        levels: how values become levels.
        streams: the planes, highest first.
        missing: masks.
        bound: the largest error that was asked for; None if none was.
        max_error: the largest error that there is, in the variable's units.
        psnr: in dB, of the range of the values; None if there is no error.
    """

    levels: Levels
    streams: tuple[Stream, ...]
    missing: tuple[Missing, ...]
    bound: float | None
    max_error: float
    psnr: float | None


@dataclass(frozen=True)
class Kept:
    """A variable that is not coded over time.

    Attributes:
        form: "raw": bytes packed by zlib; "text": a JSON list packed by zlib.
        section: its place.
        size: of the bytes before they were packed.
    """

    form: str
    section: int
    size: int


@dataclass(frozen=True)
class Variable:
    """A variable.

    Attributes:
        name: its name.
        dims: its dimensions, in its own order.
        shape: their sizes.
        dtype: name of the type of its elements, as numpy writes it.
        attrs: as stored, not yet decoded by the conventions.
        encoding: how a file held it.
        coordinate: whether it is one.
        conventions: whether it has to be decoded by the CF conventions (scale, offset, calendar).
        axes: names of time, y and x, if it is coded over time.
        bands: in C order of the other dimensions.
        kept: set if it isn't coded over time.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attrs: dict[str, Any]
    encoding: dict[str, Any]
    coordinate: bool
    conventions: bool
    axes: tuple[str, ...] = ()
    bands: tuple[Band, ...] = ()
    kept: Kept | None = None

    @property
    def band_shape(self) -> tuple[int, int, int]:
        """Return the sizes of time, y and x."""
        sizes = dict(zip(self.dims, self.shape, strict=True))
        time, y, x = (sizes[axis] for axis in self.axes)
        return time, y, x

    @property
    def others(self) -> tuple[str, ...]:
        """Return the other dimensions."""
        return tuple(dim for dim in self.dims if dim not in self.axes)


@dataclass(frozen=True)
class Header:
    """A dataset without its values.

    Attributes:
        dims: sizes of all dimensions.
        attrs: of the dataset.
        encoding: of the dataset.
        variables: all of them.
        uses: how many streams or masks are in each section.
    """

    dims: dict[str, int]
    attrs: dict[str, Any]
    encoding: dict[str, Any]
    variables: tuple[Variable, ...]
    uses: dict[int, int] = field(default_factory=dict)


def header_to_json(dims: dict[str, int], attrs: Any, encoding: Any, variables: Any) -> Any:
    """Return what `_file.pack` writes; attributes are JSON already."""
    return {
        "dims": dims,
        "attrs": attrs,
        "encoding": encoding,
        "variables": [_variable_to_json(each) for each in variables],
    }


def _variable_to_json(variable: Variable) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": variable.name,
        "dims": list(variable.dims),
        "dtype": variable.dtype,
        "attrs": variable.attrs,
        "encoding": variable.encoding,
        "coordinate": variable.coordinate,
        "conventions": variable.conventions,
    }
    if variable.kept is not None:
        return found | {"kept": vars(variable.kept)}
    return found | {"axes": list(variable.axes), "bands": [_band(b) for b in variable.bands]}


def _band(band: Band) -> dict[str, Any]:
    levels = vars(band.levels) if isinstance(band.levels, Linear) else None
    return {
        "levels": levels,
        "streams": [_stream(stream) for stream in band.streams],
        "missing": [{"value": to_json(m.value), "section": m.section} for m in band.missing],
        "bound": band.bound,
        "max_error": band.max_error,
        "psnr": band.psnr,
    }


def _stream(stream: Stream) -> dict[str, Any]:
    found: dict[str, Any] = {"codec": stream.codec, "section": stream.section}
    if stream.codec == "ffv1":
        return found | {"after": stream.after}
    if stream.codec == "x265":
        return found | {"bits": stream.bits}
    return found | {
        "model_hash": stream.model_hash,
        "rate": stream.rate,
        "channel": stream.channel,
    }


def parse_header(sections: Sections) -> Header:
    """Return the header of a file, every field checked.

    Raises:
        CorruptError: It contradicts itself.
    """
    document = sections.header
    dims = _get(document, "dims", dict)
    for name, size in dims.items():
        _check(type(size) is int and 0 <= size <= _MOST, f"dimension {name!r:.40}", size)
    count = len(sections.places)
    variables = tuple(
        _parse_variable(each, dims, count) for each in _get(document, "variables", list)
    )
    names = [variable.name for variable in variables]
    _check(len(set(names)) == len(names), "names of variables", "one twice")
    uses = _uses(variables)
    _check(len(uses) == count, "sections", f"{count}, of which {len(uses)} belong to something")
    return Header(
        dims,
        mapping_from_json(_get(document, "attrs", dict)),
        mapping_from_json(_get(document, "encoding", dict)),
        variables,
        dict(uses),
    )


def _uses(variables: tuple[Variable, ...]) -> dict[int, int]:
    """Return how many streams, masks and kept values are in each section.

    More than one would take memory that no bytes justify, but for the channels of the same frames.
    """
    users: dict[int, list[tuple[Any, int]]] = defaultdict(list)
    for variable in variables:
        if variable.kept is not None:
            users[variable.kept.section].append((None, 0))
        for band in variable.bands:
            for mask in band.missing:
                users[mask.section].append((None, 0))
            for stream in band.streams:
                frames = (variable.band_shape, replace(stream, channel=0))
                users[stream.section].append((frames, stream.channel))
    for section, found in users.items():
        alike = len({frames for frames, _ in found}) == 1
        apart = len({channel for _, channel in found}) == len(found)
        _check(alike and apart, f"uses of section {section}", len(found))
    return {section: len(found) for section, found in users.items()}


def _parse_variable(found: Any, dims: dict[str, int], count: int) -> Variable:
    names = tuple(_get(found, "dims", list))
    known = all(isinstance(name, str) and name in dims for name in names)
    _check(known and len(set(names)) == len(names), "dimensions of a variable", names)
    shape = tuple(dims[name] for name in names)
    _check(math.prod(shape) <= _MOST, "sizes of a variable", shape)
    dtype = _get(found, "dtype", str)
    axes: tuple[str, ...] = ()
    bands: tuple[Band, ...] = ()
    kept = None
    if "kept" in found:
        part = _get(found, "kept", dict)
        form, section = _get(part, "form", str), _get(part, "section", int)
        _check(form in _FORMS, "form of a variable", form)
        size = _get(part, "size", int)
        _check(0 <= section < count and size >= 0, "section of a variable", (section, size))
        kept = Kept(form, section, size)
        if form == "raw":
            held = array_dtype(dtype).itemsize * math.prod(shape)
            _check(size == held, "bytes of a variable", size)
    else:
        axes = tuple(_get(found, "axes", list))
        good = all(isinstance(axis, str) and axis in names for axis in axes)
        good = good and len(axes) == 3 and len(set(axes)) == 3
        _check(good, "axes of a variable", axes)
        type_ = array_dtype(dtype)
        _check(type_.kind in "iuf" and type_.itemsize <= 8, "type of a coded variable", dtype)
        rest = math.prod(dims[name] for name in names if name not in axes)
        listed = _get(found, "bands", list)
        _check(len(listed) == rest and math.prod(shape) > 0, "bands of a variable", len(listed))
        bands = tuple(_parse_band(each, count, type_) for each in listed)
    return Variable(
        name=_get(found, "name", str),
        dims=names,
        shape=shape,
        dtype=dtype,
        attrs=mapping_from_json(_get(found, "attrs", dict)),
        encoding=encoding_from_json(_get(found, "encoding", dict)),
        coordinate=_get(found, "coordinate", bool),
        conventions=_get(found, "conventions", bool),
        axes=axes,
        bands=bands,
        kept=kept,
    )


def _parse_band(found: Any, count: int, dtype: np.dtype[Any]) -> Band:
    levels: Levels = Bits()
    stated = _get(found, "levels", (dict, type(None)))
    if stated is not None:
        offset, step = (_get(stated, name, (int, float)) for name in ("offset", "step"))
        good = all(abs(number) < 1 << 64 for number in (offset, step)) and step > 0
        _check(good, "offset and step", (offset, step))
        levels = Linear(offset, step)
    streams = tuple(_parse_stream(each, count) for each in _get(found, "streams", list))
    _check(1 <= len(streams) <= (2 if stated else 4), "planes of a band", len(streams))
    missing = []
    for each in _get(found, "missing", list):
        section = _get(each, "section", int)
        _check(0 <= section < count, "section of a mask", section)
        value = from_json(each.get("value"))
        _check(_is_one_of(value, dtype), "missing value", value)
        missing.append(Missing(value, section))
    _check(len(missing) <= 4, "masks of a band", len(missing))
    number = (int, float, type(None))
    return Band(
        levels,
        streams,
        tuple(missing),
        _get(found, "bound", number),
        _get(found, "max_error", (int, float)),
        _get(found, "psnr", number),
    )


def _is_one_of(value: Any, dtype: np.dtype[Any]) -> bool:
    """Whether a type has a value, which may be NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return False
    if value != value:
        return dtype.kind == "f"
    try:
        with np.errstate(all="ignore"):
            return bool(np.array(value).astype(dtype) == value)
    except (OverflowError, ValueError):
        return False


def _parse_stream(found: Any, count: int) -> Stream:
    codec, section = _get(found, "codec", str), _get(found, "section", int)
    _check(0 <= section < count, "section of a stream", section)
    if codec == "ffv1":
        return Stream(codec, section, after=_get(found, "after", bool))
    if codec == "x265":
        bits = _get(found, "bits", int)
        _check(bits in BITS, "bits of a stream", bits)
        return Stream(codec, section, bits=bits)
    _check(_CODEC.fullmatch(codec) is not None, "codec of a stream", codec)
    model_hash = _get(found, "model_hash", str)
    _check(re.fullmatch("([0-9a-f]{2}){1,32}", model_hash) is not None, "model hash", model_hash)
    rate, channel = _get(found, "rate", int), _get(found, "channel", int)
    _check(0 <= rate <= 252 and 0 <= channel <= 2, "rate and channel", (rate, channel))
    return Stream(codec, section, model_hash=model_hash, rate=rate, channel=channel)


def _get(found: Any, name: str, kind: type[Kind] | tuple[type[Any], ...]) -> Any:
    """Return a field of a type; numbers are finite, and True is none."""
    if not isinstance(found, dict) or name not in found:
        raise CorruptError(f"the header of the .qcube file lacks {name!r}; it is damaged")
    value = found[name]
    good = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if isinstance(value, (int, float)):
        good = good and abs(value) <= sys.float_info.max  # False of NaN
    if not good:
        raise CorruptError(f"{name} of the .qcube file is {value!r:.40}; it is damaged")
    return value


def _check(good: bool, what: str, found: object) -> None:
    if not good:
        raise CorruptError(f"{what} of the .qcube file: {found!r:.60} found; it is damaged")
