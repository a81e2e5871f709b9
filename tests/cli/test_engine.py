"""Calls with --engine: folders and stores, a manifest, and what is refused."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from quantal.cli._engine import produce
from tests.cli.test_processes import alive, eventually, start, workers

CHEAP = ("--codec", "hyperprior")
ENGINE = ("--engine", "processes", "--jobs", "2")


@pytest.fixture
def photos(tmp_path: Path, small_photograph: Image.Image) -> Path:
    """Five crops and a picture that is cut."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number in range(5):
        crop = small_photograph.crop((number, 0, 33 + number, 24))
        crop.save(folder / ("deep" if number % 2 else "") / f"{number}.png")
    whole = (folder / "0.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    return folder


def test_files_are_those_of_a_call_without_engine(quantal, photos, tmp_path) -> None:
    made, usual = tmp_path / "made", tmp_path / "usual"
    first = quantal("compress", "-r", photos, "-o", made, *ENGINE, *CHEAP, "--json")
    assert quantal("compress", "-r", photos, "-o", usual, *CHEAP).status == first.status == 1
    names = {path.relative_to(usual) for path in usual.rglob("*.qtl")}
    assert len(names) == 5
    for name in names:
        assert (made / name).read_bytes() == (usual / name).read_bytes()
    document = first.document
    assert (document["files"], document["done"], document["failed"]) == (6, 5, 1)
    assert document["failures"][0]["input"] == "cut.png" and document["workers"] == 2
    again = quantal("compress", "-r", photos, "-o", made, *ENGINE, *CHEAP)
    assert again.status == 1 and "skipped 5 that earlier calls finished" in again.err
    assert "cut.png: " in again.err and "/.quantal states the reasons" in again.err

    verified = quantal("verify", "-r", made, "-o", tmp_path / "checked", *ENGINE)
    assert verified.status == 0 and "verified 5 of 5 files" in verified.out
    rows = pl.read_parquet(tmp_path / "checked/.quantal/parts/*.parquet")
    coded = pl.read_parquet(made / ".quantal/parts/*.parquet").filter(pl.col("status") == "done")
    assert set(rows["sha256"]) == set(coded["sha256"])
    assert set(rows["model_hash"]) == set(coded["model_hash"]) and "" not in rows["model_hash"]

    drawn = quantal("decompress", "-r", made, "-o", tmp_path / "drawn", *ENGINE, "--format", "webp")
    assert drawn.status == 0, drawn.err
    with Image.open(tmp_path / "drawn/deep/3.webp") as image:
        assert image.size == (33, 24)

    other = quantal("compress", "-r", photos, "-o", made, *ENGINE, *CHEAP, "-q", 70)
    assert other.status == 2 and "quality not given, now 70" in other.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("a", "b", "-o", "out"), "one folder or URL"),
        (("-", "-o", "out"), "one folder or URL"),
        (("a",), "-o OUT"),
        (("a", "-o", "-"), "-o OUT"),
        (("a", "-o", "out", "--keep-time"), "--keep-time"),
        (("a", "-o", "out", "--force", "--skip-existing"), "contradict"),
        (("a", "-o", "out", "--kbps", "9"), "--kbps"),
        (("a", "-o", "out", "--codec", "video-m"), "takes pictures"),
        (("a", "-o", "out", "--max-error", "1"), "--max-error"),
        (("none", "-o", "out"), "not there"),
        (("nowhere://a", "-o", "out"), "can't be reached"),
    ],
)
def test_impossible_calls_are_refused(quantal, tmp_path, monkeypatch, words, reason) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    call = quantal("compress", *words, "--engine", "processes")
    assert call.status in (1, 2) and reason in call.err
    assert not (tmp_path / "out").exists()


def test_options_of_engines_need_one(quantal, photos, tmp_path) -> None:
    assert "--tar needs --engine" in quantal("compress", photos, "-o", tmp_path, "--tar").err
    assert "need --engine" in quantal("verify", photos, "-o", tmp_path).err


def test_what_is_missing_is_named(quantal, photos, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    call = quantal("compress", photos, "-o", tmp_path / "out", "--engine", "processes", *CHEAP)
    assert call.status == 1 and "pip install 'quantal[engine]'" in call.err
    monkeypatch.setitem(sys.modules, "ray", None)
    call = quantal("compress", photos, "-o", tmp_path / "out", "--engine", "ray", *CHEAP)
    assert call.status == 1 and "pip install 'quantal[ray]'" in call.err


def test_an_old_ray_is_refused(quantal, photos, tmp_path, monkeypatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.9.3")
    call = quantal("compress", photos, "-o", tmp_path / "out", "--engine", "ray", *CHEAP)
    assert call.status == 1
    assert "Ray 2.9.3 is too old, expected 2.40 or later: pip install -U" in call.err


def test_the_reason_names_no_file_twice(small_photograph) -> None:
    from functools import partial

    from quantal.cli.verify import verify_one
    from quantal.errors import QuantalError

    work = partial(verify_one, deep=True, weights=None)
    with pytest.raises(QuantalError) as error:
        produce("s3://bucket/a.qtl", b"no file", work, False)
    assert "a.qtl" not in str(error.value)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
@pytest.mark.usefixtures("usual_signals")
def test_a_call_that_is_killed_is_gone_on_with(quantal, photograph, tmp_path) -> None:
    folder, out = tmp_path / "batch", tmp_path / "out"
    folder.mkdir()
    for index in range(48):
        photograph.crop((index, 0, index + 96, 64)).save(folder / f"{index:02}.png")
    process = start("compress", folder, "-o", out, *ENGINE, *CHEAP)
    parts = out / ".quantal/parts"
    eventually(lambda: parts.is_dir() and len(os.listdir(parts)) > 2, process)
    second = quantal("compress", folder, "-o", out, *ENGINE, *CHEAP)
    assert second.status == 1 and f"in use: process {process.pid}" in second.err
    helpers = workers(process)
    os.kill(helpers[0], signal.SIGKILL)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(alive, helpers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = pl.read_parquet(parts / "*.parquet").height
    third = quantal("compress", folder, "-o", out, *ENGINE, *CHEAP, "--json")
    assert third.status == 0, third.err
    assert third.document["finished_before"] == done > 0
    assert third.document["done"] == 48 - done
    assert len(list(out.glob("*.qtl"))) == 48
