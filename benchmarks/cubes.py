"""Data cubes: bits per value, error, PSNR and seconds of our codecs, of NetCDF's zlib and of zfp.

    python benchmarks/cubes.py air_temperature.nc:Tair eraint_uvz.nc:u ... [--bound 0.001]

Each variable is coded alone, without coordinates. `--bound` is the largest error as a part of the
range of the variable's values. "packed" rounds to whole numbers of a step of twice the bound, as
NetCDF's packing does. zfp is left out unless zfpy is installed; it gets missing values as their
mean, and codes no mask. One thread each.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from numpy.typing import NDArray

from quantal import cubes
from quantal.errors import QuantalError
from quantal.markdown import table

Values = NDArray[Any]
Coded = tuple[int, Values, float, float]  # bytes, values, seconds to code and to decode


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def ours(dataset: Any, name: str, **options: Any) -> Coded:
    data, coding = timed(lambda: cubes.compress(dataset, **options))
    found, decoding = timed(lambda: cubes.decompress(data))
    return len(data), found[name].values, coding, decoding


def netcdf(dataset: Any, name: str, bound: float | None) -> Coded:
    encoding: dict[str, Any] = {"zlib": True, "complevel": 9, "shuffle": True}
    values = dataset[name].values
    if bound is None:
        # As the file holds it: packed variables stay packed.
        packing = ("dtype", "scale_factor", "add_offset", "_FillValue")
        encoding |= {k: v for k, v in dataset[name].encoding.items() if k in packing}
    else:
        levels = (np.nanmax(values) - np.nanmin(values)) / (2 * bound)
        dtype = "int16" if levels < 65000 else "int32"
        middle = float(np.nanmax(values) + np.nanmin(values)) / 2
        encoding |= {"dtype": dtype, "scale_factor": 2 * bound, "add_offset": middle}
        encoding["_FillValue"] = np.iinfo(dtype).min
    plain = dataset.copy()
    plain[name].encoding = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.nc")
        _, coding = timed(
            lambda: plain.to_netcdf(path, engine="netcdf4", encoding={name: encoding})
        )
        size = path.stat().st_size

        def read() -> Values:
            with xarray.open_dataset(path, engine="netcdf4") as found:
                return found[name].values

        found, decoding = timed(read)
    return size, found, coding, decoding


def zfp(zfpy: Any, dataset: Any, name: str, bound: float | None) -> Coded:
    values = dataset[name].values
    holes = np.isnan(values)
    whole = np.ascontiguousarray(np.where(holes, np.nanmean(values), values).astype(values.dtype))
    options = {} if bound is None else {"tolerance": bound}
    data, coding = timed(lambda: zfpy.compress_numpy(whole, **options))
    found, decoding = timed(lambda: zfpy.decompress_numpy(data))
    return len(data), np.where(holes, np.nan, found), coding, decoding


def row(method: str, given: Values, code: Callable[[], Coded]) -> list[str]:
    try:
        size, found, coding, decoding = code()
    except QuantalError as error:
        return [method, f"— ({type(error).__name__})", "", "", "", ""]
    errors = np.abs(found.astype(np.float64) - given.astype(np.float64))
    span = np.nanmax(given.astype(np.float64)) - np.nanmin(given.astype(np.float64))
    largest, mse = np.nanmax(errors), np.nanmean(np.square(errors))
    psnr = f"{20 * np.log10(span) - 10 * np.log10(mse):.1f}" if mse else "∞"
    bits = f"{8 * size / given.size:.3f}"
    return [method, bits, f"{largest:.3g}", psnr, f"{coding:.2f}", f"{decoding:.2f}"]


def rows(dataset: Any, name: str, part: float) -> list[list[str]]:
    given = dataset[name].values
    bound = part * float(np.nanmax(given) - np.nanmin(given))
    try:
        zfpy = importlib.import_module("zfpy")
    except ImportError:
        zfpy = None
    methods: list[tuple[str, Callable[[], Coded]]] = [
        ("NetCDF4, zlib 9, shuffle", lambda: netcdf(dataset, name, None)),
        ("zfp, lossless", lambda: zfp(zfpy, dataset, name, None)),
        ("ffv1", lambda: ours(dataset, name)),
        ("NetCDF4, packed, zlib 9, shuffle", lambda: netcdf(dataset, name, bound)),
        ("zfp, tolerance", lambda: zfp(zfpy, dataset, name, bound)),
        (f"ffv1 --max-error {bound:.4g}", lambda: ours(dataset, name, max_error=bound)),
        (
            f"x265 --max-error {bound:.4g}",
            lambda: ours(dataset, name, codec="x265", max_error=bound),
        ),
        (
            f"ffv1 --max-error {10 * bound:.4g}",
            lambda: ours(dataset, name, max_error=10 * bound),
        ),
        (
            f"x265 --max-error {10 * bound:.4g}",
            lambda: ours(dataset, name, codec="x265", max_error=10 * bound),
        ),
        ("x265 -q 60", lambda: ours(dataset, name, codec="x265", quality=60)),
        ("x265 -q 90", lambda: ours(dataset, name, codec="x265", quality=90)),
    ]
    return [
        row(method, given, code)
        for method, code in methods
        if zfpy is not None or not method.startswith("zfp")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variables", nargs="+", metavar="FILE:VARIABLE")
    parser.add_argument("--bound", type=float, default=1e-3, help="part of the range")
    options = parser.parse_args()
    heads = ["method", "bits per value", "largest error", "PSNR, dB", "coding, s", "decoding, s"]
    for each in options.variables:
        path, _, name = each.rpartition(":")
        with xarray.open_dataset(path) as opened:
            dataset = opened[[name]].load().drop_vars(list(opened.coords), errors="ignore")
        variable = dataset[name]
        sides = " x ".join(f"{size} {dim}" for dim, size in variable.sizes.items())
        low, high = float(np.nanmin(variable)), float(np.nanmax(variable))
        held = variable.encoding.get("dtype", variable.dtype)
        print(f"\n{Path(path).name}, `{name}`: {sides}, {held}, {low:.4g} to {high:.4g}\n")
        print(table(heads, rows(dataset, name, options.bound)), flush=True)


if __name__ == "__main__":
    main()
