"""Whole calls: what is done, what is left the next time, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from quantal.engine import places
from quantal.engine.places import Place
from quantal.engine.rows import Batch, Order
from quantal.errors import ArgumentError, MediaError, OutputError
from tests.engine.conftest import Calls, Inline

ORDER = Order({".txt"}, ".out", recursive=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ten files in two folders, one of which is bad, and what is no file to take."""
    folder = tmp_path / "in"
    for number in range(10):
        path = folder / str(number % 2) / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("bad" if number == 3 else "abc" * (number + 1))
    (folder / ".hidden.txt").write_text("hidden")
    (folder / "other.md").write_text("other")
    return folder


def manifest(target: Path) -> pl.DataFrame:
    return pl.read_parquet(target / ".quantal/parts/*.parquet")


def outputs(target: Path) -> set[str]:
    return {path.relative_to(target).as_posix() for path in target.rglob("*.out")}


def test_every_file_has_a_row_and_a_result(call: Calls, source, tmp_path) -> None:
    target = tmp_path / "out"
    summary = call(source, target)
    assert (summary.files, summary.done, summary.failures) == (10, 9, [("1/3.txt", "it is bad")])
    assert call.watched.total == len(call.watched.results) == 10
    assert outputs(target) == {f"{n % 2}/{n}.out" for n in range(10) if n != 3}
    rows = {row["path"]: row for row in manifest(target).iter_rows(named=True)}
    assert rows.keys() == {f"{n % 2}/{n}.txt" for n in range(10)}
    assert (rows["1/3.txt"]["status"], rows["1/3.txt"]["error"]) == ("failed", "it is bad")
    row = rows["0/4.txt"]
    data = (target / "0/4.out").read_bytes()
    assert (row["output"], row["bytes"], row["model_hash"]) == ("0/4.out", len(data), "c0de")
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert row["size"] == 15 and row["processor"]
    assert not list(target.rglob("*.part"))


def test_a_second_call_does_what_is_left(call: Calls, source, tmp_path) -> None:
    target = tmp_path / "out"
    call(source, target)
    (source / "0/2.txt").write_text("changed, and longer")
    (source / "1/3.txt").write_text("good now")
    (source / "new.txt").write_text("new")
    (target / "0/4.out").unlink()
    summary = call(source, target)
    done = {row.path for batch in call.engine.tasks for row in batch.rows}
    assert done == {"0/2.txt", "1/3.txt", "new.txt", "0/4.txt"}
    assert (summary.done, summary.finished, summary.failures) == (4, 7, [])
    assert call(source, target).finished == 11 and not call.engine.tasks


def test_a_change_of_the_same_size_is_seen_by_its_time(call: Calls, source, tmp_path) -> None:
    call(source, tmp_path / "out")
    path = source / "0/2.txt"
    path.write_text("xyz" * 3)
    os.utime(path, ns=(1, 1))
    assert call(source, tmp_path / "out").done == 1
    assert (tmp_path / "out/0/2.out").read_text() == "xyz" * 6


def test_what_an_ended_call_left_is_taken_up(call: Calls, source, tmp_path) -> None:
    """Outputs of a batch that was not finished exist, and are no other's."""
    target = tmp_path / "out"
    call(source, target)
    for part in sorted((target / ".quantal/parts").iterdir())[:4]:
        part.unlink()
    summary = call(source, target)
    assert summary.failures == [("1/3.txt", "it is bad")]
    assert 0 < summary.done < 9 and summary.done + summary.finished == 9


def test_a_finished_batch_is_not_done_again(call: Calls, source, tmp_path) -> None:
    """As when a node dies after its batch and before the result has come."""

    class Twice(Inline):
        def spread(self, function, tasks, describe):
            for number, task in enumerate(tasks):
                first = function(task)
                for path in (tmp_path / "out").rglob("*.out"):
                    path.write_text("it stays")
                assert function(task) == first
                yield number, first

    call(source, tmp_path / "out", engine=Twice())
    assert {path.read_text() for path in (tmp_path / "out").rglob("*.out")} == {"it stays"}


def test_a_worker_that_dies_costs_the_file_that_it_died_over(call: Calls, source, tmp_path) -> None:
    def dies(batch: Batch) -> bool:
        return any(row.path == "0/6.txt" for row in batch.rows)

    summary = call(source, tmp_path / "out", engine=Inline(dies, workers=1))
    assert ("0/6.txt", "it died") in summary.failures and summary.done == 8
    failed = manifest(tmp_path / "out").filter(pl.col("path") == "0/6.txt")
    assert failed["error"].to_list() == ["it died"]


def test_other_options_are_refused_with_what_differs(call: Calls, source, tmp_path) -> None:
    call(source, tmp_path / "out", codec="a", quality=60)
    with pytest.raises(ArgumentError) as error:
        call(source, tmp_path / "out", codec="a", bpp=0.5)
    text = str(error.value)
    assert "quality 60, now not given" in text and "bpp not given, now 0.5" in text
    assert "codec" not in text
    summary = call(source, tmp_path / "out", codec="a", bpp=0.5, order=replace(ORDER, force=True))
    assert summary.done == 9


