"""Tars of webdataset as sources and as targets."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from quantal.engine.places import Place
from quantal.engine.rows import Order
from quantal.engine.shards import bundle, key_of, members
from tests.engine.conftest import Calls


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two tars of the same names: pictures with classes, and one without."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        files = [(f"{n:03}.txt", b"ab" * (n + 1 + number)) for n in range(3)]
        classes = [(f"{n:03}.cls", str(n).encode()) for n in range(2)]
        (folder / f"part-{number}.tar").write_bytes(bundle([*files, *classes]))
    return folder


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def test_a_member_is_named_by_where_it_lies(shards: Path) -> None:
    found = list(members(Place(str(shards)), "part-1.tar", {".txt"}))
    assert [(m.name, m.size, len(m.beside)) for m in found] == [
        ("000.txt", 4, 1),
        ("001.txt", 6, 1),
        ("002.txt", 8, 0),
    ]
    data = (shards / "part-1.tar").read_bytes()
    assert data[found[1].offset : found[1].offset + 6] == b"ababab"
    name, offset, size = found[1].beside[0]
    assert (name, data[offset : offset + size]) == ("001.cls", b"1")
    assert key_of("a.b/c.seg.png") == "a.b/c"


def test_members_become_files(call: Calls, shards, tmp_path) -> None:
    summary = call(shards, tmp_path / "out")
    assert (summary.files, summary.done) == (6, 6)
    assert (tmp_path / "out/part-1/001.out").read_bytes() == b"ab" * 6
    assert call(shards, tmp_path / "out").finished == 6


def test_a_batch_becomes_a_tar_with_what_lies_beside(call: Calls, shards, tmp_path) -> None:
    target = tmp_path / "out"
    assert call(shards, target, tar=True).done == 6
    found: dict[str, bytes] = {}
    for path in target.glob("*.tar"):
        found |= contents(path)
    assert found["part-1/001.out"] == b"ab" * 6 and found["part-1/001.cls"] == b"1"
    assert len(found) == 10
    assert call(shards, target, tar=True).finished == 6
    next(target.glob("*.tar")).unlink()
    assert call(shards, target, tar=True).done > 0


def test_a_damaged_tar_fails_alone(call: Calls, shards, tmp_path) -> None:
    (shards / "part-0.tar").write_bytes(b"no tar" * 200)
    (shards / "loose.txt").write_text("loose")
    summary = call(shards, tmp_path / "out")
    assert summary.done == 4
    assert len(summary.failures) == 1 and "not a tar that can be read in place" in str(
        summary.failures[0]
    )


def test_a_member_does_not_lead_out_of_the_target(call: Calls, tmp_path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("../../evil.txt")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.tar").write_bytes(file.getvalue())
    order = Order({".txt"}, ".out", recursive=True)
    summary = call(tmp_path / "in", tmp_path / "out", order=order)
    assert "leads out of the target" in str(summary.failures) and not summary.done
    assert not list(tmp_path.rglob("evil*"))
