"""Features at the ends of their types, files that claim too much, and bases that lie."""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from quantal import container
from quantal.codecs.weights import write_weights
from quantal.entropy.coder import Encoder
from quantal.errors import ArgumentError, BitstreamError, CorruptError, ModelError
from quantal.latents import features
from quantal.latents.features import _plain as plain
from quantal.latents.features._planes import Plane
from quantal.latents.features._stream import put_levels
from quantal.latents.features._tables import LEAST_BITS, family, layout_hash

GENERATOR = torch.Generator().manual_seed(5)
NOISE = torch.randn(4, 12, 12, generator=GENERATOR, dtype=torch.float64)
SAMPLES = [torch.randn(8, 5, 5, generator=GENERATOR) for _ in range(6)]
BASIS = features.Basis.fit(SAMPLES, 3)


def error(values: torch.Tensor, **options) -> float:
    found = features.decode(features.encode(values, **options))
    assert found.dtype == values.dtype and found.shape == values.shape and found.isfinite().all()
    return float((found.double() - values.double()).abs().max())


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "offset", "bound"),
    [
        (torch.float32, 1e6, 0.05),  # below the distance of neighbouring float32 there
        (torch.float32, 1e6, 0.02),
        (torch.float32, 3.4e38, 1e37),
        (torch.float16, 1e3, 0.2),
        (torch.float16, 65400.0, 100),
        (torch.float16, 0.0, 1e-6),
        (torch.bfloat16, 1e3, 0.3),
        (torch.bfloat16, 3.38e38, 1e37),
        (torch.float64, 1e6, 0.002),
        (torch.float64, 1.79e308, 1e300),
        (torch.float64, 1.0, 1.7e308),
    ],
)
def test_bounds_far_from_zero_are_kept(dtype, offset, bound) -> None:
    values = (NOISE.clamp(-4, 4) + offset).to(dtype)
    assert error(values, max_error=bound) <= bound


def test_bounds_beyond_the_levels_are_refused() -> None:
    with pytest.raises(ArgumentError, match="can't be kept within 1e-12"):
        features.encode(NOISE, max_error=1e-12)
    assert error(NOISE * 1e-4, max_error=1e-12) <= 1e-12


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-42, 1.0, 1e30, 1e300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bits_of_any_magnitude(dtype, scale) -> None:
    values = (
        (NOISE * scale).to(dtype).clamp(-1e38, 1e38) if dtype == torch.float32 else NOISE * scale
    )
    assert error(values, bits=8) <= 0.05 * float(values.abs().max())


def test_bits_of_values_far_from_zero() -> None:
    # Levels would not fit 32 bits at the highest rates.
    assert error(torch.full((1000,), 1e9), bits=8) <= 1
    assert error(1e6 + 1e-3 * NOISE, bits=16) <= 2e-3
    outlier = torch.cat([torch.randn(20000, generator=GENERATOR) * 1e-3, torch.tensor([1e7])])
    assert error(outlier, bits=20) <= 0.1
    largest = torch.tensor([65504.0, -65504.0, 0.0, 3.0]).half().repeat(50)
    assert error(largest, bits=5) <= 3e4


def test_bits_of_mixed_lists() -> None:
    tensors = [
        torch.cat(SAMPLES, 1),
        torch.zeros(0, 4),
        torch.tensor(1e30),
        torch.full((3,), -7.0).half(),
    ]
    for bits in (6, 64, 1e300):
        found = features.decode(features.encode(tensors, bits=bits))
        for own, wanted in zip(found, tensors, strict=True):
            assert own.dtype == wanted.dtype and torch.allclose(own, wanted, 0.2, 0.3)
    for empty in ([], torch.zeros(0, 3)):
        with pytest.raises(ArgumentError, match="there is no value"):
            features.encode(empty, bits=2)


# -- tensors of other kinds ------------------------------------------------------------------------


def test_arrays_of_numpy() -> None:
    wanted = np.arange(12, dtype=np.float32).reshape(3, 4)
    fixed = wanted.copy()
    fixed.flags.writeable = False
    for array in (wanted.astype(">f4"), fixed, np.asfortranarray(wanted)):
        found = features.decode(features.encode(array, max_error=0.25))
        assert np.abs(found.numpy() - wanted).max() <= 0.25
    for scalar in (np.array(3.5, np.float32), np.float32(3.5)):
        assert features.decode(features.encode(scalar, max_error=0.25)).shape == ()
    with pytest.raises(ArgumentError, match="is a masked array"):
        features.encode(np.ma.masked_array(wanted), max_error=1)


