"""Datasets of xarray from NetCDF files and Zarr folders, and into them, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quantal.arguments import path as checked_path
from quantal.cubes._require import require
from quantal.errors import ArgumentError, MediaError, OutputError, QuantalError
from quantal.names import shown
from quantal.outputs import output_errors, replaced_whole

__all__ = ["NETCDF_SUFFIXES", "is_netcdf", "is_zarr", "opened", "save"]

NETCDF_SUFFIXES = (".nc", ".nc4", ".cdf", ".netcdf")
_BEGINNINGS = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n")
_ZARR = ("zarr.json", ".zgroup", ".zmetadata")


def is_netcdf(data: bytes) -> bool:
    """Whether bytes are the beginning of a NetCDF file."""
    return data.startswith(_BEGINNINGS)


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a Zarr folder."""
    return any(os.path.isfile(os.path.join(path, name)) for name in _ZARR)


@contextmanager
def opened(source: Any) -> Iterator[Any]:
    """Give an xarray.Dataset.

    Args:
        source: a Dataset, the path of a NetCDF file or a Zarr folder, or the bytes of a NetCDF
            file.

    Raises:
        ArgumentError: It is something else, or packages are missing.
        MediaError: It can't be read.
    """
    xarray = require("xarray")
    if isinstance(source, xarray.Dataset):
        yield source
        return
    if isinstance(source, xarray.DataArray):
        raise ArgumentError("a DataArray is not a Dataset; give array.to_dataset(name=...)")
    if isinstance(source, bytes):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "cube.nc")
            place.write_bytes(source)
            with opened(place) as dataset:
                yield dataset
        return
    name = checked_path("data cube", source)
    engine = "zarr" if os.path.isdir(name) else "netcdf4"
    require("zarr" if engine == "zarr" else "netCDF4")
    if engine == "zarr" and not is_zarr(name):
        raise MediaError(f"{shown(name)} is a folder, but holds no Zarr; name a .nc or .zarr")
    with _as_media_errors(name):
        dataset = xarray.open_dataset(name, engine=engine, chunks=None)
    try:
        yield dataset
    finally:
        dataset.close()


@contextmanager
def _as_media_errors(name: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about values that don't follow the conventions
            yield
    except (QuantalError, MemoryError):
        raise
    except Exception as error:  # the libraries raise many kinds
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{shown(name)} can't be read as a data cube: {reason!s:.200}") from error


def save(dataset: Any, target: str | os.PathLike[str]) -> None:
    """Write a dataset as a .nc file or a .zarr folder, which replaces one that is there.

    Raises:
        ArgumentError: The name has another suffix, or packages are missing.
        OutputError: It can't be written.
    """
    name = checked_path("data cube", target)
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in (*NETCDF_SUFFIXES, ".zarr"):
        raise ArgumentError(
            f"a data cube can't be written as {suffix or shown(name)}; .nc or .zarr can"
        )
    zarr = suffix == ".zarr"
    require("zarr" if zarr else "netCDF4")
    if zarr and os.path.isdir(name) and not is_zarr(name) and os.listdir(name):
        raise OutputError(f"{shown(name)} is a folder that holds no Zarr; name another place")
    with _replaced(name, zarr) as place, output_errors(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about types that Zarr's format does not specify
        try:
            if zarr:
                dataset.to_zarr(str(place), mode="w")
            else:
                dataset.to_netcdf(str(place), engine="netcdf4")
        except (MemoryError, OSError):
            raise
        except Exception as error:  # the libraries raise many kinds
            raise OutputError(f"{shown(name)} can't be written: {error!s:.200}") from error


@contextmanager
def _replaced(name: str, folder: bool) -> Iterator[Path]:
    """Give a place beside a name, which takes the name at the end."""
    target = Path(os.path.realpath(name))
    old = target.with_name(f".{target.name[:60]}.{secrets.token_hex(4)}.old")
    try:
        with replaced_whole(name) as place:
            yield place
            if folder and target.is_dir():  # which only an absent or empty folder can replace
                with output_errors(name):
                    os.rename(target, old)
    except BaseException:
        if old.exists():
            os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
