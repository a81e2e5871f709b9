"""What plans and functions take as numbers and places, and what they refuse."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quantal.errors import ArgumentError
from quantal.eval import codec, published, read_side
from quantal.eval.bdrate import bd
from quantal.eval.perception import Plan as Perception
from quantal.eval.rd import Plan

BPP, DB = [0.1, 0.2, 0.4, 0.8], [28, 31, 34, 37]


def test_numbers_of_numpy() -> None:
    plan = Plan(
        ["jpeg"], "pictures", "out", qualities={"": np.array([10, 20])}, jobs=np.int64(2),
        threads=np.uint8(1), timeout=np.float32(60), min_overlap=np.float64(0.5),
        pareto=np.bool_(True),
    )  # fmt: skip
    assert plan.qualities == {"": (10.0, 20.0)} and plan.codecs == ("jpeg",)
    numbers = [plan.jobs, plan.threads, plan.timeout, plan.min_overlap, plan.pareto]
    assert [type(number) for number in numbers] == [int, int, float, float, bool]
    assert plan.data == Path("pictures")
    other = Perception(
        ["jpeg"], "data", "classify", Path("m.onnx"), "out", {"jpeg": range(10, 30, 10)},
        limit=np.int16(5), jobs=np.int32(0),
    )  # fmt: skip
    assert other.qualities == {"jpeg": (10.0, 20.0)} and other.model == "m.onnx"
    assert type(other.limit) is type(other.jobs) is int


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jobs": "2"}, "jobs must be a whole number, not '2'"),
        ({"jobs": True}, "jobs must be a whole number, not True"),
        ({"jobs": 1.5}, "jobs must be a whole number"),
        ({"jobs": -1}, "jobs must be 0 or more"),
        ({"threads": np.bool_(True)}, "threads must be a whole number"),
        ({"threads": 0}, "threads must be 1 or more"),
        ({"timeout": "60"}, "timeout must be a number, not '60'"),
        ({"timeout": float("nan")}, "timeout must be positive"),
        ({"min_overlap": 1.5}, "min_overlap is 1.5, expected 0 to 1"),
        ({"pareto": "no"}, "pareto must be True or False"),
        ({"qualities": {"": ["60"]}}, "qualities of all codecs must be numbers, not '60'"),
        ({"qualities": {"jpeg": [True]}}, "qualities of jpeg must be numbers, not True"),
        ({"qualities": {"jpeg": 60}}, "qualities of jpeg must be a list of numbers, not 60"),
        ({"qualities": [60]}, "must be a mapping"),
        ({"codecs": "jpeg,webp"}, "codecs must be a sequence of texts"),
        ({"metrics": [3]}, "metrics must be a sequence of texts"),
        ({"data": ""}, "data is an empty path"),
        ({"out": ""}, "out is an empty path"),
        ({"out": None}, "out must be a path"),
        ({"weights": ""}, "weights is an empty path"),
        ({"references": [""]}, "a reference is an empty path"),
    ],
)
def test_what_a_plan_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Plan(**({"codecs": ("jpeg",), "data": Path("p"), "out": Path("o")} | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": "5"}, "limit must be a whole number"),
        ({"limit": 0}, "limit must be 1 or more"),
        ({"jobs": True}, "jobs must be a whole number"),
        ({"model": ""}, "model is an empty path"),
        ({"labels": ""}, "labels is an empty path"),
        ({"data": ""}, "data is an empty path"),
    ],
)
def test_what_a_plan_of_perception_refuses(change: dict[str, Any], message: str) -> None:
    given = {"codecs": ("jpeg",), "data": "d", "task": "classify", "model": "m.onnx", "out": "o"}
    with pytest.raises(ArgumentError, match=message):
        Perception(**(given | change))


@pytest.mark.parametrize(
    "wrong", [["0.1", "0.2", "0.4"], [True, False, True], [[1], [2, 3]], ["a"], [None, 1, 2]]
)
def test_rates_are_numbers(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="must be numbers, not"):
        bd(BPP, DB, wrong, DB)


def test_rates_of_any_array() -> None:
    found = bd(np.array(BPP, np.float32), tuple(DB), torch.tensor(BPP), np.array(DB, np.int16))
    assert found.percent == pytest.approx(0, abs=1e-4)
    with pytest.raises(ArgumentError, match="min_overlap must be a number"):
        bd(BPP, DB, BPP, DB, min_overlap="0.5")  # type: ignore[arg-type]
    assert bd(BPP, DB, BPP, DB, min_overlap=Fraction(1, 2)).overlap == 1  # type: ignore[arg-type]


def test_places_and_names_of_functions() -> None:
    for call in (lambda: read_side(""), lambda: published(""), lambda: published([""])):
        with pytest.raises(ArgumentError, match="empty path"):
            call()
    with pytest.raises(ArgumentError, match="a codec must be a text"):
        codec(3)  # type: ignore[arg-type]
