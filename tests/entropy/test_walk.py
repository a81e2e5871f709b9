"""One walk: what is written is read and priced alike, and reading runs no float network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import quantal
from quantal.entropy import (
    ClassModel,
    ContextModel,
    Encoder,
    FactorizedModel,
    FrozenHyperprior,
    FrozenModel,
    HyperpriorModel,
)
from quantal.entropy.walk import FloatArray, Known, Pricing, Reading, Writing, round_nearest
from quantal.errors import BitstreamError, CorruptError, ModelError, TruncatedError

CHANNELS = 20


def lively(model: HyperpriorModel | ContextModel) -> FrozenModel:
    """A frozen model whose symbols, means and scales vary."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("mean.leave", "hyper_analysis.leave", "scale.")):
                parameter.mul_(6)
    return model.freeze()


@pytest.fixture(scope="module")
def models() -> dict[str, FrozenModel]:
    torch.manual_seed(1)
    sizes = (6, 8, 8, 8)
    return {
        "factorized": FactorizedModel(CHANNELS).freeze(),
        "hyperprior": lively(HyperpriorModel(CHANNELS, *sizes)),
        "places": lively(ContextModel(CHANNELS, *sizes, order="places")),
        "slices": lively(ContextModel(CHANNELS, *sizes, order="slices", adaptive=False)),
        "classes": classes(),
    }


def classes() -> FrozenModel:
    """A model of classes of which two channels are coded as differences."""
    model = ClassModel(CHANNELS, 4)
    model.calibrate(torch.full((CHANNELS,), 2.0))
    slow = (
        torch.arange(64.0).expand(1, CHANNELS, 64, 64) * (torch.arange(CHANNELS) < 2)[:, None, None]
    )
    model.choose_slow(slow + torch.randn(1, CHANNELS, 64, 64))
    torch.nn.init.constant_(model.lean, 0.1)
    return model.freeze()


NAMES = ("factorized", "hyperprior", "places", "slices", "classes")


def latents(rows: int, columns: int, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(CHANNELS, rows, columns)) * 2).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(
    rows=st.integers(1, 21),
    columns=st.integers(1, 21),
    quarters=st.integers(0, 252),
    seed=st.integers(0, 1000),
)
def test_what_is_written_is_read(name, models, rows, columns, quarters, seed) -> None:
    model, rate = models[name], quarters / 4
    y = latents(rows, columns, seed)
    writing = Writing(model.latents(y, rate))
    model.walk(writing, rows, columns, rate)
    data = writing.finish(model.progressive)
    assert data == model.encode(y, rate)
    pricing = Pricing(model.latents(y, rate))
    model.walk(pricing, rows, columns, rate)
    assert abs(pricing.bits / 8 - len(data)) < 8
    decoded = model.decode(data, rows, columns, rate)
    put = model.split(writing.symbols)
    assert len(put) == len(decoded.symbols)
    assert all(np.array_equal(a, b) for a, b in zip(put, decoded.symbols, strict=True))
    again = model.dequantise(decoded.symbols, rows, columns, rate)
    assert decoded.y_hat().shape == y.shape
    assert np.array_equal(again.y_hat(), decoded.y_hat())
    assert np.array_equal(again.z_hat, decoded.z_hat)


@pytest.mark.parametrize("name", NAMES)
def test_reading_runs_no_floating_point_network(name, models, monkeypatch) -> None:
    model = models[name]
    data = model.encode(latents(9, 7), 40.0)

    def never(name: str, rate: float, *inputs: FloatArray) -> FloatArray:
        raise AssertionError(f"the network {name} ran")

    monkeypatch.setattr(model, "networks", never)
    decoded = model.decode(data, 9, 7, 40.0)
    assert decoded.symbols
    if name != "factorized":
        with pytest.raises(AssertionError, match="ran"):
            decoded.y_hat()


