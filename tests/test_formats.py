"""Data cubes, features and shards written once open ever after; tests/golden/make.py made them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import quantal

GOLDEN = Path(__file__).parent / "golden"
FORMATS = GOLDEN / "formats"
sys.path.insert(0, str(GOLDEN))

from make import waves  # noqa: E402

sys.path.pop(0)


def test_a_data_cube_is_as_near_as_it_promised() -> None:
    pytest.importorskip("xarray", reason="comes with the extra `xarray`")
    pytest.importorskip("av", reason="comes with the extra `video`")
    found = quantal.cubes.decompress(FORMATS / "cube.qcube")["height"]
    assert found.dims == ("time", "y", "x") and found.attrs == {"units": "m"}
    assert found.dtype == np.float32
    assert np.abs(found.values - waves()).max() <= 0.01


def test_features_are_as_near_as_they_promised() -> None:
    pytest.importorskip("torch", reason="comes with the extra `torch`")
    from quantal.latents import features

    found = features.decode(FORMATS / "features.qtl").numpy()
    assert found.dtype == np.float32
    assert np.abs(found - waves()).max() <= 0.05


def test_a_shard_gives_the_files_that_it_was_made_of(tmp_path: Path) -> None:
    quantal.latents.unpack(FORMATS / "context-s.qshard", tmp_path)
    expected = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
    names = {name.partition("/")[2] for name in expected if name.startswith("context-s/")}
    assert {path.stem for path in tmp_path.iterdir()} == names
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (GOLDEN / "context-s" / path.name).read_bytes()
