"""Which dimensions of a dataset are time, y and x: by attributes, then by well-known names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quantal.arguments import typed
from quantal.errors import ArgumentError, MediaError

__all__ = ["Axes", "axes_of", "find_axes", "no_cube", "parse_dims"]

Axes = tuple[str, str, str]
"""Names of time, y and x."""

#: By the attributes `axis` and `standard_name` of coordinates.
_AXIS = {"T": 0, "Y": 1, "X": 2}
_STANDARD = {
    "time": 0,
    "forecast_period": 0,
    "latitude": 1,
    "grid_latitude": 1,
    "projection_y_coordinate": 1,
    "longitude": 2,
    "grid_longitude": 2,
    "projection_x_coordinate": 2,
}
_NAMES: tuple[frozenset[str], ...] = (
    frozenset(
        [
            "time",
            "t",
            "valid_time",
            "datetime",
            "date",
            "day",
            "month",
            "year",
            "step",
            "times",
            "xtime",
            "ocean_time",
        ]
    ),
    frozenset(
        [
            "lat",
            "latitude",
            "y",
            "nlat",
            "rlat",
            "yc",
            "northing",
            "j",
            "south_north",
            "nav_lat",
            "eta_rho",
            "eta",
            "yh",
            "y_1",
            "row",
        ]
    ),
    frozenset(
        [
            "lon",
            "longitude",
            "x",
            "nlon",
            "rlon",
            "xc",
            "easting",
            "i",
            "west_east",
            "nav_lon",
            "xi_rho",
            "xi",
            "xh",
            "x_1",
            "col",
            "long",
        ]
    ),
)


def parse_dims(dims: str | Iterable[str] | None) -> Axes | None:
    """Return the names of time, y and x that a user gives, "time,lat,lon"; None of None.

    Raises:
        ArgumentError: They are not three names.
    """
    if dims is None:
        return None
    names = dims.split(",") if isinstance(dims, str) else list(dims)
    names = [typed("dims", name, str).strip() for name in names]
    if len(names) != 3 or len(set(names)) != 3 or not all(names):
        raise ArgumentError(
            f"dims must be three names, of time, y and x, such as time,lat,lon; not {dims!r:.60}"
        )
    return names[0], names[1], names[2]


def find_axes(dataset: Any) -> list[tuple[str, ...]]:
    """Return the names of the dimensions of a dataset that are time, y and x, likeliest first.

    Args:
        dataset: an xarray.Dataset.
    """
    found: list[list[tuple[int, str]]] = [[], [], []]
    for dim in dataset.dims:
        name = str(dim)
        attrs = dataset.variables[dim].attrs if dim in dataset.variables else {}
        kind = _AXIS.get(str(attrs.get("axis", "")).upper())
        sure = 0
        if kind is None:
            kind, sure = _STANDARD.get(str(attrs.get("standard_name", ""))), 1
        if kind is None and dim in dataset.variables:
            kind, sure = (0 if dataset.variables[dim].dtype.kind == "M" else None), 2
        if kind is None:
            short, sure = name.lower(), 3
            kind = next((k for k, names in enumerate(_NAMES) if short in names), None)
        if kind is not None:
            found[kind].append((sure, name))
    return [tuple(name for _, name in sorted(each, key=lambda e: e[0])) for each in found]


def axes_of(dims: tuple[str, ...], found: list[tuple[str, ...]]) -> Axes | None:
    """Return which of a variable's dimensions are time, y and x; None if it lacks one."""
    names = [next((name for name in each if name in dims), None) for each in found]
    time, y, x = names
    return None if time is None or y is None or x is None else (time, y, x)


def no_cube(dataset: Any, axes: Axes | None) -> MediaError:
    """Return the error of a dataset of which no variable can be coded over time."""
    held = ", ".join(f"{name!s:.40} ({size})" for name, size in dataset.sizes.items()) or "none"
    asked = "time, y and x" if axes is None else ", ".join(axes)
    return MediaError(
        f"no variable of numbers has the dimensions {asked}; the dataset's are {held}: name those "
        "of time, y and x",
        code="dims",
    )