def test_tensors_of_torch() -> None:
    views = [
        torch.randn(6, 5, 4, generator=GENERATOR)[::2, :, 1::2].permute(2, 0, 1),
        torch.randn(3, 4, dtype=torch.complex64, generator=GENERATOR).conj().imag,
        torch.randn(3, 4, generator=GENERATOR).requires_grad_(),
    ]
    for view in views:
        found = features.decode(features.encode(view, max_error=0.1))
        assert (found - view).abs().max() <= 0.1 and found.is_contiguous()
    with pytest.raises(ArgumentError, match="on the meta device"):
        features.encode(torch.zeros(3, device="meta"), max_error=1)


def test_threads_decode_alike() -> None:
    data = features.encode(SAMPLES, max_error=0.01)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(features.decode, [data] * 8):
            assert all(map(torch.equal, found, features.decode(data)))


# -- files -----------------------------------------------------------------------------------------


def forged(shape: tuple[int, ...], part: bytes, dtype: str = "float32") -> bytes:
    info = container.TensorInfo(dtype, shape)
    return container.write_features(
        container.FeatureHeader("features", layout_hash(), (info,), True), part
    )


@pytest.mark.parametrize(
    ("dtype", "level", "centre"),
    [
        ("uint8", 300, 0),
        ("uint8", -1, 0),
        ("int8", 100, 100),
        ("int64", 2**30, 0),
        ("float32", 2**30, 0),
        ("float32", 2**31 - 1, 2**31 - 1),
    ],
)
def test_levels_that_nobody_writes_are_refused(dtype, level, centre) -> None:
    plane = Plane(
        np.full((1, 3), level, np.int32), np.zeros(1, np.uint8), np.array([centre], np.int32),
        False, 1.0,
    )  # fmt: skip
    data = forged((3,), plain.write([plane], [None]), dtype)
    for check in (features.decode, features.verify):
        with pytest.raises(CorruptError, match=r"levels .* found, expected"):
            check(data)


def test_empty_tensors_have_no_size_beyond_all_bounds() -> None:
    # numpy and torch refuse such shapes with errors of their own.
    record, most = struct.pack("<Bd", 0, 1.0), 2**32 - 1
    for shape in ((most, most, 0), (0, *[most] * 7)):
        with pytest.raises(ArgumentError, match="sizes of zero counted as ones"):
            forged(shape, record)
    small = forged((1, 1, 0), record)
    place = small.index(bytes([0x32, 1, 1, 0])) + 1  # float32, 3 dimensions, their sizes
    large = small[:place] + b"\xff\xff\xff\xff\x0f" * 2 + small[place + 2 :]
    with pytest.raises(CorruptError, match="sizes of zero counted as ones"):
        features.decode(large)
    assert features.decode(forged((most, 0), record)).shape == (most, 0)


def test_many_tensors_take_little_time_each() -> None:
    tensors = [torch.zeros(0)] * 5000
    assert len(features.decode(features.encode(tensors, max_error=1))) == 5000


def test_headers_are_read_of_any_buffer() -> None:
    data = features.encode(NOISE, max_error=1, layer="features.10")
    for buffer in (bytearray(data), memoryview(data)):
        assert container.probe_features(buffer) == container.probe_features(data)
        assert container.read_features(buffer) == container.read_features(data)
    for wrong in ("text", None, 3):
        with pytest.raises(ArgumentError, match=r"is not a \.qtl file"):
            container.read_features(wrong)


# -- bases and codebooks ---------------------------------------------------------------------------


def test_the_hash_of_a_basis_covers_its_floats() -> None:
    mirrored = features.Basis(-BASIS.mean, BASIS.rows, BASIS.unit, BASIS.tables)
    codebook = features.Codebook.fit(SAMPLES, 6)
    moved = features.Codebook(codebook.vectors + 1, codebook.prior)
    for own, other, rate in ((BASIS, mirrored, 9), (codebook, moved, None)):
        data = features.encode(SAMPLES[0], basis=own, rate=rate)
        with pytest.raises(ModelError, match="another one"):
            features.decode(data, basis=other)
    for check in (features.decode, features.verify):
        with pytest.raises(ArgumentError, match="basis is a str"):
            check(data, basis="codebook.safetensors")


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([torch.arange(8.0)[:, None, None].expand(8, 5, 5)], "all alike"),
        ([torch.zeros(0, 5, 5)], "all alike or too few"),
        ([SAMPLES[0].double() * 1e300], "too large for float32"),
        ([SAMPLES[0] * 1e30], "standard deviation of .* scale them"),
        ([SAMPLES[0] * 1e-30], "standard deviation of .* scale them"),
    ],
)
def test_samples_that_make_no_basis(samples, reason) -> None:
    with pytest.raises(ArgumentError, match=reason):
        features.Basis.fit(samples)


