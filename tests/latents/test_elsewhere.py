"""Latents in other people's pipelines; what is not installed is skipped."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest

import quantal
from quantal.codecs import Latents
from quantal.errors import ArgumentError, CorruptError, MediaError
from quantal.latents import Decoder, LatentDataset, Symbols, tar_samples


@pytest.fixture(scope="module")
def tar(tree, tmp_path_factory):
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    with tarfile.open(path, "w") as file:
        for name, label in (("a", b"0"), ("c", b"7\n")):
            data = (tree / "cats" / f"{name}.qtl").read_bytes()
            for suffix, content in ((".cls", label), (".qtl", data), (".txt", b"left")):
                about = tarfile.TarInfo(f"{name}{suffix}")
                about.size = len(content)
                file.addfile(about, io.BytesIO(content))
    return path


def test_a_stream_of_a_tar_has_names_latents_and_classes(tar, tree) -> None:
    packed = gzip.compress(tar.read_bytes())
    for source in (tar, str(tar), io.BytesIO(tar.read_bytes()), io.BytesIO(packed)):
        found = list(tar_samples(source))
        assert [(name, label) for name, _, label in found] == [("a.qtl", "0"), ("c.qtl", "7")]
        expected = quantal.latents.read(tree / "cats" / "c.qtl")
        assert np.array_equal(found[1][1].y_hat, expected.y_hat)
    assert all(isinstance(each[1], Symbols) for each in tar_samples(tar, symbols_only=True))


def test_a_stream_that_breaks_off_is_named(tar, tmp_path) -> None:
    data = tar.read_bytes()
    stream = tar_samples(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(CorruptError):
        list(stream)
    damaged = bytearray(data)
    damaged[data.index(b"\x8bQTL") + 200] ^= 1
    with pytest.raises(CorruptError, match=r"a\.qtl"):
        list(tar_samples(io.BytesIO(damaged)))
    with pytest.raises(CorruptError, match="cut or damaged"):
        list(tar_samples(io.BytesIO(b"junk" * 500)))
    with pytest.raises(MediaError, match="nowhere"):
        list(tar_samples(tmp_path / "nowhere.tar"))


def test_of_a_class_no_more_is_read_than_a_name_takes(tree, tmp_path) -> None:
    """A compressed tar may hold any number of zeros."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        data = (tree / "cats" / "a.qtl").read_bytes()
        for suffix, content in (("cls", b"1" * 1000), ("qtl", data)):
            about = tarfile.TarInfo(f"a.{suffix}")
            about.size = len(content)
            file.addfile(about, io.BytesIO(content))
    ((_, _, label),) = tar_samples(tmp_path / "a.tar.gz", symbols_only=True)
    assert label == "1" * 64
    with pytest.raises(ArgumentError, match="int is not a tar"):
        list(tar_samples(7))


def test_the_decoder_takes_files_alone_and_goes_anywhere(tree) -> None:
    data = (tree / "cats" / "a.qtl").read_bytes()
    decoder = pickle.loads(pickle.dumps(Decoder(symbols_only=True)))
    assert isinstance(decoder(data), Symbols)
    assert isinstance(decoder(".qtl", data), Symbols) and isinstance(decoder("qtl", data), Symbols)
    assert decoder(".jpg", data) is None
    for buffer in (bytearray(data), memoryview(data)):
        assert isinstance(decoder(buffer), Symbols)
    with pytest.raises(ArgumentError, match="without the bytes"):
        decoder("a.qtl")
    with pytest.raises(CorruptError):
        decoder(".qtl", data[:-1] + b"x")


# It leaves the tar to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*unclosed file", "ignore:.*_io.FileIO")
def test_webdataset_decodes_them(tar) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    pipeline = webdataset.WebDataset(f"file:{tar}", shardshuffle=False).decode(Decoder())
    found = list(pipeline)
    assert [sample["__key__"] for sample in found] == ["a", "c"]
    assert all(isinstance(sample["qtl"], Latents) for sample in found)
    assert [sample["cls"] for sample in found] == [0, 7]


def test_a_feature_of_datasets_holds_them(tree) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    from quantal.latents import LatentsFeature

    paths = sorted(tree.rglob("*.qtl"))
    table = datasets.Dataset.from_dict(
        {"qtl": [p.read_bytes() for p in paths], "label": [*range(6)]}
    )
    typed = table.cast_column("qtl", LatentsFeature())
    expected = quantal.latents.read(paths[4])
    assert np.array_equal(typed[4]["qtl"].y_hat, expected.y_hat)
    symbols = table.cast_column("qtl", LatentsFeature(symbols_only=True))
    assert isinstance(symbols[0]["qtl"], Symbols)
    stored = typed.cast_column("qtl", LatentsFeature(decode=False))
    assert stored[0]["qtl"]["bytes"] == paths[0].read_bytes()
    for rows in (table, stored):
        assert LatentDataset(rows, values="latents").labels == [*range(6)]
        assert np.array_equal(LatentDataset(rows, values="latents")[4].values[0], expected.y_hat)
    named = datasets.Dataset.from_dict({"qtl": [str(path) for path in paths]})
    assert named.cast_column("qtl", LatentsFeature())[4]["qtl"].width == expected.width
    encoded = datasets.Dataset.from_dict(
        {"qtl": [paths[4], paths[0].read_bytes()]},
        features=datasets.Features({"qtl": LatentsFeature()}),
    )
    assert np.array_equal(encoded[0]["qtl"].y_hat, expected.y_hat)
    with pytest.raises(ArgumentError, match=r"no \.qtl file"):
        LatentsFeature().encode_example(7)
    with pytest.raises(MediaError, match="neither the bytes nor the path"):
        LatentsFeature().decode_example({"bytes": None, "path": None})
    with pytest.raises(MediaError, match=r"nowhere\.qtl"):
        LatentsFeature().decode_example({"bytes": None, "path": "nowhere.qtl"})
    # Their classes are read without the files beside them, which are decoded.
    with pytest.raises(ArgumentError, match=r"holds Latents in column 'qtl', .* undecoded"):
        LatentDataset(typed)[0]
