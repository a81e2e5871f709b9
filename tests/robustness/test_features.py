"""Damaged files of features give tensors or a named error, in little memory."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch

from quantal.container import TensorInfo, read_features, write_features
from quantal.errors import CorruptError
from quantal.latents import features as medium

from .fuzz import features
from .fuzz.limits import limited_memory


def test_damaged_features_are_answered() -> None:
    files = features.sample_features()
    assert {features.outcome(data) for data in files} == {"features"}
    with limited_memory():
        found = {features.outcome(data) for _, data in islice(features.cases(7, files), 2000)}
    assert {"features", "CorruptError", "TruncatedError"} <= found


def test_integers_by_a_basis_are_damage() -> None:
    basis, _ = features.known()
    maps = torch.zeros(12, 7, 9)
    header, part = read_features(medium.encode(maps, basis=basis, rate=20))
    forged = replace(header, tensors=(TensorInfo("int32", (12, 7, 9)),))
    for read in (medium.decode, medium.verify):
        with pytest.raises(CorruptError, match="tensor 0 of feature-basis is int32"):
            read(write_features(forged, part), basis=basis)
