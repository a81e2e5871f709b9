"""Folders to shards and back, byte for byte; wrong files, names and models are named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import quantal
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    MediaError,
    ModelError,
    OutputError,
)
from quantal.latents import Shard, pack, unpack
from quantal.latents._format import Flags
from quantal.latents._writer import Parsed, ShardWriter


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.qtl")}


@pytest.mark.parametrize("compact", [True, False])
def test_a_folder_comes_back_byte_for_byte(tree, tmp_path, compact) -> None:
    packed = pack(tree, tmp_path / "shards", compact=compact)
    assert (packed.pictures, len(packed.shards), packed.failures) == (6, 1, ())
    assert packed.bytes_in == sum(map(len, contents(tree).values()))
    done = unpack(tmp_path / "shards", tmp_path / "back")
    assert done.pictures == 6
    assert contents(tmp_path / "back") == contents(tree)


@pytest.mark.parametrize("codec", ["hyperprior", "context-s", "context-m"])
def test_a_shard_takes_at_most_half_as_much_again_as_the_files(codec, photograph, tmp_path) -> None:
    for name, turned in (("a", photograph), ("b", photograph.transpose(0))):
        path = tmp_path / "files" / f"{name}.qtl"
        path.parent.mkdir(exist_ok=True)
        quantal.write(path, turned, codec, quality=40)
    packed = pack(tmp_path / "files", tmp_path / "shards")
    # The order of rows is there once in each shard: of two pictures it is a good part.
    (shard,) = map(Shard, packed.shards)
    order = 2 * len(shard._places)
    assert packed.bytes_out - order < 1.5 * packed.bytes_in
    unpack(tmp_path / "shards", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "files")


@pytest.mark.parametrize(
    ("codec", "options"),
    [("vq", {}), ("vq", {"resilient": True}), ("tokens", {}), ("context-s", {"quality": 95})],
)
def test_files_of_other_codecs_come_back(codec, options, small_photograph, tmp_path) -> None:
    """A resilient file is kept as it is: the codec would write another one."""
    (tmp_path / "files").mkdir()
    quantal.write(tmp_path / "files" / "a.qtl", small_photograph, codec, **options)
    packed = pack(tmp_path / "files", tmp_path / "shards")
    shard = Shard(packed.shards[0])
    assert bool(shard.beside(0)[1] & Flags.VERBATIM) == bool(options.get("resilient"))
    expected = quantal.latents.read(tmp_path / "files" / "a.qtl").symbols
    assert all(map(np.array_equal, shard.symbols(0), expected))
    unpack(tmp_path / "shards", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(tmp_path / "files")


def test_codecs_have_shards_of_their_own(tree, small_photograph, tmp_path) -> None:
    shutil.copytree(tree, tmp_path / "mixed")
    quantal.write(tmp_path / "mixed" / "cats" / "z.qtl", small_photograph, "context-s")
    packed = pack(tmp_path / "mixed", tmp_path / "shards", shard_bytes=1)
    names = [path.name.rsplit("-", 2)[0] for path in packed.shards]
    assert sorted(names) == ["context-s"] + ["hyperprior"] * len(names[1:]) and len(names) > 2
    assert unpack(tmp_path / "shards", tmp_path / "back").pictures == 7
    assert contents(tmp_path / "back") == contents(tmp_path / "mixed")


@pytest.fixture
def damaged(tree, tmp_path) -> Path:
    """The tree with a cut file, one that is none, and one of an unknown codec."""
    folder = tmp_path / "damaged"
    shutil.copytree(tree, folder)
    data = (folder / "cats" / "b.qtl").read_bytes()
    (folder / "cats" / "b.qtl").write_bytes(data[:-5])
    (folder / "dogs" / "junk.qtl").write_bytes(b"junk")
    header = quantal.container.Header("nobody", bytes(4), 8, 8, 0)
    parts = [quantal.container.Part("image", b"x")]
    (folder / "dogs" / "other.qtl").write_bytes(quantal.container.write(header, parts))
    return folder


def test_files_that_cannot_be_read_are_fatal_or_left_out(damaged, tmp_path) -> None:
    with pytest.raises(BitstreamError, match=r"cats/b\.qtl"):
        pack(damaged, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()
    packed = pack(damaged, tmp_path / "shards", on_error="skip")
    assert packed.pictures == 5
    assert [each.name for each in packed.failures] == [
        "cats/b.qtl",
        "dogs/junk.qtl",
        "dogs/other.qtl",
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_pipes_are_no_files_and_links_in_a_circle_end(tree, tmp_path) -> None:
    folder = tmp_path / "odd"
    (folder / "cats").mkdir(parents=True)
    shutil.copy(tree / "cats" / "a.qtl", folder / "cats" / "a.qtl")
    os.mkfifo(folder / "pipe.qtl")
    (folder / "gone.qtl").symlink_to(folder / "nowhere.qtl")
    (folder / "cats" / "up").symlink_to(folder)
    (folder / "linked").symlink_to(tree / "dogs")
    packed = pack(folder, tmp_path / "shards", on_error="skip")
    assert [each.name for each in packed.failures] == ["gone.qtl", "pipe.qtl"]
    shard = Shard(packed.shards[0])
    names = ["cats/a.qtl", "linked/d.qtl", "linked/e.qtl", "linked/f.qtl"]
    assert [shard.name(number) for number in range(len(shard))] == names


def test_shards_are_replaced_only_on_demand_and_as_a_whole(tree, damaged, tmp_path) -> None:
    out = tmp_path / "shards"
    pack(tree, out, shard_bytes=1)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(OutputError, match="holds shards already"):
        pack(tree, out)
    with pytest.raises(BitstreamError):
        pack(damaged, out, force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    pack(tree, out, force=True)
    assert len(os.listdir(out)) == 1 < len(before)


def test_places_that_hold_nothing_are_named(tmp_path, tree) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match=r"no \.qtl files"):
        pack(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(MediaError, match="not a folder"):
        pack(tree / "cats" / "a.qtl", tmp_path / "out")
    with pytest.raises(MediaError, match="no shards"):
        unpack(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(OutputError, match="is a file"):
        pack(tree, tree / "cats" / "a.qtl")
    with pytest.raises(ArgumentError, match="on_error"):
        pack(tree, tmp_path / "out", on_error="ignore")
    assert not (tmp_path / "out").exists()


def test_files_that_exist_are_kept_replaced_or_an_error(shards, tree, tmp_path) -> None:
    out = tmp_path / "out"
    (out / "cats").mkdir(parents=True)
    (out / "cats" / "a.qtl").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        unpack(shards, out)
    done = unpack(shards, out, skip_existing=True)
    assert (done.pictures, done.skipped) == (5, 1)
    assert (out / "cats" / "a.qtl").read_bytes() == b"mine"
    unpack(shards, out, force=True)
    assert contents(out) == contents(tree)


@pytest.mark.parametrize("name", ["../a.qtl", "/etc/a.qtl", "a//b.qtl", "a/../../b.qtl", "."])
def test_names_that_lead_elsewhere_are_refused(name, tmp_path) -> None:
    with ShardWriter(tmp_path / "x.qshard", "hyperprior", bytes(4), True) as writer:
        writer.add(Parsed(name, 8, 8, 0, [], b"whole file", Flags.VERBATIM))
    with pytest.raises(CorruptError, match="path below"):
        unpack(tmp_path / "x.qshard", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_pictures_of_one_name_are_an_error(shards, tmp_path) -> None:
    shard = next(shards.iterdir())
    with pytest.raises(CorruptError, match="two pictures"):
        unpack([shard, shard], tmp_path / "out", force=True)


def renamed(shards: Path, tmp_path: Path, model_hash: bytes) -> Path:
    """A shard whose pictures were parsed with another model."""
    shard = Shard(next(shards.iterdir()))
    with ShardWriter(tmp_path / "old.qshard", shard.codec, model_hash, True) as writer:
        about = shard.about(0)
        symbols = shard.symbols(0)
        writer.add(Parsed("a.qtl", about.width, about.height, about.rate, symbols, b"", Flags(0)))
    return tmp_path / "old.qshard"


def test_a_changed_model_is_named(shards, tmp_path) -> None:
    old = renamed(shards, tmp_path, b"\1\2\3\4")
    with pytest.raises(ModelError, match="needs the model 01020304"):
        unpack(old, tmp_path / "out")
    done = unpack(old, tmp_path / "out", on_error="skip")
    assert done.pictures == 0 and done.failures[0].name == "a.qtl"


def test_symbols_of_another_size_are_damage(shards, tmp_path) -> None:
    shard = Shard(next(shards.iterdir()))
    with ShardWriter(tmp_path / "x.qshard", shard.codec, shard.model_hash, True) as writer:
        writer.add(Parsed("a.qtl", 600, 400, 100, shard.symbols(0), b"", Flags(0)))
    with pytest.raises(CorruptError, match="not those of a picture of 600x400"):
        unpack(tmp_path / "x.qshard", tmp_path / "out")


def test_the_room_loads_no_torch_by_itself() -> None:
    code = (
        "import sys, quantal.latents\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "quantal.latents.Shard\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
