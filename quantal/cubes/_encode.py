"""A dataset to a .qcube file: which variables are coded over time, and how finely."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantal.arguments import choice, number, path, typed, whole
from quantal.codecs import available
from quantal.cubes._axes import Axes, axes_of, find_axes, no_cube, parse_dims
from quantal.cubes._bands import Loss, Values, bounded_levels, missing_values, scaled_levels
from quantal.cubes._datasets import opened
from quantal.cubes._file import pack
from quantal.cubes._header import Band, Kept, Missing, Stream, Variable, header_to_json
from quantal.cubes._learned import RATIO as LEARNED_RATIO
from quantal.cubes._learned import encode_frames, load_codec, rate_of
from quantal.cubes._levels import Levels, Linear, planes_of
from quantal.cubes._missing import pack_mask
from quantal.cubes._require import require
from quantal.cubes._stored import Stored, keep, stored
from quantal.cubes._streams import BITS, COARSEST, RATIO, decode_x265, encode_ffv1, encode_x265
from quantal.cubes._values import encodings, mapping_to_json
from quantal.errors import ArgumentError, MediaError, TargetError
from quantal.memory import memory_errors
from quantal.outputs import write_whole

if TYPE_CHECKING:
    import xarray

    from quantal.codecs.video_contract import VideoCodec
    from quantal.sources import Source

__all__ = ["OTHERS", "check_options", "compress"]

Bounds = float | Mapping[str, float]
Progress = Callable[[float, str], None]

OTHERS = "*"
"""The name under which `max_error` holds the bound of all variables that it doesn't name."""
_QUALITY = 60
_CLASSICAL = ("ffv1", "x265")


@dataclass
class _Coding:
    """A band on its way; streams come last."""

    values: Values
    bound: float | None
    unit: float
    missing: list[Missing] = field(default_factory=list)
    band: Band | None = None


class _Sections(list[bytes]):
    def put(self, content: bytes) -> int:
        self.append(content)
        return len(self) - 1


