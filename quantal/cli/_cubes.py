"""Data cubes on the command line: which inputs are cubes, and their way into files and out."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantal.cli._batch import Outcome
from quantal.cli._sources import Source
from quantal.cli._streams import say
from quantal.cli._targets import Step, check_free, opened_new, opened_stdout, prepared
from quantal.errors import ArgumentError
from quantal.names import printable

if TYPE_CHECKING:
    from quantal.cubes import CubeInfo, VariableInfo

__all__ = [
    "CUBE_CODECS",
    "CUBE_FORMATS",
    "CUBE_SUFFIXES",
    "CubeCompression",
    "CubeDecompression",
    "cube_document",
    "holds_cube",
    "is_cube",
    "parse_bounds",
    "print_cube",
]

CUBE_SUFFIXES = frozenset([".nc", ".nc4", ".cdf", ".netcdf", ".zarr"])
"""Suffixes of files, and of folders of Zarr, that are taken for data cubes."""
CUBE_CODECS = ("ffv1", "x265")
"""Codecs of data cubes alone."""
CUBE_FORMATS = ("nc", "zarr")

_MAGIC = b"\x8bQCB"
_BEGINNINGS = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n")
_PIECE = 1 << 20

Report = Callable[[float, str], None]


def is_cube(source: Source) -> bool:
    """Whether an input to compress is a data cube, by its suffix; of a stream by its beginning."""
    if source.data is not None:
        return source.data.startswith(_BEGINNINGS)
    return source.pattern is None and source.relative.suffix.lower() in CUBE_SUFFIXES


def holds_cube(source: Source) -> bool:
    """Whether a file is a .qcube file; False for what can't be read."""
    try:
        return source.bytes(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def parse_bounds(text: str | None) -> dict[str, float] | None:
    """Return the largest errors by name of a text such as 0.01 or t2m=0.05,precip=0.1.

    Raises:
        ArgumentError: It is something else.
    """
    if text is None:
        return None
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.rpartition("=")
        name = name.strip() if equals else "*"
        try:
            bound = float(value)
        except ValueError:
            bound = math.nan
        if not name or name in found or not 0 <= bound < math.inf:
            raise ArgumentError(
                f"--max-error {text!r:.60} is not a bound; write 0.01, or t2m=0.05,precip=0.1, or "
                "both"
            )
        found[name] = bound
    return found


@dataclass(frozen=True)
class CubeCompression:
    """Compresses data cubes; called with a step, whether to overwrite, and a report of progress.

    Attributes:
        codec: "ffv1", "x265", or the name of a codec of clips; None for ffv1.
        bounds: largest errors by name.
        quality: of lossy codecs.
        bits: of x265.
        dims: names of time, y and x.
        device: where networks run.
        weights: a file in place of the weights that ship.
    """

    codec: str | None
    bounds: dict[str, float] | None
    quality: int | None
    bits: int | None
    dims: str | None
    device: str = "auto"
    weights: str | None = None

    def prepare(self) -> None:
        """Raise what every cube would raise."""
        from quantal.cubes import check_options

        check_options(
            self.codec or "ffv1", self.bounds, self.quality, self.bits, self.dims, self.weights
        )

    def __call__(self, step: Step, force: bool, report: Report) -> Outcome:
        from quantal import cubes

        data = cubes.compress(
            step.source.content(),
            codec=self.codec or "ffv1",
            max_error=self.bounds,
            quality=self.quality,
            bits=self.bits,
            dims=self.dims,
            device=self.device,
            weights=self.weights,
            progress=report,
        )
        if step.target is None:
            with opened_stdout(force) as file:
                file.write(data)
        else:
            with opened_new(step.target, force, step.times) as file:
                file.write(data)
        return _outcome(step, cubes.probe(data), len(data))


@dataclass(frozen=True)
class CubeDecompression:
    """Decompresses data cubes; called as CubeCompression is.

    Attributes:
        format: "nc" or "zarr"; another is refused.
        device: where networks run.
        weights: a file in place of the weights that ship.
    """

    format: str
    device: str = "auto"
    weights: str | None = None

    def __call__(self, step: Step, force: bool, report: Report) -> Outcome:
        from quantal import cubes

        if self.format not in CUBE_FORMATS:
            raise ArgumentError(f"a data cube can't be written as {self.format}; nc and zarr can")
        content = step.source.content()
        with _placed(step.target, self.format, force) as place:
            cubes.decompress(content, place, device=self.device, weights=self.weights)
            written = _size_of(place)
        if step.target is not None and step.times is not None:
            os.utime(step.target, ns=step.times)
        return _outcome(step, cubes.probe(content), written)


@contextmanager
def _placed(target: Path | None, format: str, force: bool) -> Iterator[Path]:
    """Give the place of a result; for standard output, a temporary file that is copied there."""
    if target is not None:
        place = target if target.is_dir() else prepared(target)
        check_free(place, force)
        if place.suffix.lower() not in CUBE_SUFFIXES:
            place = place.with_name(f"{place.name}.{format}")
            raise ArgumentError(f"the name of a data cube ends in .nc or .zarr: {printable(place)}")
        yield place
        return
    if format == "zarr":
        raise ArgumentError("a folder of Zarr can't go to standard output; take nc")
    with opened_stdout(force) as stdout, tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "cube.nc")
        yield place
        with place.open("rb") as file:
            shutil.copyfileobj(file, stdout, _PIECE)


