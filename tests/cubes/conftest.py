"""Datasets of every kind that a cube can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

xarray = pytest.importorskip("xarray")


def field(*shape: int, seed: int = 3) -> NDArray[np.float64]:
    """A smooth field that changes slowly over the first axis, about -40 to 40, with some noise."""
    rng = np.random.default_rng(seed)
    *rest, height, width = shape
    y, x = np.mgrid[:height, :width]
    time = np.arange(int(np.prod(rest))).reshape(*rest, 1, 1)
    waves = 20 * np.sin(x / 5 + time / 4) + 15 * np.cos(y / 7 - time / 9)
    return np.asarray(waves + rng.normal(0, 0.3, shape))


@pytest.fixture(scope="session")
def many() -> Any:
    """Variables of many kinds on one grid, latitudes from north to south."""
    time, height, width = 6, 11, 13
    sea = field(time, height, width) < -20
    temperature = (field(time, height, width) + 280).astype(np.float32)
    temperature[:, 3, 4:] = np.nan
    rng = np.random.default_rng(5)
    return xarray.Dataset(
        {
            "t2m": (("time", "lat", "lon"), temperature, {"units": "K", "_odd": np.int16(3)}),
            "precip": (("lat", "time", "lon"), np.maximum(field(height, time, width), 0)),
            "classes": (("time", "lat", "lon"), sea.astype(np.float32)),
            "counts": (("lon", "lat", "time"), rng.integers(-9000, 9000, (13, 11, 6), np.int16)),
            "levels": (
                ("time", "level", "lat", "lon"),
                field(time, 3, height, width).astype(np.float32),
            ),
            "land": (("lat", "lon"), rng.random((height, width)) < 0.5),
            "label": ((), "a cube"),
            "names": (("level",), np.array(["low", "mid", "high ü"])),
            "objects": (("level",), np.array(["low", None, "high"], object)),
            "odd name / ☃": (("time",), np.arange(time, dtype=np.uint8)),
        },
        {
            "time": np.arange("2020-02-28", "2020-03-05", dtype="datetime64[D]").astype("M8[ns]"),
            "lat": (("lat",), np.linspace(60, 50, height), {"standard_name": "latitude"}),
            "lon": np.linspace(-5, 7, width).astype(np.float32),
            "level": [1000, 850, 500],
            "orography": (("lat", "lon"), rng.normal(size=(height, width))),
            "age": (("time",), np.arange(time).astype("timedelta64[h]").astype("timedelta64[ns]")),
        },
        {"title": "everything", "numbers": np.array([1.5, 2.5]), "version": 3, "nothing": np.nan},
    )


@pytest.fixture(scope="session")
def plain() -> Any:
    """One variable of float32, 8 x 20 x 30."""
    values = field(8, 20, 30).astype(np.float32)
    return xarray.Dataset({"t": (("time", "y", "x"), values)})
