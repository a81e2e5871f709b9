"""Weights that are missing, cut, altered or another's are a ModelError, never a wrong picture."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from quantal.codecs import CodecEntry, Family, available, catalogue, load, registry
from quantal.codecs.hyperprior.net import HyperpriorConfig, HyperpriorNet
from quantal.codecs.info import Card
from quantal.codecs.pyramid.weights import (
    EntropyNetWeights,
    read_entropy_net_weights,
    write_entropy_net_weights,
)
from quantal.errors import ModelError

from . import fuzz


def read_weights(path: Path) -> EntropyNetWeights:
    return read_entropy_net_weights(path, HyperpriorNet)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained codec of the smallest size: its file takes no time to read."""
    config = HyperpriorConfig((4, 4, 4), (1, 1, 1), 4, 4, 4, 4)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    net = HyperpriorNet(config)
    write_entropy_net_weights(path, net, net.entropy.freeze(), Card())
    read_weights(path)
    return path


def rewritten(source: Path, target: Path, tensors: dict[str, object], **metadata: str) -> Path:
    """A well-formed copy with other tensors or metadata."""
    with safe_open(source, framework="pt") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        texts = {**file.metadata(), **metadata}
    kept |= tensors
    save_file({name: value for name, value in kept.items() if value is not None}, target, texts)
    return target


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.safetensors"):
        load(weights=tmp_path / "absent.safetensors")
    with pytest.raises(ModelError, match="is not a file of weights"):
        load(weights=tmp_path)


def test_cut_weights_are_refused(small: Path, tmp_path: Path) -> None:
    whole, path = small.read_bytes(), tmp_path / "cut.safetensors"
    for length in (0, 1, 7, 8, 9, 500, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"can't be read: .*, or name others"):
            load(weights=path)


def test_a_flipped_bit_in_any_tensor_is_noticed(small: Path, tmp_path: Path) -> None:
    whole, path = small.read_bytes(), tmp_path / "flipped.safetensors"
    (header,) = struct.unpack_from("<Q", whole)
    rng = fuzz.Random(1)
    for place in rng.sample(range(8 + header, len(whole)), 100):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ModelError):
            read_weights(path)


def test_a_damaged_header_is_no_crash(small: Path, tmp_path: Path) -> None:
    whole, path = small.read_bytes(), tmp_path / "header.safetensors"
    (header,) = struct.unpack_from("<Q", whole)
    rng = fuzz.Random(2)
    for place in rng.sample(range(8 + header), 200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            read_weights(path)  # what only people read, such as the card, may say anything
        except ModelError:
            continue


@pytest.mark.parametrize(
    "name", ["tables.y.cumulative", "tables.z.3.first", "exact.z_units", "exact.0.bias"]
)
def test_altered_integers_do_not_have_the_stated_hash(
    small: Path, tmp_path: Path, name: str
) -> None:
    with safe_open(small, framework="pt") as file:
        tensor = file.get_tensor(name)
    place = tensor.numel() // 2
    tensor.view(-1)[place] += 1
    with pytest.raises(ModelError):
        read_weights(rewritten(small, tmp_path / "altered.safetensors", {name: tensor}))


@pytest.mark.parametrize(
    "tensors",
    [
        {"tables.y.cumulative": None},
        {"exact.z_units": None},
        {"exact.0.weight": None},
        {"net.prior.means.anchors": None},
        {"tables.y.offsets": torch.zeros(65, dtype=torch.int32)},
        {"tables.y.cumulative": torch.zeros(3)},
        {"exact.z_units": torch.full((64, 4), -(2**31), dtype=torch.int32)},
        {"exact.z_units": torch.empty(0, dtype=torch.int32)},
        {"exact.1.fields": torch.tensor([99, 0, 1, 1, 1], dtype=torch.int32)},
        {"exact.1.fields": torch.tensor([1], dtype=torch.int32)},
        {"exact.0.weight": torch.full((4, 4, 1, 1), 2**31 - 1, dtype=torch.int32)},
    ],
)
def test_tensors_that_make_no_codec_are_refused(
    small: Path, tmp_path: Path, tensors: dict[str, object]
) -> None:
    with pytest.raises(ModelError):
        read_weights(rewritten(small, tmp_path / "odd.safetensors", tensors))


@pytest.mark.parametrize(
    "metadata",
    [
        {"hash": "00000000"},
        {"floats": "00000000"},
        {"format": "another layout"},
        {"model": "[1]"},
        {"model": "7"},
        {"model": "{"},
        {"model": json.dumps({"channels": [4]})},
        {"model": json.dumps({"channels": 4})},
        {"model": json.dumps({"channels": [5, 5, 5]})},
        {"model": json.dumps({"width": 4})},
        {"model": json.dumps({"z_channels": "4"})},
        {"model": json.dumps({"z_channels": -4})},
    ],
)
def test_a_header_that_says_something_else_is_refused(
    small: Path, tmp_path: Path, metadata: dict[str, str]
) -> None:
    with pytest.raises(ModelError):
        read_weights(rewritten(small, tmp_path / "odd.safetensors", {}, **metadata))


def test_codecs_are_listed_without_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = CodecEntry(registry.DEFAULT_CODEC, "The default.", Path("absent"))
    family = Family("context", "quantal.codecs.context.codec:Context", (absent,))
    monkeypatch.setattr(catalogue, "_own_families", lambda: iter([family]))
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())
    assert [info.weights for info in available()] == [False]
    with pytest.raises(ModelError, match="missing"):
        load()
