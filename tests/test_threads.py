"""Processes take as many threads for matrix products as they are given; the user's word counts."""

from __future__ import annotations

import os

import pytest

from quantal.threads import blas_threads


def test_started_processes_inherit_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    before = dict(os.environ)
    with blas_threads(2):
        assert os.environ["OPENBLAS_NUM_THREADS"] == "2"
        assert os.environ["MKL_NUM_THREADS"] == "7"
    assert dict(os.environ) == before


def test_it_is_undone_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with pytest.raises(ZeroDivisionError), blas_threads(0):
        assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
        raise ZeroDivisionError
    assert "OPENBLAS_NUM_THREADS" not in os.environ
