"""Data sets of Hugging Face as sources and as targets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from quantal.engine.rows import Order
from quantal.engine.tables import is_dataset, parts_of
from quantal.errors import ArgumentError, InstallError, MediaError
from tests.engine.conftest import Calls

PICTURES = Order({".png"}, ".qtl")

#: pyarrow asks for numpy 2, so this is tried where that is installed.
try:
    import datasets as _datasets  # noqa: F401
except ImportError:
    _missing = True
else:
    _missing = False
needs_datasets = pytest.mark.skipif(_missing, reason="needs the package datasets, and numpy 2")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two shards of a training split, of three groups of rows each, and a test split."""
    import datasets

    folder = tmp_path / "in"
    kinds = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "text": datasets.Value("string"),
        }
    )
    for name, first in (("train-00000", 0), ("train-00001", 10), ("test-00000", 20)):
        numbers = range(first, first + 5)
        content = [b"bad" if n == 3 else b"x" * n + b"." for n in numbers]
        values = {
            "image": [{"bytes": each, "path": None} for each in content],
            "label": [n % 2 for n in numbers],
            "text": [f"no. {n}" for n in numbers],
        }
        rows = datasets.Dataset.from_dict(values, features=kinds)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        rows.to_parquet(str(folder / "data" / f"{name}-of-00002.parquet"), batch_size=2)
    return folder


@needs_datasets
def test_rows_become_files(call: Calls, source, tmp_path) -> None:
    target = tmp_path / "out"
    summary = call(f"hf:{source}", target, order=PICTURES)
    assert (summary.files, summary.done) == (10, 9)
    assert summary.failures == [("data/train-00000-of-00002.parquet/3", "it is bad")]
    found = {path.relative_to(target).as_posix(): path for path in target.rglob("*.qtl")}
    assert len(found) == 9
    assert found["data/train-00001-of-00002/000002.qtl"].read_bytes() == (b"x" * 12 + b".") * 2
    again = call(f"hf:{source}", target, order=PICTURES)
    assert (again.finished, again.done, len(again.failures)) == (9, 0, 1)
    assert call(f"hf:{source}:test", tmp_path / "test", order=PICTURES).done == 5


@needs_datasets
def test_rows_become_a_data_set_with_the_other_columns(call: Calls, source, tmp_path) -> None:
    import datasets

    target = tmp_path / "out"
    for split in ("train", "test"):
        call(f"hf:{source}:{split}", f"hf:{target}", order=PICTURES)
    assert call(f"hf:{source}", f"hf:{target}", order=PICTURES).finished == 9
    made = datasets.load_dataset(str(target), cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in made.items()} == {"train": 9, "test": 5}
    assert made["train"].features["label"].names == ["cat", "dog"]
    assert set(made["train"].column_names) == {"qtl", "label", "text"}
    for row in made["train"]:
        number = int(row["text"].removeprefix("no. "))
        assert row["qtl"] == (b"x" * number + b".") * 2 and row["label"] == number % 2
    next(target.glob("test-*.parquet")).unlink()
    assert call(f"hf:{source}:test", f"hf:{target}", order=PICTURES).done > 0
    read = call(f"hf:{target}", tmp_path / "read", order=Order({".qtl"}, ".png"))
    assert (read.files, read.done) == (9, 9)


@needs_datasets
def test_a_damaged_shard_fails_alone(call: Calls, source, tmp_path) -> None:
    (source / "data/train-00001-of-00002.parquet").write_bytes(b"PAR1" * 100)
    summary = call(f"hf:{source}", tmp_path / "out", order=PICTURES)
    assert summary.done == 4 and "can't be read as Parquet" in str(summary.failures)


@needs_datasets
def test_what_a_data_set_lacks_is_named(call: Calls, source, tmp_path) -> None:
    import datasets

    rows = datasets.Dataset.from_dict({"x": [1, 2]})
    rows.to_parquet(str(tmp_path / "plain/train.parquet"))
    rows.save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv/train.csv").write_text("a,b\n1,2\n")
    for name, says in (
        ("plain", "no column of pictures; its columns are x"),
        ("saved", r"to_parquet\(\)"),
        ("csv", r"not stored as Parquet \(train.csv\)"),
        ("in:dev", "no split dev; its splits are train, test"),
    ):
        with pytest.raises(ArgumentError, match=says):
            call(f"hf:{tmp_path / name}", tmp_path / "out", order=PICTURES)
    with pytest.raises(ArgumentError, match='named "qtl"'):
        call(f"hf:{source}", tmp_path / "out", order=Order({".qtl"}, ".png"))
    with pytest.raises(ArgumentError, match="for compressing a data set"):
        call(f"hf:{source}", f"hf:{tmp_path / 'out'}", order=Order({".qtl"}, ".png"))


def test_a_data_set_gets_no_tars(call: Calls, tmp_path) -> None:
    with pytest.raises(ArgumentError, match="shards of Parquet, and --tar asks for tars"):
        call(f"hf:{tmp_path}", f"hf:{tmp_path / 'out'}", order=PICTURES, tar=True)


def test_names_are_those_of_training() -> None:
    assert is_dataset("hf:owner/name") and not is_dataset("photos")
    assert parts_of("hf:owner/name") == ("owner/name", "train")
    assert parts_of("hf:owner/name:test") == ("owner/name", "test")


def test_without_the_package_the_extra_is_named(call: Calls, monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InstallError, match=r"quantal\[stream\]"):
        call("hf:somewhere", tmp_path / "out", order=PICTURES)


def test_a_data_set_is_written_from_one_only(call: Calls, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises((ArgumentError, MediaError), match="for compressing a data set"):
        call(tmp_path / "in", f"hf:{tmp_path / 'out'}", order=PICTURES)