@pytest.mark.parametrize("name", ["places", "slices"])
def test_a_prefix_of_a_progressive_stream_has_its_first_parts(name, models) -> None:
    model = models[name]
    data = model.encode(latents(12, 12), 50.0)
    whole = model.decode(data, 12, 12, 50.0).symbols
    reached = 0
    for length in range(0, len(data), 7):
        missing = len(data) - length
        for parts in range(1, model.parts + 1):
            try:
                found = model.decode_prefix(data[:length], missing, 12, 12, 50.0, parts).symbols
            except TruncatedError as error:
                if parts > 1 and error.facts:
                    assert error.facts["parts"] == parts - 1
                break
            reached = max(reached, parts)
            for k in range(parts):
                assert np.array_equal(found[k], whole[k])
            assert not any(part.any() for part in found[parts:])
    assert reached >= model.parts - 1


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(
    rows=st.integers(1, 13),
    columns=st.integers(1, 13),
    quarters=st.integers(0, 252),
    count=st.integers(1, 5),
)
def test_several_are_read_as_each_alone(name, models, rows, columns, quarters, count) -> None:
    model, rate = models[name], quarters / 4
    streams = [model.encode(latents(rows, columns, seed), rate) for seed in range(count)]
    many = model.decode_many(streams, rows, columns, rate)
    assert many.places == tuple(range(count)) and not many.errors
    y_hat, z_hat = many.latents()
    for place, data in enumerate(streams):
        alone = model.decode(data, rows, columns, rate)
        assert all(np.array_equal(a[place], b) for a, b in zip(many.symbols, alone.symbols))  # noqa: B905
        assert np.allclose(y_hat[place], alone.y_hat(), rtol=1e-4, atol=1e-4)
        assert np.array_equal(z_hat[place], alone.z_hat)