def test_samples_that_make_no_codebook() -> None:
    for samples, reason in (
        ([SAMPLES[0].double() * 1e300], "too large for float32"),
        ([SAMPLES[0] * 1e30], "expected at most 1e\\+15"),
    ):
        with pytest.raises(ArgumentError, match=reason):
            features.Codebook.fit(samples, 4)
    with pytest.raises(ArgumentError, match="seed must be"):
        features.Codebook.fit(SAMPLES, 4, seed="one")


def test_large_features_by_a_basis() -> None:
    with pytest.raises(ArgumentError, match="too large for float32"):
        features.encode(SAMPLES[0].double() * 1e300, basis=BASIS, rate=3)
    largest = (SAMPLES[0].sign() * 65504).half()
    found = features.decode(features.encode(largest, basis=BASIS, rate=40), basis=BASIS)
    assert found.isfinite().all()


def test_bases_that_are_none(tmp_path) -> None:
    path = tmp_path / "basis.safetensors"
    floats, integers = BASIS._floats(), BASIS._integers()
    no_rows = {**floats, "net.rows": np.zeros((0, 8), np.float32)}
    wide = np.ones(1, np.float64)
    for arrays, tables in (
        ({**floats, "net.mean": np.full(8, np.nan, np.float32)}, integers),
        ({**floats, "net.mean": np.zeros(8)}, integers),
        ({**floats, "net.rows": np.zeros((9, 8), np.float32)}, integers),
        (no_rows, {"exact.tables": np.zeros((64, 7, 0), np.uint8)}),
        ({**floats, "net.unit": np.full(1, 1e-44, np.float32)}, integers),
        ({**floats, "net.unit": wide}, integers),
        (floats, {"exact.tables": np.full((64, 7, 3), 178, np.uint8)}),
        ({**floats, "net.unit": np.ones((), np.float32)}, integers),
    ):
        write_weights(path, features.Basis.layout, arrays, tables, {})
        with pytest.raises(ModelError, match=r"basis\.safetensors"):
            features.read_known(path)


def test_no_index_is_free(tmp_path) -> None:
    """A kilobyte must not stand for billions of indices, whatever a codebook says."""
    still = [torch.zeros(8, 40, 40)]
    codebook = features.Codebook.fit(still, 6)
    assert codebook.prior.tables.least_bits.min() >= LEAST_BITS
    data = features.encode(still[0], basis=codebook)
    assert torch.equal(features.decode(data, basis=codebook), still[0])
    path, arrays = tmp_path / "codebook.safetensors", codebook._integers()
    states = len(arrays["exact.indices.weights"])
    free = np.tile(np.array([2**24 - 6, *[1] * 6], np.int32), (states, 1))
    cheap = {**arrays, "exact.indices.weights": free}
    write_weights(path, features.Codebook.layout, codebook._floats(), cheap, {})
    with pytest.raises(ModelError, match=r"an index of .* bits found"):
        features.read_known(path)


def test_nothing_is_drawn_of_a_damaged_stream(monkeypatch) -> None:
    encoder = Encoder()
    index = BASIS._index((1, 5, 5), 9)
    put_levels(encoder, np.zeros((3, 25), np.int32), index, family(False))
    part = bytes([1, 9]) + encoder.finish()
    info = container.TensorInfo("float32", (8, 5, 5))
    header = container.FeatureHeader("feature-basis", BASIS.hash, (info,), True)
    assert features.decode(container.write_features(header, part), basis=BASIS).shape == (8, 5, 5)
    monkeypatch.setattr(features.Basis, "_drawn", None)
    with pytest.raises(BitstreamError):
        features.decode(container.write_features(header, part + b"1"), basis=BASIS)


def test_files_that_are_no_weights(tmp_path) -> None:
    path = tmp_path / "basis.safetensors"
    nested = b"[" * 200_000
    kinds = {"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}
    text = json.dumps({**kinds, "__metadata__": {"format": features.Basis.layout}}).encode()
    for header in (nested, text):
        path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
        with pytest.raises(ModelError):
            features.read_known(path)