def _size_of(path: Path) -> int:
    """Return the bytes of a file, or of the files in a folder."""
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size


def _outcome(step: Step, info: CubeInfo, written: int) -> Outcome:
    coded = [variable for variable in info.variables if variable.bands]
    sizes = [variable.dims[axis] for variable in coded[:1] for axis in variable.axes]
    frames, height, width = sizes or (0, 0, 0)
    return Outcome(
        data=b"",
        codec=", ".join(info.codecs),
        width=width,
        height=height,
        bytes_in=step.source.size(),
        bpp=info.bits_per_value,
        quality=None,
        frames=frames,
        written=written,
        unit="bits per value",
        lines=tuple(_line(variable) for variable in coded),
        more={"variables": [_variable_document(variable) for variable in info.variables]},
    )


def _line(variable: VariableInfo) -> str:
    """Return a line about all bands of a variable."""
    bits = sum(band.bits_per_value for band in variable.bands) / len(variable.bands)
    error = max(band.max_error for band in variable.bands)
    known = [band.psnr for band in variable.bands if band.psnr is not None]
    psnr = f", PSNR {min(known):.2f} dB" if known else ""
    bands = "1 band" if len(variable.bands) == 1 else f"{len(variable.bands)} bands"
    name = printable(variable.name)
    return f"  {name}: {bands}, {bits:.3f} bits per value, largest error {error:.6g}{psnr}"


def cube_document(info: CubeInfo) -> dict[str, Any]:
    """Return what a .qcube file holds, for JSON."""
    return {
        "media": "cube",
        "codec": ", ".join(info.codecs),
        "bytes": info.bytes,
        "values": info.values,
        "bits_per_value": info.bits_per_value,
        "dims": info.dims,
        "variables": [_variable_document(variable) for variable in info.variables],
    }


def _variable_document(variable: VariableInfo) -> dict[str, Any]:
    return {
        "name": variable.name,
        "dims": variable.dims,
        "dtype": variable.dtype,
        "axes": list(variable.axes),
        "bytes": round(variable.bytes),
        "bands": [vars(band) | {"index": list(band.index)} for band in variable.bands],
    }


def print_cube(name: str, info: CubeInfo) -> None:
    """Print what a .qcube file holds."""
    dims = ", ".join(f"{printable(dim)} {size}" for dim, size in info.dims.items())
    say(f"{printable(name)}: data cube, {dims}")
    say(f"  {info.bytes:,} bytes, {info.bits_per_value:.4f} bits per value")
    for variable in info.variables:
        own = ", ".join(printable(dim) for dim in variable.dims)
        how = f"over {printable(variable.axes[0])}" if variable.axes else "kept"
        size = f"{variable.bytes:,.0f} bytes"
        say(f"  {printable(variable.name):<14} ({own}) {variable.dtype}, {how}, {size}")
        for band in variable.bands:
            place = ",".join(map(str, band.index)) or "all"
            bound = "" if band.bound is None else f" of {band.bound:.6g} allowed"
            psnr = "" if band.psnr is None else f", PSNR {band.psnr:.2f} dB"
            say(
                f"    band {place:<8} {band.codec}, {band.bits_per_value:.4f} bits per value, "
                f"largest error {band.max_error:.6g}{bound}{psnr}"
            )