def test_several_in_bands_are_read_as_each_alone(models, monkeypatch) -> None:
    """Planes of several bands: the networks see their surroundings."""
    monkeypatch.setattr("quantal.entropy.frozen.hyperprior.BAND_POSITIONS", 60)
    monkeypatch.setattr("quantal.entropy.frozen.context.BAND_CELLS", 20)
    for name in NAMES:
        model = models[name]
        streams = [model.encode(latents(19, 9, seed), 40.0) for seed in range(3)]
        many = model.decode_many(streams, 19, 9, 40.0)
        y_hat, _ = many.latents()
        for place, data in enumerate(streams):
            alone = model.decode(data, 19, 9, 40.0)
            assert all(np.array_equal(a[place], b) for a, b in zip(many.symbols, alone.symbols))  # noqa: B905
            assert np.allclose(y_hat[place], alone.y_hat(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_stream_spoils_no_other(name, models) -> None:
    model = models[name]
    streams = [model.encode(latents(8, 8, seed), 30.0) for seed in range(8)]
    whole = [model.decode(data, 8, 8, 30.0).symbols for data in streams]
    rng = np.random.default_rng(5)
    damaged = dict.fromkeys((0, 3, 4, 7), b"")
    for place in damaged:
        data = bytearray(streams[place])
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        damaged[place] = bytes(data)
    damaged[4] = streams[4][: len(streams[4]) // 2] + b"\1"
    damaged[7] = b"\1"
    given = [damaged.get(place, data) for place, data in enumerate(streams)]
    many = model.decode_many(given, 8, 8, 30.0)
    assert set(many.errors) == set(damaged)
    assert all(isinstance(error, BitstreamError) for error in many.errors.values())
    assert many.places == (1, 2, 5, 6)
    y_hat, _ = many.latents()
    for number, place in enumerate(many.places):
        assert all(np.array_equal(a[number], b) for a, b in zip(many.symbols, whole[place]))  # noqa: B905
        expected = model.decode(streams[place], 8, 8, 30.0).y_hat()
        assert np.allclose(y_hat[number], expected, rtol=1e-4, atol=1e-4)
    none = model.decode_many([damaged[0], damaged[7]], 8, 8, 30.0)
    assert not none.places and set(none.errors) == {0, 1}
    assert not model.decode_many([], 8, 8, 30.0).places


def test_a_side_symbol_out_of_range_spoils_no_other(models) -> None:
    model = models["hyperprior"]
    assert isinstance(model, FrozenHyperprior)
    y = latents(8, 8)
    good, z = model.encode(y, 30.0), model.quantised_z(y, 30.0)
    z[0, 0, 0] = -(2**31)
    encoder = Encoder()
    index = np.repeat(np.arange(len(z), dtype=np.uint8), z[0].size)
    encoder.put(z.reshape(-1), index, model.side.tables[int(30.0) // 4])
    many = model.decode_many([good, encoder.finish(), good], 8, 8, 30.0)
    assert many.places == (0, 2)
    assert "side symbol is not within -127" in str(many.errors[1])


def test_no_stream_lends_its_bytes_to_another(models) -> None:
    """Planes that a stream's own bytes don't justify are refused before any memory is taken."""
    for model in models.values():
        many = model.decode_many([b"\1\2\3\4"] * 50, 1 << 14, 1 << 14, 40.0, what="this thing")
        assert set(many.errors) == set(range(50))
        assert all("this thing needs at least" in str(error) for error in many.errors.values())


def test_a_size_that_bytes_cannot_hold_takes_no_memory(models) -> None:
    for model in models.values():
        with pytest.raises(CorruptError, match="this thing needs at least"):
            model.decode(b"\1\2\3\4", 1 << 14, 1 << 14, 40.0, what="this thing")


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_an_error(name, models) -> None:
    model = models[name]
    data = model.encode(latents(8, 8), 30.0)
    rng = np.random.default_rng(5)
    for _ in range(25):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        with pytest.raises(BitstreamError):
            model.decode(bytes(damaged), 8, 8, 30.0)


def test_values_that_are_not_finite_are_refused(models) -> None:
    tables = models["places"].y_tables
    for value in (np.nan, np.inf):
        with pytest.raises(ModelError, match="not finite"):
            round_nearest(np.full(3, value, np.float32), np.full(3, 9, np.uint8), tables)


def test_an_observer_sees_the_same_on_both_sides(models) -> None:
    model, seen = models["places"], []

    def watching(index: np.ndarray, symbols: np.ndarray) -> None:
        seen[-1].append((index.tobytes(), symbols.tobytes()))

    seen.append([])
    writing = Writing(model.latents(latents(6, 6), 20.0), observer=watching)
    model.walk(writing, 6, 6, 20.0)
    seen.append([])
    reading = Reading(writing.finish(True), True, observer=watching)
    model.walk(reading, 6, 6, 20.0)
    seen.append([])
    model.walk(Known(writing.symbols, watching), 6, 6, 20.0)
    assert seen[0] == seen[1] == seen[2] != []


WITHOUT_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import numpy as np
import quantal, quantal.media, quantal.container
import quantal.codecs.vq.stream, quantal.codecs.tokens.walk
from quantal.codecs.weights import read_weights
from quantal.entropy import walk, coder, exact, tables, prices, indices
from quantal.entropy.frozen import FrozenContext
from quantal.container import read
from pathlib import Path

def no_networks(name, rate, *inputs):
    raise AssertionError(name)

file = read(Path(sys.argv[1]).read_bytes())
weights = read_weights(Path(sys.argv[2]), ["context layout 1"])
channels = weights.sizes()["channels"][-1]
model = FrozenContext.from_arrays(weights.arrays, channels, no_networks)
header = file.header
rows, columns = -(-header.height // 16), -(-header.width // 16)
found = model.decode(file.part("image"), rows, columns, header.rate / 4)
print(len(found.symbols), sum(int(part.astype(np.int64).sum()) for part in found.symbols))
assert "torch" not in sys.modules
"""


def test_bits_are_read_where_there_is_no_torch(tmp_path: Path) -> None:
    from skimage import data

    coded = tmp_path / "a.qtl"
    coded.write_bytes(quantal.compress(data.astronaut()[:100, :90], "context-s", quality=50))
    expected = quantal.latents.read(coded).symbols
    root = Path(quantal.__file__).parents[1]
    weights = root / "quantal" / "weights" / "context-s.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(coded), str(weights)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    total = sum(int(part.sum(dtype=np.int64)) for part in expected)
    assert done.stdout.split() == [str(len(expected)), str(total)]
