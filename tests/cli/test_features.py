"""Files of features on the command line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

from quantal.latents import features

MAPS = [torch.randn(24, 9, 7, generator=torch.Generator().manual_seed(n)) for n in range(8)]


@pytest.fixture(scope="module")
def basis() -> features.Basis:
    return features.Basis.fit(MAPS[1:])


def test_info_verify_and_latents(quantal, tmp_path, basis) -> None:
    path, known = tmp_path / "f.qtl", tmp_path / "basis.safetensors"
    path.write_bytes(features.encode(MAPS[0], basis=basis, rate=14, layer="features.10"))
    basis.write(known)
    shown = quantal("info", path).out
    assert "features, a tensor of 1,512 values" in shown and "float32 24 x 9 x 7" in shown
    about = quantal("info", "--json", path).document
    assert about["media"] == "features" and about["layer"] == "features.10"
    assert about["tensors"] == [{"dtype": "float32", "shape": [24, 9, 7]}]
    assert "they need the basis" in quantal("verify", path).out
    assert "f.qtl: ok" in quantal("verify", path, "--weights", known).out
    assert "f.qtl: ok" in quantal("verify", "--checksums", path).out
    out = tmp_path / "f.safetensors"
    quantal("latents", path, "-o", out, "--weights", known)
    assert torch.equal(load_file(out)["tensor.0"], features.decode(path, basis=basis))


def test_wrong_files(quantal, tmp_path) -> None:
    path = tmp_path / "f.qtl"
    path.write_bytes(features.encode(MAPS[0], max_error=0.1))
    failed = quantal("decompress", path, "-o", tmp_path / "f.png")
    assert failed.status == 1 and "the file holds features, expected a picture" in failed.err
    path.write_bytes(path.read_bytes()[:-5])
    for command in (("info",), ("verify",), ("latents", "-o", tmp_path / "f.safetensors")):
        failed = quantal(*command, path)
        assert failed.status == 1 and "it was cut" in failed.err


def test_lists_and_scalars(quantal, tmp_path) -> None:
    path, out = tmp_path / "f.qtl", tmp_path / "f.safetensors"
    tensors = [MAPS[0], torch.tensor(2.5), torch.arange(4), torch.zeros(0, 3)]
    path.write_bytes(features.encode(tensors, max_error=0.1))
    shown = quantal("info", path).out
    assert "features, 4 tensors of 1,517 values" in shown and "float32 scalar" in shown
    assert "float32 0 x 3" in shown and "f.qtl: ok" in quantal("verify", path).out
    quantal("latents", path, "-o", out)
    found = load_file(out)
    assert all(
        torch.equal(found[f"tensor.{n}"], own) for n, own in enumerate(features.decode(path))
    )
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no weights")
    failed = quantal("verify", path, "--weights", wrong)
    assert failed.status == 1 and "wrong.safetensors can't be read" in failed.err


def test_tensors_are_coded(quantal, tmp_path, basis) -> None:
    np.save(tmp_path / "one.npy", MAPS[0].numpy())
    save_file({"b": MAPS[1], "a": torch.arange(4)}, tmp_path / "two.safetensors")
    options = ("--max-error", 0.1, "--layer", "x")
    said = quantal("features", tmp_path, "-o", tmp_path / "coded", *options)
    assert "one.npy" in said.out and "1,516 values" in said.out and "bits per value" in said.out
    one = features.decode(tmp_path / "coded" / "one.qtl")
    assert (one - MAPS[0]).abs().max() <= 0.1
    # In the order of names.
    numbers, maps = features.decode(tmp_path / "coded" / "two.qtl")
    assert numbers.tolist() == [0, 1, 2, 3] and (maps - MAPS[1]).abs().max() <= 0.1
    known = tmp_path / "basis.safetensors"
    basis.write(known)
    quantal("features", tmp_path / "one.npy", "--basis", known, "--bits", 2)
    assert (tmp_path / "one.qtl").stat().st_size * 8 <= 2 * MAPS[0].numel()
    back = tmp_path / "back.safetensors"
    quantal("latents", tmp_path / "one.qtl", "-o", back, "--weights", known)
    assert load_file(back)["tensor.0"].shape == MAPS[0].shape


def test_what_can_not_be_coded_is_named(quantal, tmp_path) -> None:
    path = tmp_path / "f.npy"
    np.save(path, MAPS[0].numpy())
    failed = quantal("features", path)
    assert failed.status == 1 and "0 of `max_error`, `bits` and `rate` given" in failed.err
    failed = quantal("features", path, "--bits", 0.0001)
    assert failed.status == 1 and "too few" in failed.err
    for name, data, reason in (
        ("text.npy", b"no array", "neither a .npy nor a .safetensors file"),
        ("cut.npy", path.read_bytes()[:-9], "neither a .npy nor a .safetensors file"),
        ("cut.safetensors", save({"a": MAPS[0]})[:-9], "neither a .npy nor a .safetensors file"),
        ("empty.safetensors", save({}), "holds no tensor"),
    ):
        (tmp_path / name).write_bytes(data)
        failed = quantal("features", tmp_path / name, "--max-error", 0.1)
        assert failed.status == 1 and reason in failed.err
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    failed = quantal("features", path, "--max-error", 0.1, "-o", tmp_path / "o.qtl")
    assert failed.status == 1 and "neither a .npy" in failed.err
    np.save(path, np.array(["text"]))
    failed = quantal("features", path, "--max-error", 0.1, "-o", tmp_path / "o.qtl")
    assert failed.status == 1 and "neither a .npy" in failed.err
    np.save(path, np.array([1.0, np.nan]))
    failed = quantal("features", path, "--max-error", 0.1, "-o", tmp_path / "o.qtl")
    assert failed.status == 1 and "NaN" in failed.err