def test_a_worker_with_another_model_is_named(call: Calls, source, tmp_path) -> None:
    summary = call(source, tmp_path / "out", model_hash="beef")
    assert not summary.done
    assert "has hash c0de, expected beef" in dict(summary.failures)["0/2.txt"]


def test_a_worker_that_does_not_see_the_target_ends_the_call(call: Calls, source, tmp_path) -> None:
    class Elsewhere(Inline):
        def spread(self, function, tasks, describe):
            (tmp_path / "out/.quantal/options.json").unlink()
            yield from super().spread(function, tasks, describe)

    with pytest.raises(
        OutputError, match=r"does not see .*out; name a folder that all nodes share"
    ):
        call(source, tmp_path / "out", engine=Elsewhere())


def test_files_of_others_are_left(call: Calls, source, tmp_path) -> None:
    target = tmp_path / "out"
    (target / "0").mkdir(parents=True)
    (target / "0/2.out").write_text("mine")
    summary = call(source, target)
    assert [name for name, reason in summary.failures if "exists already" in reason] == ["0/2.txt"]
    assert "exists already" in str(manifest(target).filter(pl.col("path") == "0/2.txt")["error"][0])
    assert call(source, target, order=replace(ORDER, skip_existing=True)).existing == 1
    assert (target / "0/2.out").read_text() == "mine"
    call(source, target, order=replace(ORDER, force=True))
    assert (target / "0/2.out").read_text() == "abc" * 6


def test_two_files_do_not_share_an_output(call: Calls, source, tmp_path) -> None:
    (source / "0/2.TXT").write_text("again")
    summary = call(source, tmp_path / "out")
    assert any("already that of" in reason for _, reason in summary.failures)


def test_a_full_target_stops_the_call(call: Calls, source, tmp_path, monkeypatch) -> None:
    replace_file, count = os.replace, 0

    def full(temporary: str, target: str) -> None:
        nonlocal count
        count += target.endswith(".out")
        if count > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(temporary, target)

    monkeypatch.setattr(places.os, "replace", full)
    with pytest.raises(OutputError, match=r"the disk is full; \d files are done: the same call"):
        call(source, tmp_path / "out")
    assert len(outputs(tmp_path / "out")) == 4 and not list(tmp_path.rglob("*.part"))
    monkeypatch.undo()
    assert call(source, tmp_path / "out").failures == [("1/3.txt", "it is bad")]
    assert len(outputs(tmp_path / "out")) == 9


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_a_source_without_files_leaves_no_target(call: Calls, source, tmp_path, what) -> None:
    (tmp_path / "empty").mkdir()
    name = {"missing": tmp_path / "none", "empty": tmp_path / "empty", "file": source / "0/2.txt"}
    with pytest.raises(MediaError, match=r"is not there|holds no file|is a file"):
        call(name[what], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_source_without_permission_is_named(call: Calls, tmp_path, monkeypatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Access Denied")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.ls", refused)
    with pytest.raises(MediaError, match=r"memory://photos can't be listed: no permission"):
        call("memory://photos", tmp_path / "out")


def test_a_damaged_manifest_is_named(call: Calls, source, tmp_path) -> None:
    call(source, tmp_path / "out")
    part = next((tmp_path / "out/.quantal/parts").iterdir())
    part.write_bytes(b"no table")
    with pytest.raises(OutputError, match="is not part of a manifest"):
        call(source, tmp_path / "out")
    (tmp_path / "out/.quantal/options.json").write_text("{")
    with pytest.raises(MediaError, match="is damaged"):
        call(source, tmp_path / "out")


def test_many_parts_become_one(call: Calls, source, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("quantal.engine.manifest._MERGED_FROM", 3)
    call(source, tmp_path / "out")
    before = manifest(tmp_path / "out")
    assert call(source, tmp_path / "out").finished == 9
    parts = list((tmp_path / "out/.quantal/parts").iterdir())
    assert len(parts) == 2  # and that of the file which has failed again
    assert manifest(tmp_path / "out").height == before.height + 1


def test_a_store_is_a_place_as_well(call: Calls, source) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for path in source.rglob("*.txt"):
        memory.pipe(f"/bucket/in/{path.relative_to(source).as_posix()}", path.read_bytes())
    summary = call("memory://bucket/in", "memory://bucket/out")
    assert (summary.done, len(summary.failures)) == (9, 1)
    assert memory.cat("/bucket/out/0/4.out") == b"abc" * 10
    assert call("memory://bucket/in", "memory://bucket/out").finished == 9
    assert not any(".part" in path for path in memory.store)
    assert Place("memory://bucket/out").exists(".quantal/options.json")
    memory.store.clear()
