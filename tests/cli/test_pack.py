"""`quantal pack` and `quantal unpack`: shards of a folder and back, and every wrong call."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import quantal as quantal_package
from quantal.latents import Shard
from tests.cli.conftest import Quantal


@pytest.fixture
def tree(tmp_path: Path, coded: bytes) -> Path:
    """Two folders of three files."""
    folder = tmp_path / "tree"
    for name in ("a/x", "a/y", "b/x"):
        path = folder / f"{name}.qtl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(coded)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_goes_there_and_back(quantal: Quantal, tree, tmp_path) -> None:
    call = quantal("pack", tree, "-o", f"{tmp_path}/shards/")
    assert call.status == 0 and not call.err
    assert f"{tree} -> {tmp_path}/shards/  3 pictures in 1 shard" in call.out
    call = quantal("unpack", tmp_path / "shards", "-o", tmp_path / "back")
    assert call.status == 0 and "3 pictures" in call.out
    assert contents(tmp_path / "back") == contents(tree)


def test_processes_change_nothing(quantal: Quantal, tree, tmp_path) -> None:
    assert quantal("pack", tree, "-o", tmp_path / "one").status == 0
    assert quantal("pack", tree, "-o", tmp_path / "two", "--jobs", 2).status == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_quick_shards_are_larger_and_hold_the_same(quantal: Quantal, tree, tmp_path) -> None:
    for name, options in (("small", []), ("large", ["--quick"])):
        assert quantal("pack", tree, "-o", tmp_path / name, *options).status == 0
        assert quantal("unpack", tmp_path / name, "-o", tmp_path / f"{name}-back").status == 0
        assert contents(tmp_path / f"{name}-back") == contents(tree)
    small, large = (sum(map(len, contents(tmp_path / n).values())) for n in ("small", "large"))
    assert small < large


def test_json_is_one_document(quantal: Quantal, tree, tmp_path) -> None:
    found = quantal("pack", tree, "-o", tmp_path / "shards", "--json").document
    assert found["pictures"] == 3 and found["bytes_in"] == sum(map(len, contents(tree).values()))
    assert [len(Shard(path)) for path in found["shards"]] == [3]
    assert found["bytes_out"] == os.path.getsize(found["shards"][0])
    found = quantal("unpack", tmp_path / "shards", "-o", tmp_path / "back", "--json").document
    assert (found["pictures"], found["skipped"]) == (3, 0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_that_fail_are_named_and_the_rest_is_packed(
    quantal: Quantal, tree, tmp_path, jobs
) -> None:
    (tree / "a" / "x.qtl").write_bytes(b"junk")
    call = quantal("pack", tree, "-o", tmp_path / "shards", "--jobs", jobs)
    assert call.status == 1 and "2 pictures" in call.out
    assert call.err.startswith(f"{tree}/a/x.qtl: not a .qtl file") and call.err.count("\n") == 1


def test_where_every_file_fails_nothing_is_made(quantal: Quantal, tree, tmp_path) -> None:
    for path in tree.rglob("*.qtl"):
        path.write_bytes(b"junk")
    call = quantal("pack", tree, "-o", tmp_path / "shards")
    assert call.status == 1 and not call.out and not (tmp_path / "shards").exists()


def test_nothing_is_replaced_without_force(quantal: Quantal, tree, tmp_path) -> None:
    shards, back = tmp_path / "shards", tmp_path / "back"
    assert quantal("pack", tree, "-o", shards).status == 0
    call = quantal("pack", tree, "-o", shards)
    assert call.status == 1 and "holds shards already" in call.err and "--force" in call.err
    assert quantal("pack", tree, "-o", shards, "--force").status == 0
    assert quantal("unpack", shards, "-o", back).status == 0
    (back / "a" / "x.qtl").write_bytes(b"mine")
    call = quantal("unpack", shards, "-o", back)
    assert call.status == 1 and call.err.count("exists already; --force overwrites it") == 3
    call = quantal("unpack", shards, "-o", back, "--skip-existing")
    assert call.status == 0 and call.err == "skipped 3 pictures whose files exist\n"
    assert (back / "a" / "x.qtl").read_bytes() == b"mine"
    assert quantal("unpack", shards, "-o", back, "--force").status == 0
    assert contents(back) == contents(tree)


def test_weights_are_of_any_of_the_codecs_that_shards_name(
    quantal: Quantal, small_photograph, tmp_path
) -> None:
    """Pictures of the others are named; which shard comes first doesn't matter."""
    (tmp_path / "tree").mkdir()
    for name in ("hyperprior", "wavelet"):
        quantal_package.write(tmp_path / "tree" / f"{name}.qtl", small_photograph, name)
    assert quantal("pack", tmp_path / "tree", "-o", tmp_path / "shards").status == 0
    for name, other in (("hyperprior", "wavelet"), ("wavelet", "hyperprior")):
        weights = Path(quantal_package.__file__).parent / "weights" / f"{name}.safetensors"
        back = tmp_path / f"back-{name}"
        call = quantal("unpack", tmp_path / "shards", "-o", back, "--weights", weights)
        assert call.status == 1 and call.err.startswith(f"{other}.qtl: ")
        assert list(contents(back)) == [f"{name}.qtl"]


def test_a_damaged_shard_is_named(quantal: Quantal, tree, tmp_path) -> None:
    shards = tmp_path / "shards"
    assert quantal("pack", tree, "-o", shards).status == 0
    (shard,) = shards.iterdir()
    data = shard.read_bytes()
    shard.write_bytes(data[:-1])
    call = quantal("unpack", shards, "-o", tmp_path / "back")
    assert call.status == 1 and "it was cut" in call.err and not (tmp_path / "back").exists()
    shard.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    call = quantal("unpack", shard, "-o", tmp_path / "back")
    assert call.status == 1 and call.err.startswith("a/x.qtl: it has the checksum")
    assert len(contents(tmp_path / "back")) == 2


def test_wrong_calls_do_nothing(quantal: Quantal, tree, tmp_path) -> None:
    file = tree / "a" / "x.qtl"
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    for status, words in (
        (2, ["pack", file, "-o", out]),
        (2, ["pack", tmp_path / "nowhere", "-o", out]),
        (2, ["pack", tree]),
        (2, ["pack", tree, "-o", file]),
        (2, ["pack", tree, "-o", ""]),
        (2, ["pack", "-", "-o", out]),
        (1, ["pack", tmp_path / "empty", "-o", out]),
        (2, ["unpack", "-o", out]),
        (2, ["unpack", tree, "-o", file]),
        (2, ["unpack", tree, "-o", out, "--force", "--skip-existing"]),
        (1, ["unpack", tree, "-o", out]),
        (1, ["unpack", file, "-o", out]),
        (1, ["unpack", tmp_path / "nowhere", "-o", out]),
    ):
        call = quantal(*words)
        assert call.status == status and call.err, words
        assert not out.exists(), words


def test_other_weights_than_those_of_a_shard_are_named(quantal: Quantal, tree, tmp_path) -> None:
    shards = tmp_path / "shards"
    assert quantal("pack", tree, "-o", shards).status == 0
    weights = Path(__file__).parents[2] / "quantal" / "weights" / "context-s.safetensors"
    shutil.copy(weights, tmp_path / "w.safetensors")
    call = quantal(
        "unpack", shards, "-o", tmp_path / "out", "--weights", tmp_path / "w.safetensors"
    )
    assert call.status == 1 and "needs the model" in call.err and "--weights" in call.err
