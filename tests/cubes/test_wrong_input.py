"""Wrong options, datasets and files give errors that say what to do."""

from __future__ import annotations

import json
import os
import sys
import zlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from quantal import cubes
from quantal.cubes import _file
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    MediaError,
    OutputError,
    QuantalError,
    TruncatedError,
    UnsupportedVersionError,
)

xarray = pytest.importorskip("xarray")


@pytest.fixture(scope="module")
def coded(plain: Any) -> bytes:
    return cubes.compress(
        plain.assign(
            label=("x", [f"n{n}" for n in range(30)]),
            count=("y", [1, 1 << 62, *range(18)]),
        ),
        max_error=0.1,
    )


def forged(data: bytes, **changes: Any) -> bytes:
    """The same sections behind another header, with right checksums."""
    sections = _file.unpack(data)
    contents = [sections.read(n) for n in range(len(sections.places))]
    header = json.loads(json.dumps(sections.header))
    header.pop("sections")
    for path, value in changes.items():
        at, *rest = path.split("__")
        target: Any = header
        for part in rest:
            target, at = target[int(at) if at.isdigit() else at], part
        target[int(at) if at.isdigit() else at] = value
    return _file.pack(header, contents)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 50}, "ffv1 takes no quality; say which error"),
        ({"bits": 8}, "ffv1 takes no bits"),
        ({"codec": "x265", "bits": 9}, "one of 8, 10, 12, not 9"),
        ({"codec": "x265", "quality": 101}, r"quality must be 1\.\.100"),
        ({"codec": "x265", "weights": "a"}, "x265 takes no weights"),
        ({"codec": "context-m"}, "codes no data cubes; ffv1, x265"),
        ({"codec": "nonesuch"}, "codes no data cubes"),
        ({"max_error": -1}, "max_error must be positive"),
        ({"max_error": float("nan")}, "max_error must be positive"),
        ({"max_error": "0.1"}, "max_error must be a number"),
        ({"max_error": {"u": 1}}, "max_error's name must be one of t"),
        ({"dims": "time,y"}, "dims must be three names"),
        ({"dims": "time,y,y"}, "dims must be three names"),
    ],
)
def test_impossible_options_are_refused(plain: Any, options: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cubes.compress(plain, **options)


@pytest.mark.parametrize("codec", ["ffv1", "x265"])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_refused(plain: Any, codec: str, value: float) -> None:
    bad = plain.copy(deep=True)
    bad["t"][0, 0, 0] = value
    with pytest.raises(MediaError, match=r"'t' has infinite values"):
        cubes.compress(bad, codec=codec)


def test_what_is_no_cube_is_refused(tmp_path: Path, plain: Any) -> None:
    (tmp_path / "text.nc").write_text("no cube")
    (tmp_path / "folder").mkdir()
    for source in (tmp_path / "text.nc", tmp_path / "folder", tmp_path / "none.nc", b"CDF\x01x"):
        with pytest.raises(MediaError):
            cubes.compress(source)
    for source in (plain["t"], 3, None):
        with pytest.raises(ArgumentError):
            cubes.compress(source)
    flat = xarray.Dataset({"v": (("y", "x"), np.zeros((3, 4)))})
    with pytest.raises(MediaError, match="no variable of numbers has the dimensions"):
        cubes.compress(flat)
    objects = plain.assign(o=("x", np.array([{}] * 30, object)))
    with pytest.raises(MediaError, match="'o' holds dict objects"):
        cubes.compress(objects)
    with pytest.raises(ArgumentError, match="attribute 'a' of the dataset"):
        cubes.compress(plain.assign_attrs(a=object()))


def test_without_the_packages_the_error_says_what_to_install(
    plain: Any, coded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    for call in (lambda: cubes.compress(plain), lambda: cubes.decompress(coded)):
        with pytest.raises(ArgumentError, match=r"pip install 'quantal\[xarray\]'"):
            call()
    assert cubes.probe(coded).values == 8 * 20 * 30


def test_outputs_are_written_whole_or_not_at_all(tmp_path: Path, coded: bytes) -> None:
    with pytest.raises(ArgumentError, match=r"can't be written as \.grib"):
        cubes.decompress(coded, tmp_path / "a.grib")
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match="holds no Zarr"):
        cubes.decompress(coded, tmp_path / "mine.zarr")
    with pytest.raises(OutputError):
        cubes.decompress(coded, tmp_path / "no" / "such" / "a.nc")
    assert sorted(os.listdir(tmp_path)) == ["mine.zarr"]


def test_a_cut_file_is_cut(coded: bytes) -> None:
    for length in [*range(0, 200, 7), *np.linspace(200, len(coded) - 1, 60).astype(int)]:
        with pytest.raises(TruncatedError):
            cubes.verify(coded[:length])


def test_every_damaged_byte_is_noticed(coded: bytes) -> None:
    rng = Random(1)
    for place in rng.sample(range(len(coded)), 300):
        damaged = bytearray(coded)
        damaged[place] ^= 1 << rng.randrange(8)
        with pytest.raises(BitstreamError):
            cubes.verify(bytes(damaged))
    with pytest.raises(CorruptError, match="belong to nothing"):
        cubes.probe(coded + b"x")


def test_other_files_and_later_versions_are_refused(coded: bytes) -> None:
    with pytest.raises(CorruptError, match=r"not a \.qcube file"):
        cubes.probe(b"\x8bQTL" + coded[4:])
    with pytest.raises(UnsupportedVersionError, match="update Quantal"):
        cubes.probe(coded[:4] + b"\x02" + coded[5:])


@pytest.mark.parametrize(
    "changes",
    [
        {"dims__time": 1 << 39},
        {"dims__time": 9},
        {"dims__time": -1},
        {"dims__y": 1 << 20},
        {"dims__x": 31},
        {"dims__x": 1 << 20},
        {"dims": []},
        {"variables": {}},
        {"variables__0__bands": []},
        {"variables__0__bands__0__streams": []},
        {"variables__0__bands__0__streams__0__section": 99},
        {"variables__0__bands__0__streams__0__codec": "x265"},
        {"variables__0__bands__0__streams__0__codec": "No Codec"},
        {"variables__0__bands__0__levels__step": 0},
        {"variables__0__bands__0__levels__offset": True},
        {"variables__0__dims": ["time", "y"]},
        {"variables__0__dims": ["time", "y", "y"]},
        {"variables__0__axes": ["time", "time", "x"]},
        {"variables__0__dtype": "O"},
        {"variables__0__dtype": "<U9"},
        {"variables__0__name": "label"},
        {"variables__0__attrs": {"a": {"array": ["<f8", [1 << 40], ""]}}},
        {"variables__0__attrs": {"a": {"system": "ls"}}},
        {"variables__1__kept__size": 1 << 40},
        {"variables__1__kept__form": "text"},
        {"variables__1__dtype": "<U999999"},
        {"variables__2__dtype": "<M8[0s]"},
        {"variables__2__dtype": "<M8[7D]"},
        {"variables__2__dtype": "<m8[999999h]"},
        {"variables__2__encoding": {"dtype": "datetime64[0s]"}},
        {"variables__2__attrs": {"a": {"dtype": "<m8[0s]"}}},
        {"attrs": None},
    ],
    ids=str,
)
def test_headers_that_lie_are_refused_before_memory_is_taken(
    coded: bytes, changes: dict[str, Any]
) -> None:
    with pytest.raises(CorruptError):
        cubes.decompress(forged(coded, **changes))


def test_nothing_is_used_twice(plain: Any) -> None:
    holed = plain.expand_dims("member").where(plain > -10)
    data = cubes.compress(holed)
    (variable,) = _file.unpack(data).header["variables"]
    (band,) = variable["bands"]
    (mask,) = band["missing"]
    kept = variable | {"name": "b", "dtype": "|u1", "dims": [], "kept": {"form": "text", "size": 1}}
    kept["kept"]["section"] = mask["section"]
    for changes in (
        {"dims__member": 3, "variables__0__bands": [band] * 3},
        {"variables__0__bands__0__missing": [mask, mask]},
        {"variables__0__bands__0__streams": band["streams"] * 2},
        {"variables": [variable, kept]},
    ):
        with pytest.raises(CorruptError, match="uses of section"):
            cubes.probe(forged(data, **changes))


def test_a_header_may_nest_and_grow_only_so_far(coded: bytes) -> None:
    head = b'{"sections":' + b"[" * 200_000
    start = _file._FIXED.pack(_file.MAGIC, 1, len(head)) + head
    with pytest.raises(CorruptError, match="can't be read"):
        cubes.probe(start + zlib.crc32(start).to_bytes(4, "little"))
    with pytest.raises(CorruptError, match="expected at most"):
        cubes.probe(_file._FIXED.pack(_file.MAGIC, 1, 1 << 30))


def test_forged_streams_are_damaged_files(coded: bytes) -> None:
    sections = _file.unpack(coded)
    contents = [sections.read(n) for n in range(len(sections.places))]
    header = {key: value for key, value in sections.header.items() if key != "sections"}
    rng = Random(4)
    for _ in range(60):
        changed = list(contents)
        place = rng.randrange(len(changed))
        piece = bytearray(changed[place])
        for _ in range(rng.choice((1, 5, 50))):
            piece[rng.randrange(len(piece))] = rng.randrange(256)
        changed[place] = bytes(piece)
        try:
            cubes.decompress(_file.pack(header, changed))
        except QuantalError as error:
            assert isinstance(error, BitstreamError)


def test_a_dimension_twice_is_refused(plain: Any) -> None:
    with pytest.warns(UserWarning):
        twice = plain.assign(c=(("x", "x"), np.zeros((30, 30))))
    with pytest.raises(MediaError, match="'c' has a dimension twice"):
        cubes.compress(twice)


def test_a_list_needs_no_more_than_the_header(tmp_path: Path, coded: bytes) -> None:
    path = tmp_path / "a.qcube"
    path.write_bytes(coded)
    assert cubes.probe(path) == cubes.probe(coded) == cubes.probe(memoryview(coded))
    with pytest.raises(MediaError, match="can't be read"):
        cubes.probe(tmp_path / "none.qcube")