def compress(
    source: xarray.Dataset | Source,
    target: str | os.PathLike[str] | None = None,
    *,
    codec: str | VideoCodec = "ffv1",
    max_error: Bounds | None = None,
    quality: int | None = None,
    bits: int | None = None,
    dims: str | Iterable[str] | None = None,
    weights: Source | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> bytes:
    """Compress a data cube.

    Variables of numbers that have the dimensions time, y and x are coded over time; every index of
    a further dimension is a band of its own. All others are kept as they are.

    Args:
        source: a Dataset, the path of a NetCDF file or a Zarr folder, or the bytes of a NetCDF
            file.
        target: a .qcube file to write.
        codec: "ffv1", which loses only what `max_error` allows; "x265"; or the name of a codec of
            clips, or one from `quantal.load`.
        max_error: the largest error, in the units of the variables; by name for some of them, where
            "*" names the others. Without, ffv1 keeps every bit.
        quality: 1 (smallest) to 100 (finest) of variables without a bound, for lossy codecs;
            default 60.
        bits: bits of the levels that x265 codes: 8, 10 or 12, the default.
        dims: names of time, y and x; default: found by attributes and well-known names.
        weights: of a codec of clips, in place of those that ship.
        device: where its networks run.
        progress: called with the part that is done, 0..1, and the variable.

    Returns:
        The bytes of the file.

    Raises:
        ArgumentError: An option is impossible, or a package is missing.
        MediaError: The dataset can't be read, has infinite values, or no variable to code.
        TargetError: A lossy codec can't keep the bound.
    """
    name = check_options(codec, max_error, quality, bits, dims, weights)
    axes, bounds = parse_dims(dims), _checked_bounds(max_error)
    learned = None if name in _CLASSICAL else load_codec(codec, device, weights)
    quality, bits = quality or _QUALITY, bits or max(BITS)
    with opened(source) as dataset, memory_errors("compressing a data cube"):
        coder = _Coder(learned, name, quality, bits, progress or _silent)
        data = coder.dataset(dataset, axes, bounds)
    if target is not None:
        write_whole(path("data cube", target), data)
    return data


def check_options(
    codec: str | VideoCodec,
    max_error: Bounds | None = None,
    quality: int | None = None,
    bits: int | None = None,
    dims: str | Iterable[str] | None = None,
    weights: Source | None = None,
) -> str:
    """Raise ArgumentError for options of `compress` that no dataset can have.

    Returns:
        The name of the codec.
    """
    require("xarray")
    name = codec if isinstance(codec, str) else getattr(codec, "name", type(codec).__name__)
    given = {"a quality": quality, "bits": bits, "weights": weights}
    takes = {"ffv1": (), "x265": ("a quality", "bits")}.get(name, ("a quality", "weights"))
    for what, value in given.items():
        if value is not None and what not in takes:
            code = "max-error" if what == "a quality" else ""
            hint = "; say which error is allowed" if code else "; leave them out"
            raise ArgumentError(f"{name} takes no {what.removeprefix('a ')}{hint}", code=code)
    if bits is not None and whole("bits", bits) not in BITS:
        raise ArgumentError(f"bits must be one of {', '.join(map(str, BITS))}, not {bits}")
    if quality is not None:
        whole("quality", quality, 1, 100)
    parse_dims(dims)
    _checked_bounds(max_error)
    if name not in _CLASSICAL and isinstance(codec, str):
        known = {info.name: info.media for info in available()}
        if known.get(name.partition("@")[0]) != "video":
            videos = [each for each, media in known.items() if media == "video"]
            raise ArgumentError(
                f"codec {name!r:.40} codes no data cubes; {', '.join((*_CLASSICAL, *videos))} do"
            )
    return name


def _silent(part: float, note: str) -> None:
    """Report nothing."""


def _checked_bounds(max_error: Bounds | None) -> dict[str, float]:
    """Return bounds by name."""
    if max_error is None:
        return {}
    if not isinstance(max_error, Mapping):
        max_error = {OTHERS: max_error}
    found = {}
    for name, bound in max_error.items():
        zero = isinstance(bound, (int, float)) and not isinstance(bound, bool) and bound == 0
        found[typed("max_error's name", name, str)] = 0.0 if zero else number("max_error", bound)
    return found


class _Coder:
    """Codes the variables of one dataset."""

    def __init__(
        self,
        learned: VideoCodec | None,
        name: str,
        quality: int,
        bits: int,
        progress: Progress,
    ) -> None:
        self._learned, self._name = learned, name
        self._quality, self._bits, self._progress = quality, bits, progress
        self._sections = _Sections()

    def dataset(self, dataset: Any, axes: Axes | None, bounds: dict[str, float]) -> bytes:
        """Return the file of a dataset."""
        found = find_axes(dataset)
        if axes is not None:
            found = [(axis,) for axis in axes]
        coded = {}
        for key, variable in dataset.variables.items():
            name = str(typed("the name of a variable", key, str))
            for dim in variable.dims:
                typed("the name of a dimension", dim, str)
            if len(set(variable.dims)) < len(variable.dims):
                raise MediaError(
                    f"variable {name!r:.60} has a dimension twice: {variable.dims}; rename one"
                )
            own = axes_of(tuple(map(str, variable.dims)), found)
            number = variable.dtype.kind in "iuf" and variable.dtype.itemsize <= 8
            if own is not None and number and variable.size:
                coded[name] = own
        if not coded:
            raise no_cube(dataset, axes)
        for name in bounds:
            if name != OTHERS:
                choice("max_error's name", name, coded)
        dims = {str(dim): int(size) for dim, size in dataset.sizes.items()}
        attrs = mapping_to_json(dataset.attrs, "the dataset")
        variables = self._variables(dataset, coded, bounds)
        header = header_to_json(dims, attrs, encodings(dataset.encoding), variables)
        return pack(header, self._sections)

    def _variables(
        self, dataset: Any, coded: dict[str, Axes], bounds: dict[str, float]
    ) -> list[Variable]:
        found: list[tuple[Variable, list[_Coding]]] = []
        for place, (name, variable) in enumerate(dataset.variables.items()):
            self._progress(place / len(dataset.variables), name)
            part = stored(name, variable)
            base: dict[str, Any] = {
                "name": name,
                "dims": tuple(map(str, variable.dims)),
                "shape": variable.shape,
                "dtype": part.data.dtype.str,
                "attrs": mapping_to_json(part.attrs, f"variable {name}"),
                "encoding": encodings(part.encoding),
                "coordinate": name in dataset.coords,
                "conventions": part.conventions,
            }
            if name in coded:
                bound = bounds.get(name, bounds.get(OTHERS))
                bands = self._bands(name, part, base["dims"], coded[name], bound)
                found.append((Variable(**base, axes=coded[name]), bands))
            else:
                form, content, size = keep(name, part.data)
                kept = Kept(form, self._sections.put(content), size)
                found.append((Variable(**base, kept=kept), []))
        if self._learned is not None:
            self._code_together([band for _, bands in found for band in bands])
        return [_with_bands(variable, bands) for variable, bands in found]

    def _bands(
        self, name: str, part: Stored, dims: tuple[str, ...], axes: Axes, bound: float | None
    ) -> list[_Coding]:
        """Return the bands of a variable, coded already unless a codec of clips does that."""
        order = [dims.index(dim) for dim in dims if dim not in axes] + [dims.index(a) for a in axes]
        turned = part.data.transpose(order)
        missing = missing_values(part.data.dtype, part.attrs)
        physical = part.physical()
        bands = []
        for array in turned.reshape(-1, *turned.shape[-3:]):
            values = Values(np.ascontiguousarray(array), missing, physical, name)
            coding = _Coding(values, bound, part.unit)
            for value, mask in values.masks:
                coding.missing.append(Missing(value, self._sections.put(pack_mask(mask))))
            if self._name == "ffv1":
                self._losslessly(coding, bounded_levels(values, bound, part.unit))
            elif self._name == "x265":
                self._by_x265(coding)
            bands.append(coding)
        return bands

    def _losslessly(self, coding: _Coding, levels: Levels) -> None:
        """Code the levels of a band by FFV1."""
        values = coding.values
        found = values.levels(levels)
        count = planes_of(levels, values.stored.dtype, int(found.max()))
        streams = []
        for place in range(count):
            shift = np.uint64(16 * (count - 1 - place))
            plane = (found >> shift).astype(np.uint16)
            changes = plane.copy()
            changes[1:] -= plane[:-1]  # modulo 2^16
            changes[1:] += np.uint16(1 << 15)
            coded = [encode_ffv1(plane), encode_ffv1(changes)]
            after = len(coded[1]) < len(coded[0])
            streams.append(Stream("ffv1", self._sections.put(coded[after]), after=after))
        _finish(coding, levels, streams, values.loss(levels, found))

    def _by_x265(self, coding: _Coding) -> None:
        """Code a band by x265, as coarsely as its bound or the quality says."""
        values, bits = coding.values, self._bits
        levels = scaled_levels(values, bits)
        bounded: Levels = levels
        try:
            if coding.bound is None:
                qp = COARSEST - round((self._quality - 1) * COARSEST / 99)
                found = _attempt(values, levels, bits, qp)
            else:
                bounded = bounded_levels(values, coding.bound, coding.unit)
                found = _shortest(coding, levels, bounded, bits)
        except _Unfit:
            self._losslessly(coding, bounded)
            return
        stream = Stream("x265", self._sections.put(found.data), bits=found.bits)
        _finish(coding, found.levels, [stream], found.loss)

    def _code_together(self, bands: list[_Coding]) -> None:
        """Code bands of one shape by a codec of clips, three at a time."""
        shapes: dict[tuple[int, ...], list[_Coding]] = {}
        for band in bands:
            shapes.setdefault(band.values.shape, []).append(band)
        for alike in shapes.values():
            for start in range(0, len(alike), 3):
                self._progress(start / len(alike), alike[start].values.name)
                self._triple(alike[start : start + 3])

    def _triple(self, bands: list[_Coding]) -> None:
        """Code up to three bands as the colours of frames; a missing colour repeats the last."""
        codec = self._learned
        if codec is None:
            raise ArgumentError("a triple needs a codec of clips")
        levels = [scaled_levels(band.values, 8) for band in bands]
        planes = [b.values.levels(each) for b, each in zip(bands, levels, strict=True)]
        frames = np.stack([planes[min(n, len(bands) - 1)] for n in range(3)], -1).astype(np.uint8)

        def attempt(quality: int) -> tuple[bytes, list[Loss]]:
            data, drawn = encode_frames(codec, frames, rate_of(quality))
            losses = [
                band.values.loss(each, drawn[..., channel])
                for channel, (band, each) in enumerate(zip(bands, levels, strict=True))
            ]
            return data, losses

        def keeps(losses: list[Loss]) -> bool:
            # One level more: networks may round a level otherwise on another machine.
            return all(
                band.bound is None or loss.largest + abs(float(each.step) * band.unit) <= band.bound
                for band, each, loss in zip(bands, levels, losses, strict=True)
            )

        quality = self._quality
        if all(band.bound is None for band in bands):
            data, losses = attempt(quality)
        else:
            low, quality = 1, 100
            data, losses = attempt(quality)
            if not keeps(losses):
                raise TargetError(_unreachable(codec.name, bands, losses), code="max-error-ffv1")
            while low < quality:
                middle = (low + quality) // 2
                tried = attempt(middle)
                if keeps(tried[1]):
                    quality, (data, losses) = middle, tried
                else:
                    low = middle + 1
        if frames[..., 0].size > LEARNED_RATIO * len(data):
            for band, each in zip(bands, levels, strict=True):
                self._losslessly(band, each)
            return
        section, rate = self._sections.put(data), rate_of(quality)
        for channel, band in enumerate(bands):
            stream = Stream(
                codec.name,
                section,
                model_hash=codec.model_hash.hex(),
                rate=rate,
                channel=channel,
            )
            _finish(band, levels[channel], [stream], losses[channel])


class _Unfit(Exception):
    """x265 is no choice for a band: a reader would not believe so short a stream, or it fails."""


@dataclass(frozen=True)
class _Attempt:
    """A band by x265."""

    data: bytes
    levels: Linear
    bits: int
    loss: Loss


def _attempt(values: Values, levels: Linear, bits: int, qp: int | None) -> _Attempt:
    planes = values.levels(levels).astype(np.uint16)
    data = encode_x265(planes, bits, qp)
    if planes.size > RATIO["x265"] * len(data):
        raise _Unfit
    frames = np.stack(list(decode_x265(data, values.shape, bits)))
    return _Attempt(data, levels, bits, values.loss(levels, frames))


def _shortest(coding: _Coding, scaled: Linear, bounded: Levels, bits: int) -> _Attempt:
    """Return the shortest coding by x265 that keeps a bound; TargetError if none does.

    Either the coarsest quantiser that keeps it, or levels as wide apart as the bound allows, coded
    losslessly.
    """
    values, bound = coding.values, coding.bound or 0.0
    found: list[_Attempt] = []
    low, high = 0, COARSEST
    while low <= high:
        middle = (low + high + 1) // 2
        tried = _attempt(values, scaled, bits, middle)
        if tried.loss.largest <= bound:
            low = middle + 1
            found.append(tried)
        else:
            high = middle - 1
    highest = int(values.levels(bounded).max()) if isinstance(bounded, Linear) else 1 << 32
    depth = next((depth for depth in BITS if depth <= bits and highest < 1 << depth), None)
    if isinstance(bounded, Linear) and depth is not None:
        tried = _attempt(values, bounded, depth, None)
        if tried.loss.largest <= bound:
            found.append(tried)
        elif not found:  # some builds of x265 lose something in their lossless mode
            raise _Unfit
    if not found:
        found.append(_attempt(values, scaled, bits, None))
    best = min(found, key=lambda each: len(each.data))
    if best.loss.largest > bound:
        raise TargetError(_unreachable("x265", [coding], [best.loss]), code="max-error-ffv1")
    return best


def _unreachable(codec: str, bands: list[_Coding], losses: list[Loss]) -> str:
    parts = [
        f"{band.values.name!r:.60} has an error of {loss.largest:.6g}, at most {band.bound} is "
        "asked for"
        for band, loss in zip(bands, losses, strict=False)
        if band.bound is not None
    ]
    return f"at its best {codec} can't keep the bound: {'; '.join(parts)}; take ffv1"


def _finish(coding: _Coding, levels: Levels, streams: list[Stream], loss: Loss) -> None:
    coding.band = Band(
        levels, tuple(streams), tuple(coding.missing), coding.bound, loss.largest, loss.psnr
    )


def _with_bands(variable: Variable, bands: list[_Coding]) -> Variable:
    return replace(variable, bands=tuple(each.band for each in bands if each.band is not None))
