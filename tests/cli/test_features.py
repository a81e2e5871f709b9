"""Files of features on the command line."""

from __future__ import annotations

import io

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


def npy(values: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    np.save(file, values, **options)  # type: ignore[arg-type]
    return file.getvalue()


def test_names_are_in_the_order_of_their_numbers(quantal, tmp_path) -> None:
    named = {f"tensor.{number}": torch.full((3,), number) for number in range(12)}
    save_file(named, tmp_path / "many.safetensors")
    quantal("features", tmp_path / "many.safetensors")
    quantal("latents", tmp_path / "many.qtl", "-o", tmp_path / "back.safetensors")
    found = load_file(tmp_path / "back.safetensors")
    assert {name: int(value[0]) for name, value in found.items()} == {
        f"tensor.{number}": number for number in range(12)
    }


@pytest.mark.parametrize("kind", [">f4", "<f2", ">i2", "<u1", "<f8"])
def test_arrays_of_any_byte_order_are_coded(quantal, tmp_path, kind) -> None:
    values = np.arange(24).reshape(4, 6).astype(kind)
    (tmp_path / "a.npy").write_bytes(npy(np.asfortranarray(values)))
    options = ("--max-error", 0.01) if values.dtype.kind == "f" else ()
    quantal("features", tmp_path / "a.npy", *options)
    found = features.decode(tmp_path / "a.qtl")
    np.testing.assert_allclose(found.double().numpy(), values.astype(float), atol=0.01)
    assert str(found.dtype) == f"torch.{values.dtype.newbyteorder('=').name}"


def header(text: str) -> bytes:
    body = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


WRONG = {
    "text.npy": (b"no array", "neither a .npy nor a .safetensors file"),
    "cut.npy": (npy(np.zeros(9))[:-9], "72 for float64 [9]; it was cut"),
    "two.npy": (npy(np.zeros(9)) + npy(np.zeros(9)), "more than one file"),
    "large.npy": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**14,)}"),
        "header of the .npy file is damaged",
    ),
    "huge.npy": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"),
        "bytes of values, expected 399,",
    ),
    "nested.npy": (header("{" * 90), "header of the .npy file is damaged"),
    "cut.safetensors": (save({"a": MAPS[0]})[:-9], "neither a .npy nor a .safetensors file"),
    "empty.safetensors": (save({}), "it holds no tensor"),
    "odd.safetensors": (
        (56).to_bytes(8, "little")
        + b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}'.ljust(56)
        + b"1",
        "neither a .npy nor a .safetensors file",
    ),
    "object.npy": (npy(np.array([{"a": 1}], object)), "values are object, expected floats"),
    "words.npy": (npy(np.array(["text"])), "values are <U4, expected floats"),
    "nan.npy": (npy(np.array([1.0, np.nan])), "NaN"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_costs_itself_alone(quantal, tmp_path, name) -> None:
    data, reason = WRONG[name]
    (tmp_path / name).write_bytes(data)
    (tmp_path / "z.npy").write_bytes(npy(MAPS[0].numpy()))
    out = tmp_path / "out"
    failed = quantal("features", tmp_path / name, tmp_path / "z.npy", "-o", out, "--max-error", 0.1)
    assert failed.status == 1 and reason in failed.err
    assert [path.name for path in out.iterdir()] == ["z.qtl"]


def test_wrong_calls(quantal, tmp_path) -> None:
    path = tmp_path / "f.npy"
    path.write_bytes(npy(MAPS[0].numpy()))
    failed = quantal("features", path)
    assert failed.status == 1 and "0 of `max_error`, `bits` and `rate` given" in failed.err
    failed = quantal("features", path, "--bits", 0.0001)
    assert failed.status == 1 and "too few" in failed.err
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "f.npy").write_bytes(path.read_bytes())
    failed = quantal("features", tmp_path / "deep", "--max-error", 0.1)
    assert failed.status == 1 and "-r looks into its folders too" in failed.err
    quantal("features", "-r", tmp_path / "deep", "--max-error", 0.1)
    assert (tmp_path / "deep" / "er" / "f.qtl").is_file()
