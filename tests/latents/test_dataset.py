"""Data sets: every source gives the same pictures; what can't be one batch is grouped or named."""

from __future__ import annotations

import copy
import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import quantal
from quantal.entropy.orders import gather
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    MediaError,
    ModelError,
    QuantalWarning,
)
from quantal.latents import Batch, Failed, LatentDataset, Sample, Shard, collate, pack
from quantal.latents._format import Flags
from quantal.latents._writer import Parsed, ShardWriter

# Workers on a machine of one core are slow, not wrong.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

NAMES = ["cats/a.qtl", "cats/b.qtl", "cats/c.qtl", "dogs/d.qtl", "dogs/e.qtl", "dogs/f.qtl"]


@pytest.fixture(scope="module")
def tar(tree, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    with tarfile.open(path, "w") as file:
        for number, name in enumerate(NAMES):
            entries = {".cls": str(number % 3).encode(), ".qtl": (tree / name).read_bytes()}
            for suffix, data in entries.items():
                about = tarfile.TarInfo(name.removesuffix(".qtl") + suffix)
                about.size = len(data)
                file.addfile(about, io.BytesIO(data))
    return path


def rows(tree: Path) -> list[dict[str, object]]:
    """A table with the picture as bytes, as bytes beside a path, and as a path."""
    kinds = [
        lambda path: path.read_bytes(),
        lambda path: {"bytes": path.read_bytes(), "path": None},
        lambda path: {"bytes": None, "path": str(path)},
    ]
    return [{"qtl": kinds[n % 3](tree / name), "label": n % 3} for n, name in enumerate(NAMES)]


@pytest.mark.parametrize("values", ["symbols", "grid", "latents"])
def test_all_sources_give_the_same(tree, shards, tar, values) -> None:
    sources = [tree, shards, next(shards.iterdir()), tar, rows(tree)]
    sets = [LatentDataset(source, values=values) for source in sources]
    expected = [quantal.latents.read(tree / name) for name in NAMES]
    for dataset in sets:
        assert len(dataset) == 6
        for sample, latents in zip(dataset, expected, strict=True):
            assert isinstance(sample, Sample) and sample.kind == values
            assert (sample.width, sample.height) == (latents.width, latents.height)
            assert (sample.codec, sample.rate) == ("hyperprior", latents.rate)
            right = {
                "symbols": latents.symbols,
                "grid": latents.symbols[1:],
                "latents": [latents.y_hat],
            }[values]
            assert len(sample.values) == len(right)
            assert all(np.array_equal(a, b) for a, b in zip(sample.values, right, strict=True))


def test_labels_are_those_of_the_source(tree, shards, tar) -> None:
    for source in (tree, shards):
        dataset = LatentDataset(source)
        assert dataset.classes == ["cats", "dogs"]
        assert dataset.labels == [0, 0, 0, 1, 1, 1]
        assert [dataset[n].name for n in range(6)] == NAMES
        assert dataset.size(0) == (97, 71) and dataset.size(3) == (64, 48)
    for source in (tar, rows(tree)):
        dataset = LatentDataset(source)
        assert dataset.classes == [] and dataset.labels == [0, 1, 2, 0, 1, 2]


def test_the_grid_has_the_codec_s_order(small_photograph, tmp_path) -> None:
    """Symbols of a context codec are coded in cells; gathered again they are what was coded."""
    codec = quantal.load("context-s", "cpu")
    quantal.write(tmp_path / "a.qtl", small_photograph.crop((0, 0, 64, 64)), codec)
    grid = LatentDataset(tmp_path, values="grid")[0].values[0].numpy()
    coded = quantal.latents.read(tmp_path / "a.qtl").symbols
    assert grid.shape == (320, 4, 4) and len(coded) > 2
    cells = gather(grid, codec.entropy.exact.elements)
    assert np.array_equal(cells, np.concatenate(coded[1:]))


def test_codecs_without_such_a_grid_are_named(small_photograph, tmp_path) -> None:
    quantal.write(tmp_path / "a.qtl", small_photograph, "tokens")
    with pytest.raises(ArgumentError, match="no single grid"):
        LatentDataset(tmp_path, values="grid")[0]
    assert len(LatentDataset(tmp_path)[0].values) == 1


def test_a_step_makes_one_unit_of_all_rates(photograph, tmp_path) -> None:
    """Plain symbols tell their rate by their size, scaled ones hardly do."""
    for name, quality in (("a", 80), ("b", 30)):
        quantal.write(tmp_path / f"{name}.qtl", photograph, "hyperprior", quality=quality)
    for scaled, least, most in ((False, 3, 100), (True, 0.5, 2)):
        dataset = LatentDataset(tmp_path, values="grid", scaled=scaled)
        fine, coarse = (dataset[number].values[0].float() for number in (0, 1))
        assert least < float(fine.std() / coarse.std()) < most
    assert dataset[0].values[0].dtype is torch.float32


def test_rates_of_one_picture_are_drawn_from(small_photograph, tmp_path) -> None:
    for quality in (20, 60):
        data = quantal.compress(small_photograph, "hyperprior", quality=quality)
        (tmp_path / f"a@{quality}.qtl").write_bytes(data)
    (tmp_path / "b.qtl").write_bytes(data)
    dataset = LatentDataset(tmp_path, variants="@")
    assert len(dataset) == 2
    assert len({dataset[0].rate for _ in range(40)}) == 2
    assert dataset[1].name == "b.qtl"
    with pytest.raises(ArgumentError, match="separator"):
        LatentDataset(tmp_path, variants="")


def test_a_separator_in_a_folder_s_name_makes_no_variants(tree, tmp_path) -> None:
    (tmp_path / "set@1").mkdir()
    for name in ("a.qtl", "b.qtl", "c@20.qtl", "c@60.qtl"):
        shutil.copy(tree / NAMES[0], tmp_path / "set@1" / name)
    assert len(LatentDataset(tmp_path, variants="@")) == 3


@pytest.fixture
def damaged(shards, tmp_path) -> Path:
    """The shard, with the second picture's bytes changed."""
    path = tmp_path / "damaged.qshard"
    data = bytearray(next(shards.iterdir()).read_bytes())
    data[int(Shard(next(shards.iterdir()))._entries[1]["offset"]) + 5] ^= 1
    path.write_bytes(data)
    return path


def test_a_damaged_picture_is_fatal_or_left_out_and_named(damaged, tree, tmp_path) -> None:
    files = tmp_path / "files"
    shutil.copytree(tree, files)
    data = bytearray((files / "cats" / "b.qtl").read_bytes())
    data[-7] ^= 1
    (files / "cats" / "b.qtl").write_bytes(data)
    for source in (damaged, files):
        with pytest.raises(BitstreamError, match=r"cats/b\.qtl"):
            LatentDataset(source)[1]
        dataset = LatentDataset(source, on_error="skip")
        with pytest.warns(QuantalWarning, match=r"cats/b\.qtl is left out"):
            samples = dataset.__getitems__([0, 1, 2, 1])
        assert [isinstance(each, Failed) for each in samples] == [False, True, False, True]
        batch = collate(samples)
        assert isinstance(batch, Batch) and batch.names == ["cats/a.qtl", "cats/c.qtl"]
        assert [each.name for each in batch.failures] == ["cats/b.qtl"] * 2
        with pytest.raises(
            CorruptError, match=r"none of the pictures of a batch can be read: cats/b\.qtl;"
        ):
            collate(samples[1:2])


def test_a_tar_that_is_cut_or_packed_is_named(tar, tmp_path) -> None:
    data = tar.read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(data[: 512 * 3 + 100])
    with pytest.raises(CorruptError, match=r"cut\.tar"):
        LatentDataset(cut)
    cut.write_bytes(b"junk" * 1000)
    with pytest.raises(CorruptError, match="not a tar"):
        LatentDataset(cut)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(MediaError, match=r"no \.qtl"):
        LatentDataset(tmp_path / "empty.tar")


def test_sources_that_are_none_are_named(tmp_path, tree) -> None:
    with pytest.raises(MediaError, match=r"no \.qtl files"):
        LatentDataset(tmp_path)
    with pytest.raises(MediaError, match="can't be read"):
        LatentDataset(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="not a source"):
        LatentDataset(7)
    with pytest.raises(ArgumentError, match="no column 'image'"):
        LatentDataset(rows(tree), column="image")
    with pytest.raises(ArgumentError, match="holds int in column 'label'"):
        LatentDataset(rows(tree), column="label")[0]
    with pytest.raises(ArgumentError, match="values"):
        LatentDataset(tree, values="pixels")
    with pytest.raises(ArgumentError, match="scaled"):
        LatentDataset(tree, scaled=True)
    with pytest.raises(IndexError):
        LatentDataset(tree)[6]
    with pytest.raises(ArgumentError, match="str is not a codec"):
        LatentDataset(tree, codec="hyperprior")
    with pytest.raises(ArgumentError, match="dict has no row 0"):
        LatentDataset({"train": rows(tree)})
    with pytest.raises(ArgumentError, match="no column 'class'"):
        LatentDataset(rows(tree), label="class")
    for empty in ([], (), {}):
        with pytest.raises(MediaError, match=r"no shards|no pictures"):
            LatentDataset(empty)
    with pytest.raises(CorruptError, match=r"tar_samples"):
        (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b" + bytes(600))
        LatentDataset(tmp_path / "a.tar.gz")


def test_hidden_files_are_no_shards(tree, shards, tmp_path) -> None:
    """macOS leaves `._NAME` beside files that it copies."""
    (tmp_path / "._a.qshard").write_bytes(b"notes of the Finder")
    with pytest.raises(MediaError, match=r"no \.qtl files"):
        LatentDataset(tmp_path)
    shutil.copy(tree / NAMES[0], tmp_path / "a.qtl")
    assert len(LatentDataset(tmp_path)) == 1


@pytest.mark.parametrize("kind", [np.int64, torch.tensor])
def test_numbers_of_any_type_stay_the_classes_that_they_are(tree, kind) -> None:
    data = (tree / NAMES[0]).read_bytes()
    table = [{"qtl": data, "label": kind(label)} for label in (0, 2, 10, 1)]
    dataset = LatentDataset(table)
    assert dataset.labels == [0, 2, 10, 1] and dataset.classes == []
    with pytest.raises(ArgumentError, match=r"row 1 has the label 0\.5"):
        LatentDataset([table[0], {"qtl": data, "label": 0.5}])
    with pytest.raises(ArgumentError, match="row 0 has the class 0, row 1 'none'"):
        LatentDataset([table[0], {"qtl": data}])


def test_rows_that_hold_no_file_are_left_out_and_named(tree) -> None:
    data = (tree / NAMES[0]).read_bytes()
    empty = [None, {"bytes": None, "path": None}, {"bytes": None, "path": "a\0b"}]
    dataset = LatentDataset([{"qtl": each} for each in (data, *empty)], on_error="skip")
    with pytest.warns(QuantalWarning, match="is left out"):
        found = dataset.__getitems__(range(4))
    assert [isinstance(each, Failed) for each in found] == [False, True, True, True]


def test_another_model_than_that_of_a_shard_is_named(shards) -> None:
    other = quantal.load("context-s", "cpu")
    for values in ("latents", "grid"):
        with pytest.raises(ModelError):
            LatentDataset(shards, values=values, codec=other)[0]
    assert LatentDataset(shards, codec=other)[0].codec == "hyperprior"  # needs no model


@pytest.fixture
def other_model(monkeypatch):
    """`hyperprior` with the hash of other weights, which files and shards of that hash find."""
    codec = quantal.load("hyperprior", "cpu")
    other = copy.copy(codec)
    other.model_hash = bytes([1, 2, 3, 4])
    for room in ("quantal.files.matching", "quantal.latents._symbols"):
        monkeypatch.setattr(
            f"{room}.load_version",
            lambda name, model_hash, device: other if model_hash == other.model_hash else codec,
        )
    return other


def recoded(data: bytes, model_hash: bytes) -> bytes:
    """A file with the hash of another model."""
    file = quantal.container.read(data)
    return quantal.container.write(replace(file.header, model_hash=model_hash), file.parts)


@pytest.mark.parametrize("values", ["symbols", "grid", "latents"])
def test_files_of_two_models_of_a_codec_are_never_mixed(tree, tmp_path, other_model, values):
    data = (tree / NAMES[0]).read_bytes()
    for folder in ("both", "first", "second"):
        (tmp_path / folder).mkdir()
    (tmp_path / "both" / "a.qtl").write_bytes(data)
    (tmp_path / "both" / "b.qtl").write_bytes(recoded(data, other_model.model_hash))
    shutil.copy(tmp_path / "both" / "a.qtl", tmp_path / "first")
    shutil.copy(tmp_path / "both" / "b.qtl", tmp_path / "second")
    for on_error in ("raise", "skip"):
        dataset = LatentDataset(tmp_path / "both", values=values, on_error=on_error)
        # A worker that reads the second alone knows of the first.
        with pytest.raises(ModelError, match=r"a\.qtl is of the model .* b\.qtl of 01020304"):
            pickle.loads(pickle.dumps(dataset))[1]
    samples = [LatentDataset(tmp_path / name, values=values)[0] for name in ("first", "second")]
    with pytest.raises(ArgumentError, match="several codecs or models"):
        collate(samples)
    hashes = [batch.model_hash for batch in collate(samples, sizes="group")]
    assert hashes == [samples[0].model_hash, other_model.model_hash] and hashes[0] != hashes[1]


def test_shards_of_two_models_of_a_codec_are_refused(shards, tmp_path) -> None:
    known = Shard(next(shards.iterdir()))
    with ShardWriter(tmp_path / "b.qshard", known.codec, bytes(4), True) as writer:
        writer.add(Parsed("a.qtl", 97, 71, 99, known.symbols(0), b"", Flags(0)))
    with pytest.raises(ModelError, match="00000000: expected one model"):
        LatentDataset([known.path, tmp_path / "b.qshard"])


@pytest.mark.parametrize(
    ("values", "scaled"), [("grid", False), ("grid", True), ("latents", False)]
)
def test_symbols_of_another_size_are_damage_of_one_picture(shards, tmp_path, values, scaled):
    """The checksums are right: only the codec can tell."""
    known = Shard(next(shards.iterdir()))
    z, y = known.symbols(0)
    with ShardWriter(tmp_path / "x.qshard", known.codec, known.model_hash, True) as writer:
        for name, symbols in (("good.qtl", [z, y]), ("bad.qtl", [z, y[:7]])):
            writer.add(Parsed(name, 97, 71, 99, symbols, b"", Flags(0)))
    with pytest.raises(CorruptError, match=r"bad\.qtl.* not those of a picture of 97x71"):
        LatentDataset(tmp_path / "x.qshard", values=values, scaled=scaled)[1]
    dataset = LatentDataset(tmp_path / "x.qshard", values=values, scaled=scaled, on_error="skip")
    with pytest.warns(QuantalWarning, match=r"bad\.qtl is left out"):
        found = dataset.__getitems__([0, 1])
    assert [isinstance(each, Failed) for each in found] == [False, True]


def test_symbols_of_no_part_are_damage(tmp_path) -> None:
    codec = quantal.load("vq", "cpu")
    with ShardWriter(tmp_path / "x.qshard", codec.name, codec.model_hash, True) as writer:
        writer.add(Parsed("a.qtl", 97, 71, 99, [], b"", Flags(0)))
    with pytest.raises(CorruptError, match=r"a\.qtl.* not those of a picture of 97x71"):
        LatentDataset(tmp_path / "x.qshard", values="latents")[0]


def test_only_pictures_become_a_batch(shards) -> None:
    """A transform that forgets to return its picture would otherwise lose it silently."""
    sample = LatentDataset(shards)[0]
    for wrong in ([sample, None], [sample.values[0]], []):
        with pytest.raises(ArgumentError, match="expected a list of Sample"):
            collate(wrong)
    with pytest.raises(ArgumentError, match=r"of symbols, .* of grid"):
        collate([sample, LatentDataset(shards, values="grid")[0]])


def test_mixed_sizes_are_an_error_padded_or_grouped(shards) -> None:
    dataset = LatentDataset(shards, values="latents")
    samples = dataset.__getitems__([0, 3, 1])
    with pytest.raises(ArgumentError, match=r"cats/a\.qtl has values .* dogs/d\.qtl"):
        collate(samples)
    batch = collate(samples, sizes="pad")
    assert isinstance(batch, Batch) and batch.masks is not None
    assert batch.values[0].shape == (3, 320, 5, 7) and batch.masks[0].shape == (3, 5, 7)
    assert batch.sizes.tolist() == [[71, 97], [48, 64], [71, 97]]
    small = samples[1].values[0]
    assert torch.equal(batch.values[0][1, :, :3, :4], small)
    assert batch.masks[0].sum((1, 2)).tolist() == [35, 12, 35]
    assert not batch.values[0][1][:, ~batch.masks[0][1]].any()
    groups = collate(samples, sizes="group")
    assert [each.names for each in groups] == [["cats/a.qtl", "cats/b.qtl"], ["dogs/d.qtl"]]


def test_symbols_of_several_parts_are_padded_each(shards) -> None:
    batch = collate(LatentDataset(shards).__getitems__([0, 3]), sizes="pad")
    assert [tuple(part.shape) for part in batch.values] == [(2, 128, 2, 2), (2, 320, 5, 7)]
    assert [tuple(mask.shape) for mask in batch.masks] == [(2, 2, 2), (2, 5, 7)]


def test_mixed_rates_are_taken_an_error_or_grouped(shards) -> None:
    samples = LatentDataset(shards).__getitems__([0, 2])
    assert collate(samples).rates.tolist() == [s.rate for s in samples]
    with pytest.raises(ArgumentError, match="expected one rate"):
        collate(samples, rates="equal")
    assert [len(each) for each in collate(samples, rates="group")] == [1, 1]


def test_mixed_codecs_are_an_error_or_grouped(shards, small_photograph, tmp_path) -> None:
    quantal.write(tmp_path / "x.qtl", small_photograph, "context-s")
    samples = [LatentDataset(shards)[0], LatentDataset(tmp_path)[0]]
    for sizes in ("equal", "pad"):
        with pytest.raises(ArgumentError, match=r"of codec hyperprior .* of context-s"):
            collate(samples, sizes=sizes)
    assert [each.codec for each in collate(samples, sizes="group")] == ["hyperprior", "context-s"]


def test_types_of_symbols_are_brought_together() -> None:
    def sample(dtype: torch.dtype) -> Sample:
        values = (torch.ones(2, 3, 3, dtype=dtype),)
        return Sample("a", "text", "c", bytes(4), 9, 9, 0, "symbols", 0, values)

    batch = collate([sample(torch.int8), sample(torch.int16)])
    assert batch.values[0].dtype is torch.int16 and batch.labels == ["text", "text"]
    assert len(batch.to("cpu")) == 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_the_same_with_one_thread_each(shards, method) -> None:
    dataset = LatentDataset(shards, values="latents", transform=note_threads)
    loader = DataLoader(
        dataset,
        batch_size=2,
        num_workers=2,
        collate_fn=partial(collate, sizes="pad"),
        multiprocessing_context=method,
    )
    batches = list(loader)
    assert [name for batch in batches for name in batch.names] == NAMES
    assert all(batch.rates.tolist() == [1, 1] for batch in batches)
    alone = LatentDataset(shards, values="latents")[1].values[0]
    # Other numbers of threads may round dequantised latents differently.
    torch.testing.assert_close(batches[0].values[0][1], alone, rtol=1e-3, atol=1e-3)


def note_threads(sample: Sample) -> Sample:
    """Put the number of torch's threads in place of the rate."""
    return replace(sample, rate=torch.get_num_threads())


DEATH = """
import os, signal, sys
from torch.utils.data import DataLoader
from quantal.latents import LatentDataset, collate

def die(sample):
    if sample.name == "dogs/d.qtl":
        os.kill(os.getpid(), signal.SIGKILL)
    return sample

dataset = LatentDataset(sys.argv[1], transform=die)
for batch in DataLoader(dataset, num_workers=1, collate_fn=collate, multiprocessing_context="fork"):
    pass
print("all was read")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_worker_that_dies_is_an_error_and_not_a_wait(shards) -> None:
    """In a process of its own: torch raises the error from a signal handler, anywhere."""
    call = [sys.executable, "-c", DEATH, str(shards)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "all was read" not in done.stdout
    # Whichever torch meets first: the signal of the child, or the closed pipe.
    met = ("DataLoader worker", "ConnectionResetError", "EOFError")
    assert any(error in done.stderr for error in met), done.stderr
    assert len(LatentDataset(shards)[3].values) == 2  # the files are as they were


def test_an_error_in_a_worker_keeps_the_name(damaged) -> None:
    loader = DataLoader(LatentDataset(damaged), num_workers=1, collate_fn=collate)
    with pytest.raises(CorruptError, match=r"cats/b\.qtl"):
        list(loader)


def test_it_can_be_sent_to_another_process(shards, tar) -> None:
    for source in (shards, tar):
        dataset = pickle.loads(pickle.dumps(LatentDataset(source)))
        assert np.array_equal(dataset[2].values[1], LatentDataset(source)[2].values[1])


def test_many_pictures_are_read_in_blocks(tree, tmp_path) -> None:
    for number in range(70):
        target = tmp_path / "files" / f"{number:02}.qtl"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(tree / NAMES[number % 6], target)
    pack(tmp_path / "files", tmp_path / "shards")
    dataset, files = LatentDataset(tmp_path / "shards"), LatentDataset(tmp_path / "files")
    order = torch.randperm(70).tolist()
    for sample, index in zip(dataset.__getitems__(order), order, strict=True):
        assert sample.name == f"{index:02}.qtl"
        expected = files[index % 6].values
        assert all(torch.equal(a.int(), b) for a, b in zip(sample.values, expected, strict=True))
