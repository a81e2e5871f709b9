"""Data cubes on the command line: there and back, lists, checks, mixtures, and wrong calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Quantal

xarray = pytest.importorskip("xarray")
pytest.importorskip("netCDF4")
pytest.importorskip("zarr")


@pytest.fixture
def cube(tmp_path: Path) -> Path:
    """A NetCDF file with two variables, 5 x 8 x 9, and a coordinate."""
    rng = np.random.default_rng(2)
    values = rng.normal(280, 5, (5, 8, 9)).astype(np.float32)
    values[:, 2, 3] = np.nan
    dataset = xarray.Dataset(
        {
            "t2m": (("time", "lat", "lon"), values, {"units": "K"}),
            "wind": (("time", "lat", "lon"), rng.normal(0, 3, (5, 8, 9))),
        },
        {"lat": np.linspace(50, 40, 8)},
    )
    path = tmp_path / "cube.nc"
    dataset.to_netcdf(path)
    return path


def read(path: Path) -> Any:
    if path.suffix == ".zarr":
        return xarray.open_dataset(path, engine="zarr").load()
    with xarray.open_dataset(path) as dataset:
        return dataset.load()


def error(a: Path, b: Path, name: str) -> float:
    return float(np.nanmax(np.abs(read(a)[name].astype(float) - read(b)[name].astype(float))))


def test_a_cube_goes_there_and_back(cube: Path, quantal: Quantal) -> None:
    call = quantal("compress", cube)
    assert call.status == 0, call.err
    assert "bits per value" in call.out and "t2m: 1 band" in call.out
    coded = cube.with_suffix(".qcube")
    for name in ("back.nc", "back.zarr"):
        call = quantal("decompress", coded, "-o", cube.with_name(name))
        assert call.status == 0, call.err
        xarray.testing.assert_identical(read(cube.with_name(name)), read(cube))
    call = quantal("compress", cube.with_name("back.zarr"), "--json")
    assert call.status == 0, call.err
    assert cube.with_name("back.qcube").is_file()


def test_bounds_are_kept_and_reported(cube: Path, quantal: Quantal) -> None:
    call = quantal("compress", cube, "--max-error", "0.5,wind=0.01", "--json")
    (entry,) = call.document
    found = {v["name"]: v for v in entry["variables"]}
    assert (entry["frames"], entry["height"], entry["width"]) == (5, 8, 9)
    back = cube.with_name("b.nc")
    assert quantal("decompress", cube.with_suffix(".qcube"), "-o", back).status == 0
    for name, bound in (("t2m", 0.5), ("wind", 0.01)):
        (band,) = found[name]["bands"]
        assert band["bound"] == bound
        assert band["max_error"] == error(cube, back, name) <= bound
        assert band["psnr"] > 10 and band["bits_per_value"] > 0


@pytest.mark.parametrize("options", [("-q", 80), ("--max-error", 1.5, "--bits", 10)])
def test_x265_is_a_codec_of_cubes(cube: Path, quantal: Quantal, options: tuple[Any, ...]) -> None:
    assert quantal("compress", cube, "--codec", "x265", *options).status == 0
    call = quantal("info", cube.with_suffix(".qcube"), "--json")
    assert call.document["codec"] == "x265"


@pytest.mark.usefixtures("little_video")
def test_a_codec_of_clips_is_one_of_cubes(cube: Path, quantal: Quantal) -> None:
    assert quantal("compress", cube, "--codec", "little-video", "-q", 90).status == 0
    coded = cube.with_suffix(".qcube")
    assert quantal("verify", coded).out == f"{coded}: ok\n"
    assert quantal("decompress", coded, "-o", cube.with_name("b.nc")).status == 0
    assert error(cube, cube.with_name("b.nc"), "t2m") < 2


def test_info_lists_every_band(cube: Path, quantal: Quantal) -> None:
    assert quantal("compress", cube, "--max-error", "0.1").status == 0
    coded = cube.with_suffix(".qcube")
    call = quantal("info", coded)
    assert call.status == 0
    for text in ("time 5, lat 8, lon 9", "t2m", "of 0.1 allowed", "lat", "kept", "ffv1", "PSNR"):
        assert text in call.out
    document = quantal("info", coded, "--json").document
    assert document["media"] == "cube" and document["dims"] == {"time": 5, "lat": 8, "lon": 9}
    assert [v["axes"] for v in document["variables"] if v["name"] == "wind"] == [
        ["time", "lat", "lon"]
    ]


def test_verify_names_what_is_damaged(cube: Path, quantal: Quantal) -> None:
    quantal("compress", cube)
    coded = cube.with_suffix(".qcube")
    assert quantal("verify", coded).status == 0
    data = bytearray(coded.read_bytes())
    data[-20] ^= 1
    coded.write_bytes(data)
    call = quantal("verify", coded, "--checksums")
    assert call.status == 1 and "damaged" in call.err
    coded.write_bytes(data[:-30])
    call = quantal("decompress", coded, "-o", cube.with_name("b.nc"))
    assert call.status == 1 and "it was cut" in call.err
    assert not cube.with_name("b.nc").exists()


def test_streams_hold_cubes(cube: Path, quantal: Quantal) -> None:
    call = quantal("compress", "-", "-o", "-", stdin=cube.read_bytes())
    assert call.status == 0, call.err
    back = quantal("decompress", "-", "-o", "-", stdin=call.raw)
    cube.with_name("b.nc").write_bytes(back.raw)
    xarray.testing.assert_identical(read(cube.with_name("b.nc")), read(cube))
    assert quantal("decompress", "-", "-o", "-", "--format", "zarr", stdin=call.raw).status == 1


def test_a_folder_holds_pictures_and_cubes(
    cube: Path, quantal: Quantal, small_photograph: Image.Image
) -> None:
    folder = cube.parent
    quantal("compress", cube)
    quantal("decompress", cube.with_suffix(".qcube"), "-o", folder / "sub" / "other.zarr")
    cube.with_suffix(".qcube").unlink()
    small_photograph.save(folder / "a.png")
    call = quantal("compress", folder, "-r", "-o", folder / "out")
    assert call.status == 0, call.err
    found = {str(p.relative_to(folder / "out")) for p in (folder / "out").rglob("*") if p.is_file()}
    assert found == {"a.qtl", "cube.qcube", str(Path("sub", "other.qcube"))}
    call = quantal("decompress", folder / "out", "-r", "-o", folder / "back")
    assert call.status == 0, call.err
    assert (folder / "back" / "a.png").is_file() and (folder / "back" / "cube.nc").is_file()


def test_existing_outputs_are_kept(cube: Path, quantal: Quantal) -> None:
    quantal("compress", cube)
    for name in ("back.nc", "back.zarr"):
        target = cube.with_name(name)
        assert quantal("decompress", cube.with_suffix(".qcube"), "-o", target).status == 0
        call = quantal("decompress", cube.with_suffix(".qcube"), "-o", target)
        assert call.status == 1 and "--force" in call.err
        assert quantal("decompress", cube.with_suffix(".qcube"), "-o", target, "-f").status == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-q", 50], "ffv1 takes no quality; say which error is allowed: --max-error"),
        (["--bpp", 1], "--bpp does not apply to a data cube"),
        (["--effort", 1], "--effort does not apply to a data cube"),
        (["--kbps", 9], "--kbps does not apply to a data cube"),
        (["--codec", "x264"], "there is no codec 'x264'"),
        (["--codec", "vq"], "codec 'vq' codes no data cubes"),
        (["--max-error", "a=b"], "--max-error 'a=b' is not a bound"),
        (["--max-error", "-1"], "--max-error '-1' is not a bound"),
        (["--dims", "time"], "dims must be three names"),
        (["--codec", "x265", "--bits", 9], "bits must be one of 8, 10, 12"),
    ],
)
def test_wrong_calls_are_refused_before_work(
    cube: Path, quantal: Quantal, options: list[Any], message: str
) -> None:
    call = quantal("compress", cube, *options)
    assert call.status == 2
    assert message in call.err
    assert not cube.with_suffix(".qcube").exists()


def test_what_a_dataset_lacks_is_named_with_the_option(cube: Path, quantal: Quantal) -> None:
    call = quantal("compress", cube, "--dims", "a,b,c")
    assert call.status == 1 and call.err.rstrip().endswith(": --dims time,lat,lon")
    call = quantal("compress", cube, "--max-error", "foo=1")
    assert call.status == 1 and "must be one of t2m, wind" in call.err
    call = quantal("compress", cube, "--codec", "x265", "--max-error", "1e-9")
    assert call.status == 1 and call.err.rstrip().endswith(": --codec ffv1")


def test_options_of_cubes_are_none_of_pictures(
    quantal: Quantal, tmp_path: Path, small_photograph: Image.Image
) -> None:
    small_photograph.save(tmp_path / "a.png")
    call = quantal("compress", tmp_path / "a.png", "--max-error", "1")
    assert call.status == 2
    assert "--max-error does not apply to a picture or a clip" in call.err
