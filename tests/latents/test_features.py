"""Features as a medium: round trips, bounds, wrong input, and files that lie."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantal import container
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    ModelError,
    QuantalError,
    TruncatedError,
)
from quantal.latents import features
from quantal.latents.features._tables import FAMILY, family, layout_hash

GENERATOR = torch.Generator().manual_seed(3)
MAP = torch.randn(24, 9, 7, generator=GENERATOR) * torch.linspace(0.1, 5, 24)[:, None, None]
SAMPLES = [torch.randn(24, 9, 7, generator=GENERATOR) for _ in range(12)]
BASIS = features.Basis.fit(SAMPLES, 20)


def test_tables_are_the_same_on_every_machine() -> None:
    # Made by whole numbers: a change here makes every file unreadable.
    assert layout_hash().hex() == "6c41caa6"
    assert len(FAMILY) == len(family(True)) == len(family(False)) == 178
    assert not family(True).certain.any() and not family(False).certain.any()


@pytest.mark.parametrize("bound", [1e-4, 0.01, 0.5, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_bound_is_kept(dtype, bound) -> None:
    values = MAP.to(dtype)
    found = features.decode(features.encode(values, max_error=bound))
    assert found.dtype == dtype and found.shape == values.shape
    assert (found.double() - values.double()).abs().max() <= bound


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_bound_of_short_floats_counts_their_own_rounding(dtype) -> None:
    values = MAP.to(dtype)
    found = features.decode(features.encode(values, max_error=0.2))
    assert (found.double() - values.double()).abs().max() <= 0.2
    with pytest.raises(ArgumentError, match="can't be kept within 1e-12"):
        features.encode(values * 100, max_error=1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (5, 0, 3), (7,), (6, 4), (2, 3, 4, 5, 2, 2), (1,) * 8])
def test_any_shape(shape) -> None:
    values = torch.randn(shape, generator=GENERATOR)
    found = features.decode(features.encode(values, max_error=0.1))
    assert found.shape == values.shape
    assert not values.numel() or (found - values).abs().max() <= 0.1


@given(
    st.integers(-(2**29), 2**29),
    st.sampled_from(["uint8", "int8", "int16", "int32", "int64"]),
    st.integers(0, 40),
)
@settings(max_examples=30, deadline=None)
def test_integers_are_exact(seed, dtype, count) -> None:
    about = np.iinfo(dtype)
    low, high = max(about.min, -(2**30) + 1), min(about.max, 2**30 - 1)
    values = np.random.default_rng(abs(seed)).integers(low, high, (3, count), endpoint=True)
    values = values.astype(dtype)
    found = features.decode(features.encode(values))
    assert str(found.dtype) == f"torch.{dtype}" and np.array_equal(found.numpy(), values)


@pytest.mark.parametrize("channels", [0, 1, 2, -1, -3, None])
def test_channels_may_be_any_axis(channels) -> None:
    data = features.encode(MAP, max_error=0.05, channels=channels)
    assert (features.decode(data) - MAP).abs().max() <= 0.05
    with pytest.raises(ArgumentError, match="has no axis 3"):
        features.encode(MAP, max_error=0.05, channels=3)


def test_statistics_follow_the_channels() -> None:
    # The channels' spreads differ fifty times: along the right axis they cost fewer bits.
    right, wrong = (len(features.encode(MAP, bits=3, channels=axis)) for axis in (0, 2))
    assert right <= 3 * MAP.numel() / 8 and wrong <= 3 * MAP.numel() / 8
    fine, coarse = (len(features.encode(MAP, max_error=0.05, channels=axis)) for axis in (0, 2))
    assert fine < coarse


def test_lists_and_names() -> None:
    tensors = [MAP, MAP[0].half(), torch.arange(6)]
    net = torch.nn.Linear(2, 2)
    data = features.encode(tensors, max_error=0.3, network=net, layer="features.10")
    header, _ = container.read_features(data)
    assert header.layer == "features.10" and header.network != bytes(4)
    assert [each.dtype for each in header.tensors] == ["float32", "float16", "int64"]
    found = features.decode(data)
    assert isinstance(found, list) and torch.equal(found[2], tensors[2])
    assert features.decode(features.encode([])) == []
    (one,) = features.decode(features.encode([MAP], max_error=1))
    assert one.shape == MAP.shape


@pytest.mark.parametrize("bits", [0.7, 2, 5, 9])
def test_bits_are_an_upper_bound(bits) -> None:
    data = features.encode(MAP, bits=bits)
    assert 0.75 * bits < 8 * len(data) / MAP.numel() <= bits


def test_zeros_of_a_rectifier_cost_little() -> None:
    sparse = (torch.randn(16, 32, 32, generator=GENERATOR) - 2).relu()
    data = features.encode(sparse, max_error=0.1)
    negative = features.encode(-sparse, max_error=0.1)
    assert len(data) < len(negative) and 8 * len(data) < 0.5 * sparse.numel()


# -- a basis ---------------------------------------------------------------------------------------


def test_a_basis_saves_statistics(tmp_path) -> None:
    mixing = torch.randn(24, 24, generator=GENERATOR) * torch.linspace(2, 0.01, 24)
    samples = [torch.einsum("ij,jhw->ihw", mixing, each) for each in SAMPLES]
    basis = features.Basis.fit(samples[1:])
    path = tmp_path / "basis.safetensors"
    basis.write(path, "mixed noise")
    basis = features.Basis.read(path)
    plain, based = (features.encode(samples[0], bits=2, basis=each) for each in (None, basis))
    errors = [
        (features.decode(data, basis=each) - samples[0]).square().mean()
        for data, each in ((plain, None), (based, basis))
    ]
    assert errors[1] < errors[0] / 2
    assert features.verify(based) == f"they need the basis {basis.hash.hex()}"
    assert features.verify(based, basis=basis) is None
    with pytest.raises(ModelError, match="need the basis"):
        features.decode(based)
    with pytest.raises(ModelError, match="give the one that they were written with"):
        features.decode(based, basis=BASIS)
    with pytest.raises(ModelError, match="written without a basis"):
        features.decode(plain, basis=basis)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError):
        features.Basis.read(path)


def test_rates_of_a_basis_rise() -> None:
    sizes = [len(features.encode(MAP, basis=BASIS, rate=rate)) for rate in (0, 12, 24, 36)]
    assert sizes == sorted(set(sizes))
    with pytest.raises(ArgumentError, match=r"rate must be 0\.\.63"):
        features.encode(MAP, basis=BASIS, rate=64)
    with pytest.raises(ArgumentError, match="of 9 channels found, the basis is for 24"):
        features.encode(MAP[:9], basis=BASIS, rate=3)
    with pytest.raises(ArgumentError, match="expected one number for all"):
        features.Basis.fit([MAP, MAP[:9]])
    with pytest.raises(ArgumentError, match="all alike or too few"):
        features.Basis.fit([torch.zeros(4, 1, 1)])


# -- a codebook ------------------------------------------------------------------------------------

CENTRES = torch.randn(6, 24, generator=GENERATOR) * 4
TOKENS = [torch.randint(6, (5, 8), generator=GENERATOR) for _ in range(6)]
TOKEN_MAPS = [
    CENTRES[own].permute(2, 0, 1) + 0.1 * torch.randn(24, 5, 8, generator=GENERATOR)
    for own in TOKENS
]
CODEBOOK = features.Codebook.fit(TOKEN_MAPS, 6)


def test_tokens(tmp_path) -> None:
    path = tmp_path / "codebook.safetensors"
    CODEBOOK.write(path, "six clusters")
    codebook = features.Codebook.read(path)
    data = features.encode(TOKEN_MAPS[0], basis=codebook)
    assert features.verify(data) == f"they need the codebook {codebook.hash.hex()}"
    found = features.decode(data, basis=codebook)
    assert (found - CENTRES[TOKENS[0]].permute(2, 0, 1)).abs().max() < 0.2
    indices = codebook.indices(TOKEN_MAPS[0].flatten(1).numpy())
    assert torch.equal(found.flatten(1), torch.from_numpy(codebook.vectors[indices].T))
    # 40 indices of 6 entries, and the header.
    assert len(data) < 60
    with pytest.raises(ModelError, match="need the codebook"):
        features.decode(data, basis=BASIS)
    with pytest.raises(ArgumentError, match="the codebook is for 24"):
        features.encode(MAP[:5], basis=codebook)
    with pytest.raises(ArgumentError, match="too few for these features"):
        features.encode(TOKEN_MAPS[0], basis=codebook, bits=0.1)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError):
        features.Codebook.read(path)


@pytest.mark.parametrize("known", [BASIS, CODEBOOK], ids=["basis", "codebook"])
def test_shapes_of_what_is_known(known) -> None:
    shapes = [(24,), (24, 1, 1), (3, 24, 2, 2), (24, 0, 4), (7, 24)]
    tensors = [torch.randn(shape, generator=GENERATOR) for shape in shapes]
    for tensor, axis in zip(tensors, (0, 0, 1, 0, 1), strict=True):
        rate = 3 if known is BASIS else None
        data = features.encode(tensor, basis=known, rate=rate, channels=axis)
        assert features.decode(data, basis=known).shape == tensor.shape


# -- wrong input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "options", "reason"),
    [
        (torch.tensor([1.0, float("nan")]), {"max_error": 1}, "NaN or infinite"),
        (torch.tensor([float("inf")]), {"bits": 3}, "NaN or infinite"),
        (torch.zeros((1,) * 9), {"max_error": 1}, "9 dimensions"),
        (torch.zeros(3, dtype=torch.complex64), {"max_error": 1}, "is complex64"),
        (torch.zeros(3, dtype=torch.bool), {}, "is bool"),
        (np.array(["a"]), {}, "tensor 0 is <U1"),
        ("abc", {"max_error": 1}, "str found, expected a tensor"),
        ([MAP, "abc"], {"max_error": 1}, "tensor 1 is a str"),
        (torch.zeros(3).to_sparse(), {"max_error": 1}, "sparse"),
        (MAP, {}, "0 of `max_error`, `bits` and `rate`"),
        (MAP, {"max_error": 1, "bits": 2}, "2 of `max_error`"),
        (MAP, {"max_error": 0}, "max_error must be positive"),
        (MAP, {"max_error": float("nan")}, "max_error must be positive"),
        (MAP, {"max_error": 1e-30}, "can't be kept within 1e-30"),
        (MAP, {"bits": 0.001}, "too few for these features"),
        (MAP, {"max_error": 1, "basis": BASIS}, "a basis bounds no error"),
        (MAP, {"rate": 3}, "rates are those of a basis"),
        (MAP, {"bits": 3, "basis": "b"}, "basis is a str, expected a Basis"),
        (MAP, {"basis": BASIS}, "0 of `max_error`"),
        (torch.arange(4), {"basis": BASIS, "rate": 3}, "a basis codes floats alone"),
        (torch.arange(4), {"bits": 3}, "integers are kept exactly"),
        (torch.tensor([2**31]), {}, "less than 2\\^30"),
        (MAP, {"max_error": 1, "network": b"abc"}, "fingerprint of 3 bytes"),
        (MAP, {"max_error": 1, "layer": 3}, "layer must be"),
    ],
)
def test_wrong_input(tensors, options, reason) -> None:
    with pytest.raises(ArgumentError, match=reason):
        features.encode(tensors, **options)


FILES = {
    "plain": features.encode([MAP, torch.arange(9), MAP.half()], max_error=0.2),
    "basis": features.encode(MAP, basis=BASIS, rate=14),
    "tokens": features.encode(TOKEN_MAPS, basis=CODEBOOK),
}
KNOWN = {"basis": BASIS, "tokens": CODEBOOK}


def opened(name: str, data: bytes) -> None:
    basis = KNOWN.get(name)
    features.verify(data, basis=basis)
    features.decode(data, basis=basis)


@pytest.mark.parametrize("name", FILES)
def test_cut_and_flipped_files_are_refused(name) -> None:
    data = FILES[name]
    opened(name, data)
    for size in [*range(60), *range(60, len(data), 97)]:
        with pytest.raises(QuantalError):
            opened(name, data[:size])
    noise = np.random.default_rng(0)
    for place in [*range(60), *noise.integers(60, len(data), 60).tolist()]:
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(noise.integers(8))
        with pytest.raises(QuantalError):
            opened(name, bytes(flipped))


@given(st.sampled_from(sorted(FILES)), st.binary(max_size=300), st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_right_checksums_do_not_make_a_file(name, noise, place) -> None:
    """The part is replaced, so that the checksum is right: an error of ours, or tensors."""
    header, part = container.read_features(FILES[name])
    start = place % len(part)
    changed = part[:start] + noise + part[start + len(noise) :]
    with contextlib.suppress(BitstreamError, ModelError):
        opened(name, container.write_features(header, changed))


def test_no_memory_for_what_bytes_do_not_justify() -> None:
    header, part = container.read_features(features.encode(MAP, max_error=0.2))
    huge = container.TensorInfo("float32", (1 << 18, 1 << 18))
    lying = container.FeatureHeader("features", header.model_hash, (huge,), True)
    with pytest.raises(CorruptError, match="symbols need"):
        features.decode(container.write_features(lying, part))
    many = container.TensorInfo("float32", (1 << 31, 0))
    lying = container.FeatureHeader("features", header.model_hash, (many,), True)
    record = struct.pack("<Bd", 1, 1.0)
    assert features.decode(container.write_features(lying, record)).shape == many.shape
    for step in (0.0, -1.0, float("nan"), float("inf")):
        changed = part[:1] + struct.pack("<d", step) + part[9:]
        with pytest.raises(CorruptError, match="expected a positive number"):
            features.decode(container.write_features(header, changed))
    with pytest.raises(TruncatedError, match="records of 1 tensors need 9 bytes"):
        features.decode(container.write_features(header, part[:5]))


def test_pictures_are_no_features() -> None:
    picture = container.write(
        container.Header("hyperprior", bytes(4), 8, 8, 3), [container.Part("image", b"x")]
    )
    with pytest.raises(BitstreamError, match="holds a picture, expected features"):
        features.decode(picture)
    with pytest.raises(BitstreamError, match="holds features, expected a picture"):
        container.read(FILES["plain"])


@pytest.mark.parametrize("kind", [features.Basis, features.Codebook])
def test_a_tensor_by_itself_is_one_sample(kind) -> None:
    maps = torch.randn(6, 8, 9, generator=torch.Generator().manual_seed(0))
    options = {} if kind is features.Basis else {"entries": 4}
    for alone in (maps, maps.numpy()):
        assert kind.fit(alone, **options).hash == kind.fit([maps], **options).hash
    with pytest.raises(ArgumentError, match="no channels"):
        kind.fit([], **options)
    with pytest.raises(ArgumentError, match="4, 6 channels"):
        kind.fit([maps, maps[:4]], **options)
    with pytest.raises(ArgumentError, match="expected a tensor or a list"):
        kind.fit(["text"], **options)
