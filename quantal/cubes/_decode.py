"""A .qcube file to a dataset; and what it holds, without its values."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantal.arguments import path
from quantal.cubes._bands import restored
from quantal.cubes._datasets import save
from quantal.cubes._file import BEGINNING, Sections, unpack
from quantal.cubes._header import Band, Header, Kept, Stream, Variable, parse_header
from quantal.cubes._levels import Array
from quantal.cubes._missing import unpack_mask
from quantal.cubes._require import require
from quantal.cubes._stored import decoded, kept_array
from quantal.cubes._streams import RATIO, decode_ffv1, decode_x265
from quantal.cubes._values import array_dtype
from quantal.errors import CorruptError
from quantal.memory import memory_errors
from quantal.sources import Source, read_source

if TYPE_CHECKING:
    import xarray

    from quantal.codecs.video_contract import VideoCodec

__all__ = ["BandInfo", "CubeInfo", "VariableInfo", "decompress", "probe", "verify"]

_WHAT = ".qcube file"


@dataclass(frozen=True)
class BandInfo:
    """A band of a variable.

    Attributes:
        index: its place in the dimensions other than time, y and x.
        codec: that coded it.
        bits_per_value: of its streams and masks; a stream of three bands counts a third for each.
        bound: the largest error that was asked for; None if none was.
        max_error: the largest error that there is.
        psnr: in dB, of the range of the values; None without an error.
    """

    index: tuple[int, ...]
    codec: str
    bits_per_value: float
    bound: float | None
    max_error: float
    psnr: float | None


@dataclass(frozen=True)
class VariableInfo:
    """A variable.

    Attributes:
        name: its name.
        dims: its dimensions and their sizes.
        dtype: the type of its elements, as stored.
        axes: names of time, y and x; empty if it is kept as it is.
        bytes: that it takes; a stream that variables share is counted in parts.
        bands: what is coded over time.
    """

    name: str
    dims: dict[str, int]
    dtype: str
    axes: tuple[str, ...]
    bytes: float
    bands: tuple[BandInfo, ...]


@dataclass(frozen=True)
class CubeInfo:
    """What a .qcube file holds.

    Attributes:
        dims: sizes of all dimensions.
        variables: all of them.
        bytes: size of the file.
        values: how many are coded over time.
        bits_per_value: bits per value of the whole file, for these.
    """

    dims: dict[str, int]
    variables: tuple[VariableInfo, ...]
    bytes: int
    values: int
    bits_per_value: float

    @property
    def codecs(self) -> tuple[str, ...]:
        """Return the codecs of its bands, each once."""
        return tuple(dict.fromkeys(b.codec for v in self.variables for b in v.bands))


def probe(source: Source) -> CubeInfo:
    """Return what a file holds; needs neither torch nor xarray, and verifies the header alone.

    Raises:
        BitstreamError: It is damaged, cut, or no .qcube file.
    """
    data, size = _beginning(source)
    sections = unpack(data, size)
    header = parse_header(sections)
    variables = tuple(_about(each, sections, header) for each in header.variables)
    values = sum(math.prod(each.shape) for each in header.variables if each.bands)
    per_value = 8 * size / values if values else 0.0
    return CubeInfo(header.dims, variables, size, values, per_value)


def _beginning(source: Source) -> tuple[bytes, int]:
    """Return what holds the header of a file, and the size of the file."""
    if isinstance(source, (str, os.PathLike)):
        try:
            with open(path(_WHAT, source), "rb") as file:
                return file.read(BEGINNING), os.fstat(file.fileno()).st_size
        except (OSError, ValueError):
            pass  # what is wrong is said below
    data = read_source(source, _WHAT)
    return data, len(data)


def _about(variable: Variable, sections: Sections, header: Header) -> VariableInfo:
    def bytes_of(*parts: Any) -> float:
        return sum(sections.places[p.section][1] / header.uses[p.section] for p in parts)

    bands = []
    indices = np.ndindex(*(header.dims[dim] for dim in variable.others))
    for index, band in zip(indices, variable.bands, strict=False):
        size = bytes_of(*band.streams, *band.missing)
        bits = 8 * size / math.prod(variable.band_shape)
        codec = band.streams[0].codec
        bands.append(BandInfo(index, codec, bits, band.bound, band.max_error, band.psnr))
    if variable.kept is not None:
        size = bytes_of(variable.kept)
    else:
        size = bytes_of(*(part for b in variable.bands for part in (*b.streams, *b.missing)))
    dims = dict(zip(variable.dims, variable.shape, strict=True))
    return VariableInfo(variable.name, dims, variable.dtype, variable.axes, size, tuple(bands))


def decompress(
    source: Source,
    target: str | os.PathLike[str] | None = None,
    *,
    codec: VideoCodec | None = None,
    weights: Source | None = None,
    device: str = "auto",
) -> xarray.Dataset:
    """Decompress a data cube.

    Args:
        source: bytes, path or open file of a .qcube file.
        target: a .nc file or a .zarr folder to write; it appears whole or not at all.
        codec: of clips, loaded already; default: the one that the file needs.
        weights: of a codec of clips, in place of those that ship.
        device: where its networks run.

    Returns:
        The dataset, in memory.

    Raises:
        ArgumentError: A package is missing, or the target has an unknown suffix.
        BitstreamError: The file is damaged or cut.
        ModelError: Weights of a codec of clips are missing.
        OutputError: The target can't be written.
    """
    xarray = require("xarray")
    sections = unpack(read_source(source, _WHAT))
    header = parse_header(sections)
    reader = _Reader(sections, codec, weights, device)
    found: dict[str, Any] = {}
    with memory_errors("decompressing a data cube"):
        for variable in header.variables:
            found[variable.name] = _restored(variable, reader)
        coordinates = {v.name: found[v.name] for v in header.variables if v.coordinate}
        others = {v.name: found[v.name] for v in header.variables if not v.coordinate}
        try:
            dataset = xarray.Dataset(others, coordinates, header.attrs)
        except Exception as error:  # xarray and pandas raise many kinds
            raise CorruptError(f"the variables make no dataset: {error!s:.120}") from error
    dataset.encoding = dict(header.encoding)
    if target is not None:
        save(dataset, target)
    return dataset


def verify(
    source: Source,
    *,
    deep: bool = True,
    codec: VideoCodec | None = None,
    weights: Source | None = None,
    device: str = "cpu",
) -> None:
    """Check a file: its checksums, and with `deep` also every frame, mask and kept value.

    Raises:
        BitstreamError: It is damaged or cut.
        ModelError: Weights of a codec of clips are missing.
    """
    sections = unpack(read_source(source, _WHAT))
    header = parse_header(sections)
    sections.check()
    if not deep:
        return
    reader = _Reader(sections, codec, weights, device)
    for variable in header.variables:
        if variable.kept is not None:
            reader.kept(variable, variable.kept)
        for band in variable.bands:
            reader.check(band, variable.band_shape)


def _restored(variable: Variable, reader: _Reader) -> Any:
    """Return a variable of xarray."""
    xarray = require("xarray")
    if variable.kept is not None:
        data = reader.kept(variable, variable.kept)
    else:
        data = _coded(variable, reader)
    build = decoded if variable.conventions else xarray.Variable
    try:
        found = build(variable.dims, data, variable.attrs, {})
    except Exception as error:  # numpy, pandas and cftime raise many kinds
        raise CorruptError(
            f"the values of variable {variable.name!r:.60} make none: {error!s:.120}; the file is "
            "damaged"
        ) from error
    found.encoding = variable.encoding
    return found


def _coded(variable: Variable, reader: _Reader) -> Array:
    """Return the values of a variable that is coded over time, in the order of its dimensions."""
    shape, dtype = variable.band_shape, array_dtype(variable.dtype)
    for band in variable.bands:  # all lengths before the first allocation
        reader.justify(band, shape)
    found = np.empty((len(variable.bands), *shape), dtype)
    for place, band in enumerate(variable.bands):
        masks = [(each.value, reader.mask(each.section, shape)) for each in band.missing]
        found[place] = restored(band.levels, reader.levels(band, shape), dtype, masks)
    order = [*variable.others, *variable.axes]
    sizes = dict(zip(variable.dims, variable.shape, strict=True))
    whole = found.reshape([sizes[dim] for dim in order])
    return np.ascontiguousarray(whole.transpose([order.index(dim) for dim in variable.dims]))


class _Reader:
    """Decodes the sections of a file.

    Args:
        sections: sections of the file.
        codec: of clips, if it is loaded already.
        weights: of a codec of clips.
        device: where its networks run.
    """

    def __init__(
        self,
        sections: Sections,
        codec: VideoCodec | None,
        weights: Source | None,
        device: str,
    ) -> None:
        self._sections, self._given = sections, codec
        self._weights, self._device = weights, device
        self._codecs: dict[tuple[str, str], VideoCodec] = {}
        self._drawn: tuple[int, Array] | None = None

    def kept(self, variable: Variable, kept: Kept) -> Array:
        """Return a variable that isn't coded over time."""
        packed = self._sections.read(kept.section)
        return kept_array(kept.form, packed, kept.size, variable.dtype, variable.shape)

    def mask(self, section: int, shape: tuple[int, int, int]) -> Any:
        """Return a mask."""
        return unpack_mask(self._sections.read(section), shape)

    def justify(self, band: Band, shape: tuple[int, int, int]) -> None:
        """Raise CorruptError if a stream is too short for so many values."""
        for stream in band.streams:
            ratio = RATIO.get(stream.codec, RATIO["x265"])
            length = self._sections.places[stream.section][1]
            if math.prod(shape) > ratio * length:
                raise CorruptError(
                    f"a stream of {length} bytes found, too few for {math.prod(shape):,} values"
                )

    def levels(self, band: Band, shape: tuple[int, int, int]) -> Array:
        """Return the levels of a band, [T, H, W]."""
        self.justify(band, shape)
        found: Array = np.zeros(shape, np.uint64 if len(band.streams) > 1 else np.uint16)
        for stream in band.streams:
            if len(band.streams) > 1:
                found = found << np.uint64(16)
            for place, plane in enumerate(self._planes(stream, shape)):
                found[place] |= plane
        return found

    def check(self, band: Band, shape: tuple[int, int, int]) -> None:
        """Read a band; nothing of it is held."""
        for each in band.missing:
            self.mask(each.section, shape)
        for stream in band.streams:
            if stream.learned:
                from quantal.cubes._learned import check_frames

                data = self._sections.read(stream.section)
                check_frames(self._codec(stream), data, shape, stream.rate)
            else:
                for _ in self._planes(stream, shape):
                    pass

    def _planes(self, stream: Stream, shape: tuple[int, int, int]) -> Iterator[Array]:
        data = self._sections.read(stream.section)
        if stream.learned:
            yield from self._channel(stream, data, shape)
            return
        if stream.codec == "x265":
            yield from decode_x265(data, shape, stream.bits)
            return
        before = None
        for plane in decode_ffv1(data, shape):
            if stream.after and before is not None:
                plane = plane + before - np.uint16(1 << 15)  # modulo 2^16
            before = plane
            yield plane

    def _channel(self, stream: Stream, data: bytes, shape: tuple[int, int, int]) -> Array:
        """Return one colour of frames, which are held for the bands that have the others."""
        from quantal.cubes._learned import decode_frames

        if self._drawn is None or self._drawn[0] != stream.section:
            frames = np.empty((*shape, 3), np.uint8)
            drawn = decode_frames(self._codec(stream), data, shape, stream.rate)
            for place, frame in enumerate(drawn):
                frames[place] = frame
            self._drawn = stream.section, frames
        return self._drawn[1][..., stream.channel]

    def _codec(self, stream: Stream) -> VideoCodec:
        from quantal.cubes._learned import codec_of

        key = stream.codec, stream.model_hash
        if key not in self._codecs:
            self._codecs[key] = codec_of(stream, self._device, self._weights, self._given)
        return self._codecs[key]
