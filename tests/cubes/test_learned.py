"""Cubes by a codec of clips: three bands are the colours of its frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quantal import cubes
from quantal.errors import CorruptError, ModelError, TargetError
from tests.cubes.conftest import field
from tests.cubes.test_wrong_input import forged
from tests.little_video import LittleVideo

xarray = pytest.importorskip("xarray")


@pytest.fixture
def five() -> Any:
    """Two variables of one size with five bands in all, and one of another size."""
    levels = field(50, 3, 12, 14)
    levels[:, 1, 3:5] = np.nan
    return xarray.Dataset(
        {
            "levels": (("time", "level", "y", "x"), levels),
            "more": (("time", "y", "member", "x"), field(50, 12, 2, 14).astype(np.float32)),
            "other": (("step", "y", "x"), field(3, 12, 14)),
        }
    )


def test_bands_go_three_by_three(little_video: LittleVideo, five: Any) -> None:
    data = cubes.compress(five, codec=little_video, quality=90)
    found = cubes.decompress(data)
    info = {v.name: v for v in cubes.probe(data).variables}
    assert cubes.probe(data).codecs == ("little-video",)
    for name in five:
        error = np.nanmax(np.abs(found[name] - five[name]))
        assert error == pytest.approx(max(b.max_error for b in info[name].bands))
        assert error < 3
        assert np.array_equal(np.isnan(found[name]), np.isnan(five[name]))
    cubes.verify(data)


def test_bands_share_a_stream_only_as_its_channels(little_video: LittleVideo, five: Any) -> None:
    data = cubes.compress(five[["levels"]], codec=little_video)
    for name, value in (("channel", 1), ("rate", 7), ("model_hash", "00"), ("codec", "other")):
        with pytest.raises(CorruptError, match="3 found"):
            cubes.probe(
                forged(data, **{f"variables__0__bands__0__streams__0__{name}": value}),
            )


def test_the_bound_holds_or_is_refused(little_video: LittleVideo, five: Any) -> None:
    data = cubes.compress(five, codec="little-video", max_error={"levels": 2.0, "*": 4.0})
    found = cubes.decompress(data)
    assert np.nanmax(np.abs(found["levels"] - five["levels"])) <= 2.0
    assert np.nanmax(np.abs(found["more"] - five["more"])) <= 4.0
    coarser = cubes.compress(five, codec="little-video", max_error=8.0)
    assert len(coarser) < len(data)
    with pytest.raises(TargetError, match=r"little-video can't keep the bound: 'levels'"):
        cubes.compress(five, codec="little-video", max_error={"levels": 0.001})


def test_a_file_needs_the_model_that_wrote_it(little_video: LittleVideo, five: Any) -> None:
    data = cubes.compress(five, codec=little_video)
    little_video.model_hash = b"else"
    with pytest.raises(ModelError):
        cubes.decompress(data)
