"""Weights of recognisers that are wrong are refused, before memory is taken for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from quantal.codecs.info import Card
from quantal.codecs.weights import write_weights
from quantal.errors import ModelError
from quantal.latents.recognisers import (
    Classifier,
    ClassifierConfig,
    StemConfig,
    StemNet,
    read_recogniser,
    write_recogniser,
)

NETS = {
    "classifier": lambda: Classifier(
        ClassifierConfig("wavelet", 8, ("a", "b"), (8, 8), (1, 1), (4, 4), (0, 0))
    ),
    "pixels": lambda: Classifier(
        ClassifierConfig("pixels", 3, ("a", "b"), (8, 8), (1, 1), (4, 4), (1, 1))
    ),
    "stem": lambda: StemNet(StemConfig(channels=8, width=8, blocks=1)),
    "stem of packets": lambda: StemNet(
        StemConfig(channels=8, width=8, blocks=1, synthesis_width=8, synthesis_blocks=(1,))
    ),
}


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> Classifier | StemNet:
    torch.manual_seed(0)
    found = NETS[request.param]()
    for value in found.state_dict().values():
        value.copy_(value.half())
    return found.eval()


@pytest.fixture
def path(net: Classifier | StemNet, tmp_path: Path) -> Path:
    write_recogniser(tmp_path / "w.safetensors", net, Card())
    return tmp_path / "w.safetensors"


def rewritten(path: Path, sizes: dict[str, Any], **tensors: Any) -> Path:
    """The file with other sizes and tensors, whose hash is right."""
    with safe_open(path, framework="np") as file:
        arrays = {n: file.get_tensor(n) for n in file.keys()} | tensors  # noqa: SIM118
        texts = file.metadata()
    kept = {name: value for name, value in arrays.items() if value is not None}
    model = json.dumps(json.loads(texts["model"]) | sizes)
    write_weights(path, texts["format"], kept, {}, {"model": model, "card": texts["card"]})
    return path


def test_what_is_read_is_what_was_written(net, path) -> None:
    before = torch.get_rng_state()
    found = read_recogniser(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert found.config == net.config and not found.training
    state, expected = found.state_dict(), net.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert not any(value.is_meta or value.requires_grad for value in state.values())
    x = torch.rand(2, net.config.channels, 32, 32)
    with torch.no_grad():
        assert torch.equal(found(x), net(x))


def test_wrong_sizes_take_no_memory(net, path) -> None:
    huge = 50000
    wide = (
        {"widths": [huge, huge]}
        if isinstance(net, Classifier)
        else {"width": huge, "synthesis_width": huge}
    )
    allocated: list[int] = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            found = func(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor) and not found.is_meta:
                allocated.append(found.numel())
            return found

    with Watch(), pytest.raises(ModelError, match="are damaged"):
        read_recogniser(rewritten(path, wide))
    assert max(allocated, default=0) < huge


@pytest.mark.parametrize(
    "sizes",
    [
        {"channels": 7},
        {"channels": 0},
        {"channels": "8"},
        {"unheard_of": 1},
        {"synthesis_blocks": [0, 0, 0, 0, 0], "widths": []},
    ],
)
def test_wrong_sizes_are_refused(net, path, sizes) -> None:
    with pytest.raises(ModelError):
        read_recogniser(rewritten(path, sizes))


def test_missing_odd_and_unknown_tensors_are_refused(net, path) -> None:
    name = "net.normaliser.mean"
    whole = path.read_bytes()
    for tensor in (None, np.zeros((3, 1), np.float16), np.zeros(0, np.float16)):
        path.write_bytes(whole)
        with pytest.raises(ModelError, match="are damaged"):
            read_recogniser(rewritten(path, {}, **{name: tensor}))
    path.write_bytes(whole)
    with pytest.raises(ModelError, match="are damaged"):
        read_recogniser(rewritten(path, {}, **{"net.more": np.zeros(3, np.float16)}))


def test_a_changed_tensor_does_not_have_the_stated_hash(net, path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ModelError, match="do not have the hash they state"):
        read_recogniser(path)
