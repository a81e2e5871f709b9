"""Weights in the wrappings people have them in, and files that are none."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import quantal
from quantal import media
from quantal.codecs.compressai import ARCHITECTURES
from quantal.codecs.compressai.weights import architecture_of, read, read_state
from quantal.errors import ModelError
from quantal.files import Target, encode_picture

from .conftest import HYPER, Weights, load


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_tell_their_architecture(architecture: str, zoo_weights: Weights) -> None:
    assert architecture_of(read_state(zoo_weights(architecture))) == architecture
    assert quantal.load("compressai", "cpu", zoo_weights(architecture)).name == "compressai"


def test_the_same_weights_in_any_wrapping(zoo_weights: Weights, tmp_path: Path) -> None:
    plain = load(HYPER, zoo_weights)
    state = torch.load(zoo_weights(HYPER), weights_only=True)
    network = read(zoo_weights(HYPER)).network
    updated = network.state_dict()
    wrappings: dict[str, Any] = {
        "parallel.pth": {f"module.{key}": value for key, value in state.items()},
        "checkpoint.pth.tar": {"epoch": 3, "state_dict": state, "optimizer": {"state": {}}},
        "updated.pth": updated,
        "old.pth": {
            re.sub(r"\.(matrices|biases|factors)\.", r"._\1.", key): value
            for key, value in state.items()
        },
        "bare.pth": {k: v for k, v in state.items() if "_cdf" not in k and "_offset" not in k},
    }
    for name, content in wrappings.items():
        torch.save(content, tmp_path / name)
    save_file({k: v.contiguous() for k, v in updated.items()}, tmp_path / "these.safetensors")
    for name in (*wrappings, "these.safetensors"):
        other = quantal.load(f"compressai/{HYPER}", "cpu", tmp_path / name)
        assert other.model_hash == plain.model_hash, name


def test_wrong_weights_are_named(zoo_weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"of mbt2018-mean, expected mbt2018$"):
        quantal.load("compressai/mbt2018", "cpu", zoo_weights(HYPER))
    state = torch.load(zoo_weights(HYPER), weights_only=True)
    cases: dict[str, tuple[Any, str]] = {
        "another.pth": ({"conv.weight": torch.zeros(1)}, "no picture architecture"),
        "cut.pth": ({k: v for k, v in state.items() if "h_s.2" not in k}, "don't fit mbt2018-mean"),
        "list.pth": ([1, 2], "holds no weights"),
        "tables.pth": (
            {**state, "entropy_bottleneck.quantiles": torch.zeros(3, 1, 3)},
            "don't fit mbt2018-mean",
        ),
    }
    for name, (content, words) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(ModelError, match=words):
            quantal.load("compressai", "cpu", tmp_path / name)
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(ModelError, match="can't be read"):
            quantal.load("compressai", "cpu", tmp_path / name)


def test_values_that_are_not_finite_are_named(
    zoo_weights: Weights, tmp_path: Path, picture: media.Picture
) -> None:
    state = torch.load(zoo_weights(HYPER), weights_only=True)
    state["g_a.6.bias"][0] = float("nan")
    torch.save(state, tmp_path / "these-3.pth")
    codec = quantal.load("compressai", "cpu", tmp_path / "these-3.pth")
    with pytest.raises(ModelError, match="not finite"):
        encode_picture(picture, codec, Target(quality=3))


def test_no_code_in_a_pickle_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
            return (Path.touch, (tmp_path / "touched",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"g_a.0.weight": Evil()}))
    with pytest.raises(ModelError, match="can't be read"):
        quantal.load("compressai", "cpu", tmp_path / "evil.pth")
    assert not (tmp_path / "touched").exists()


def test_without_compressai_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "compressai", None)
    monkeypatch.setitem(sys.modules, "compressai.zoo", None)
    torch.save({"g_a.0.weight": torch.zeros(1)}, tmp_path / "these.pth")
    with pytest.raises(ModelError, match=r'pip install "quantal\[compressai\]"'):
        quantal.load("compressai", "cpu", tmp_path / "these.pth")
