"""Processes take as many threads for matrix products as they are given; the user's word counts."""

from __future__ import annotations

import os
import threading

import pytest
from threadpoolctl import ThreadpoolController

from quantal.threads import blas_threads, one_blas_thread


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


def test_threads_that_overlap_leave_the_users_number() -> None:
    def counts() -> set[int]:
        found = ThreadpoolController().select(user_api="blas").info()
        return {each["num_threads"] for each in found}

    before = counts()
    entered, may_leave = threading.Event(), threading.Event()

    def first() -> None:
        with one_blas_thread():
            entered.set()
            may_leave.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait(30)
    with one_blas_thread():
        may_leave.set()
        thread.join()
        assert counts() <= {1}
    assert counts() == before
