"""Files of features on the command line."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

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
