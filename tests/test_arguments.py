"""Numbers of any library are arguments; texts, truth values and arrays are none."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from quantal.arguments import choice, flag, number, whole
from quantal.errors import ArgumentError


@pytest.mark.parametrize(
    "value", [7, np.int8(7), np.uint64(7), np.array(7), torch.tensor(7), torch.tensor([7])[0]]
)
def test_whole_numbers(value: Any) -> None:
    found = whole("steps", value, 1, 7)
    assert found == 7 and type(found) is int


@pytest.mark.parametrize(
    "value", ["7", 7.0, True, np.bool_(True), torch.tensor(True), None, [7], np.array([7, 8]), 1j]
)
def test_what_is_no_whole_number(value: Any) -> None:
    with pytest.raises(ArgumentError, match="steps must be a whole number"):
        whole("steps", value)


def test_ranges() -> None:
    with pytest.raises(ArgumentError, match=r"steps must be 1\.\.5, not 0"):
        whole("steps", 0, 1, 5)
    with pytest.raises(ArgumentError, match=r"steps must be 1 or more, not -2"):
        whole("steps", -2, 1)


@pytest.mark.parametrize(
    "value", [0.5, np.float16(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2)]
)
def test_numbers(value: Any) -> None:
    found = number("bpp", value)
    assert found == 0.5 and type(found) is float


@pytest.mark.parametrize(
    "value", ["0.5", True, np.bool_(True), None, [0.5], np.array([0.5]), 1j, 0, -1, np.nan, np.inf]
)
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(ArgumentError, match="bpp must be"):
        number("bpp", value)


def test_flags_and_choices() -> None:
    assert flag("force", np.bool_(True)) is True
    assert choice("mode", "a", ("a", "b")) == "a"
    for value in (1, "yes", None):
        with pytest.raises(ArgumentError, match="force must be True or False"):
            flag("force", value)
    for value in ("c", 1, None, ["a"]):
        with pytest.raises(ArgumentError, match="mode must be one of a, b"):
            choice("mode", value, ("a", "b"))
