"""`quantal compress --effort`, and the option of the same name in `quantal eval rd`."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from quantal import container
from quantal.cli import _report
from quantal.cli._report import Bar
from quantal.codecs.pyramid import search
from quantal.errors import ArgumentError
from quantal.eval.codecs import codec


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    for effort in (2, 3):
        monkeypatch.setitem(search.ITERATIONS, effort, 3)


def test_effort_writes_an_ordinary_file(quantal, photo) -> None:
    plain, searched = photo.with_name("plain.qtl"), photo.with_name("searched.qtl")
    assert quantal("compress", photo, "-o", plain).status == 0
    call = quantal("compress", photo, "--effort", 2, "-o", searched, "--json")
    assert call.status == 0
    assert len(call.document) == 1  # nothing else on standard output
    assert not call.err
    assert searched.read_bytes() != plain.read_bytes()
    assert (
        container.probe(searched.read_bytes()).header == container.probe(plain.read_bytes()).header
    )
    assert quantal("verify", searched).status == 0
    assert quantal("decompress", searched).status == 0


def test_no_effort_is_the_default(quantal, photo) -> None:
    one, other = photo.with_name("one.qtl"), photo.with_name("other.qtl")
    quantal("compress", photo, "-o", one)
    quantal("compress", photo, "-o", other, "--effort", 0)
    assert one.read_bytes() == other.read_bytes()


def test_max_bytes_holds_with_effort(quantal, photo) -> None:
    call = quantal("compress", photo, "--max-bytes", 900, "--effort", 1, "--json")
    assert call.document[0]["bytes_out"] <= 900
    assert photo.with_suffix(".qtl").stat().st_size <= 900


def test_workers_search_too(quantal, photo, tmp_path) -> None:
    other = photo.with_name("other.png")
    other.write_bytes(photo.read_bytes())
    call = quantal("compress", photo, other, "--effort", 1, "--jobs", 2, "-o", tmp_path / "out")
    assert call.status == 0
    quantal("compress", photo, "--effort", 1)
    for name in ("photo.qtl", "other.qtl"):
        assert (tmp_path / "out" / name).read_bytes() == photo.with_suffix(".qtl").read_bytes()


@pytest.mark.parametrize("effort", [-1, 4, "much"])
def test_an_effort_that_there_is_not_is_a_wrong_call(effort, quantal, photo) -> None:
    call = quantal("compress", photo, "--effort", effort)
    assert call.status == 2
    assert "--effort" in call.err
    assert not photo.with_suffix(".qtl").exists()


def test_a_codec_of_the_zoo_has_none(quantal, photo, zoo_weights) -> None:
    weights = zoo_weights("bmshj2018-factorized")
    call = quantal("compress", photo, "--codec", "compressai", "--weights", weights, "--effort", 1)
    assert call.status == 2
    assert "has no effort 1; it has: 0" in call.err


def test_the_bar_moves_within_a_file(monkeypatch, capsys) -> None:
    monkeypatch.setattr(_report, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    with Bar("compressing", 2, shown=True) as bar:
        for _ in range(100):
            if bar._progress is not None:
                break
            time.sleep(0.01)
        assert bar._progress is not None
        bar.advance_to(0.25)
        assert bar._progress.tasks[0].completed == 0.25
        bar.advance()
        bar.advance_to(0.5)
        assert bar._progress.tasks[0].completed == 1.5


def test_eval_measures_it_apart(small_photograph) -> None:
    plain, searched = codec("hyperprior:effort=0"), codec("hyperprior:effort=1")
    assert (plain.label, searched.label) == ("hyperprior", "hyperprior:effort=1")
    assert searched.version == plain.version + ", effort 1"  # rows of both don't mix
    pixels = np.asarray(small_photograph)
    assert searched.encode(pixels, 60) != plain.encode(pixels, 60)
    assert (searched.decode(searched.encode(pixels, 60)) != 0).any()
    with pytest.raises(ArgumentError, match="effort is '9'"):
        codec("hyperprior:effort=9")
