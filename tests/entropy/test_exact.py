"""Integer networks give the integers that integer arithmetic gives, or refuse to be built."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantal.entropy import ExactLayer, ExactNet, exact
from quantal.entropy.fixed_point import quantise_layers
from quantal.entropy.models import exact_runtime
from quantal.entropy.models.exact_runtime import TorchLayers
from quantal.entropy.models.networks import ScaleNet
from quantal.errors import ModelError


def reference(layers, x, rate_index):
    """The same network in int64, element by element."""
    x = x.astype(np.int64)
    for layer in layers:
        weight = layer.weight.astype(np.int64)
        bias = layer.bias[min(rate_index, layer.bias.shape[0] - 1)]
        kernel = weight.shape[-1]
        pad = kernel // 2
        height, width = x.shape[-2:]
        wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        out = np.zeros((weight.shape[0], height, width), np.int64)
        for o in range(weight.shape[0]):
            inputs = [o] if layer.groups > 1 else range(x.shape[0])
            for place, i in enumerate(inputs):
                for dy in range(kernel):
                    for dx in range(kernel):
                        patch = wide[i, dy : dy + height, dx : dx + width]
                        out[o] += weight[o, place, dy, dx] * patch
            out[o] = (out[o] + bias[o] + (1 << layer.shift >> 1)) >> layer.shift
        x = out.clip(layer.low, layer.high)
        r = layer.shuffle
        if r > 1:
            c = x.shape[0] // r // r
            x = x.reshape(c, r, r, height, width).transpose(0, 3, 1, 4, 2)
            x = x.reshape(c, height * r, width * r)
    return x


def layer(rng, inputs, outputs, kernel=1, groups=1, shuffle=1, rates=1, size=200, shift=6):
    shape = (outputs, inputs // groups, kernel, kernel)
    return ExactLayer(
        weight=rng.integers(-size, size + 1, shape).astype(np.int32),
        bias=rng.integers(-(2**12), 2**12, (rates, outputs)),
        shift=shift,
        low=-1000,
        high=1000,
        groups=groups,
        shuffle=shuffle,
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 6), st.integers(0, 3))
def test_equals_integer_arithmetic(seed, height, width, rate_index):
    rng = np.random.default_rng(seed)
    layers = [
        layer(rng, 6, 8, rates=64),
        layer(rng, 8, 8, kernel=3, groups=8),
        layer(rng, 8, 12, shuffle=2),
        layer(rng, 3, 5, shift=10),
    ]
    x = rng.integers(-500, 501, (6, height, width))
    net = ExactNet(layers, 500)
    result = net(x.astype(np.int32), rate_index)
    assert np.array_equal(result, reference(layers, x, rate_index))


@pytest.mark.parametrize("size", [200, 2**20])
def test_equals_a_network_that_torch_runs(size):
    """The same integers through torch's convolutions, on planes wider than a chunk of channels."""
    rng = np.random.default_rng(1)
    layers = [
        layer(rng, 40, 72, size=size, rates=64),
        layer(rng, 72, 72, kernel=3, groups=72),
        layer(rng, 72, 24, kernel=3),
        layer(rng, 24, 96, shuffle=2),
    ]
    values = rng.integers(-300, 301, (40, 13, 9)).astype(np.int32)
    net = ExactNet(layers, 300)
    by_numpy = net(values, 17)
    net.run_by(TorchLayers(net))
    with torch.autocast("cpu", torch.bfloat16):
        by_torch = net(values, 17)
    assert np.array_equal(by_numpy, by_torch)


def test_sums_that_nothing_holds_are_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(ModelError, match="2\\^53"):
        ExactNet([layer(rng, 8, 8, size=2**30)], 2**30)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_layout_and_slices_change_nothing(order):
    rng = np.random.default_rng(4)
    net = ExactNet([layer(rng, 16, 16), layer(rng, 16, 16, kernel=3, groups=16)], 1000)
    x = rng.integers(-1000, 1001, (16, 9, 9)).astype(np.int32)
    wide = np.zeros((16, 20, 30), np.int32)
    wide[:, 3:12, 7:16] = x
    plain = net(x, 0)
    assert np.array_equal(net(np.asarray(x, order=order), 0), plain)
    assert np.array_equal(net(wide[:, 3:12, 7:16], 0), plain)


def test_the_exported_network_does_what_was_trained():
    """Rounded training in floating point and the integers agree up to a rare tie."""
    torch.manual_seed(5)
    net = ScaleNet(8, 16, 12)
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    quantise_layers(net.modules(), True)
    z = torch.randint(-2000, 2001, (1, 8, 6, 5))
    exact = net.export(2000)
    for rate in (0.0, 17.0, 63.0):
        trained = net(z.float() / 256, torch.tensor([rate])).round().int()
        exported = torch.from_numpy(exact(z[0].int().numpy(), int(rate)))[None]
        assert exported.min() >= 0 and exported.max() <= 63
        assert (trained - exported).abs().max() <= 1
        assert (trained != exported).float().mean() < 0.02


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"weight": np.full((8, 8, 1, 1), 0.1)}, "not integers"),
        ({"weight": np.ones((8, 7, 1, 1), np.int32)}, "channels"),
        ({"weight": np.ones((8, 8, 2, 2), np.int32)}, "odd size"),
        ({"weight": np.ones((8, 8, 3, 1), np.int32)}, "square"),
        ({"weight": np.ones((8, 4, 1, 1), np.int32), "groups": 2}, "depthwise"),
        ({"bias": np.zeros((3, 8), np.int64)}, "3 biases"),
        ({"shuffle": 3}, "shuffle"),
        ({"low": 1}, "out of range"),
    ],
)
def test_what_the_proof_takes_for_granted_is_checked(change, reason):
    whole = layer(np.random.default_rng(1), 8, 8)
    with pytest.raises(ModelError, match=reason):
        ExactNet([whole, replace(whole, **change)], 300)


def test_a_negative_clamp_counts_as_its_magnitude():
    net = ExactNet([replace(layer(np.random.default_rng(1), 8, 8), low=-5000, high=0)], 300)
    assert net.largest_output == 5000


def deep_net(rng, weights, shift=8):
    """A network with every kind of layer; weights say how near its sums come to 2^24."""
    layers = [
        replace(layer(rng, 24, 40, size=weights, rates=64, shift=shift), low=0, high=1 << 14),
        replace(layer(rng, 40, 40, kernel=3, groups=40, size=weights), low=0, high=1 << 14),
        layer(rng, 40, 48, size=weights, shuffle=2, shift=shift),
        replace(layer(rng, 12, 9, size=weights, shift=18, rates=64), low=0, high=63),
    ]
    layers[-1] = replace(layers[-1], bias=layers[-1].bias * 2**11)
    return layers


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shift=st.integers(0, 10),
    count=st.integers(1, 4),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    rate_index=st.integers(0, 63),
    weights=st.integers(1, 12).map(lambda bits: 2**bits),
    largest=st.integers(0, 16).map(lambda bits: 2**bits),
)
def test_float32_and_runs_of_channels_give_the_same(
    seed, shift, count, height, width, rate_index, weights, largest
):
    """From sums far below 2^24 to sums far above: float32, runs of channels, float64."""
    rng = np.random.default_rng(seed)
    layers = deep_net(rng, weights, shift)
    net = ExactNet(layers, 2**16)
    x = rng.integers(-largest, largest + 1, (count, 24, height, width)).astype(np.int32)
    expected = np.stack([reference(layers, each, rate_index) for each in x])
    run = TorchLayers(net)
    assert np.array_equal(run(x, rate_index), expected)
    assert np.array_equal(run(x.astype(np.float32), rate_index), expected)
    assert np.array_equal(run(x[0], rate_index), expected[0])
    assert np.array_equal(net.by_numpy(x, rate_index), expected)


def kinds_of(net, x, monkeypatch):
    """The types and the runs of channels in which the layers of a network are computed."""
    seen = []
    plain = exact_runtime._Layer._outputs

    def watched(self, x, weight, row, spans=(slice(None),), which=None):
        seen.append((x.dtype, spans))
        return plain(self, x, weight, row, spans, which)

    with monkeypatch.context() as patch:
        patch.setattr(exact_runtime._Layer, "_outputs", watched)
        TorchLayers(net)(x, 0)
    return seen


def one_layer(weight, shift=4):
    outputs = len(weight)
    bias = np.zeros((1, outputs), np.int64)
    high = 2**20
    return ExactLayer(weight[:, :, None, None].astype(np.int32), bias, shift, -high, high)


@pytest.mark.parametrize("shift", [0, 1, 3, 4, 9])
def test_what_is_put_aside_is_exact_too(shift):
    """Sums whose first runs are far beyond float32, and whose last ones take all that back."""
    weight = np.repeat([[1001, 1003, 1005, 999, -1001, -1002, -1003, -1000]], 2, 1)
    net = ExactNet([one_layer(weight, shift)], 2**16)
    rng = np.random.default_rng(4)
    x = rng.integers(4000, 4096, (16, 5, 5)).astype(np.int32)
    assert np.array_equal(TorchLayers(net)(x, 0), reference(net.layers, x, 0))


def test_float32_is_chosen_by_the_inputs_of_the_moment(monkeypatch):
    net = ExactNet([one_layer(np.full((3, 16), 1000))], 2**16)
    x = np.zeros((16, 2, 2), np.int32)
    for value, kind in (
        (100, (torch.float32, 1)),  # 16 * 1000 * 100 < 2^24
        (2000, (torch.float32, 2)),
        (4000, (torch.float32, 4)),
        (5000, (torch.float32, 8)),
        (2**14, (torch.float64, 1)),  # 2 * 1000 * 2^14 > 2^24
    ):
        x[:, 1, 0] = value
        ((found, spans),) = kinds_of(net, x, monkeypatch)
        assert (found, len(spans)) == kind
        assert np.array_equal(TorchLayers(net)(x, 0), reference(net.layers, x, 0))


def test_no_partial_sum_leaves_what_float32_holds_exactly(monkeypatch):
    """The sums of any inputs within the largest ones, in the worst order, stay below 2^24."""
    rng = np.random.default_rng(2)
    checked = 0
    for bits in range(2, 14):
        weight = rng.integers(-(2**bits), 2**bits + 1, (20, 64))
        net = ExactNet([one_layer(weight)], 2**16)
        x = rng.integers(-(2**9), 2**10, (64, 3, 3))
        ((kind, spans),) = kinds_of(net, x.astype(np.int32), monkeypatch)
        if kind != torch.float32:
            continue
        checked += 1
        products = weight[:, :, None] * x.reshape(1, 64, 9)
        for span in spans:
            own = products[:, span]
            # Adding what is positive first, or what is negative, gives the largest partial sums.
            worst = max(np.maximum(own, 0).sum(1).max(), np.maximum(-own, 0).sum(1).max())
            # And what goes on from the run before: less than a unit of the layer.
            assert worst + (1 << 4) < 2**24
    assert checked > 5


def test_switches_for_lower_precision_do_not_reach_the_integers(monkeypatch):
    rng = np.random.default_rng(3)
    layers = deep_net(rng, 64)
    net = ExactNet(layers, 2**16)
    x = rng.integers(-100, 101, (24, 5, 5)).astype(np.int32)
    expected = reference(layers, x, 3)
    assert exact_runtime.single_is_ieee()
    before = torch.get_float32_matmul_precision()
    try:
        for precision in ("high", "medium"):
            torch.set_float32_matmul_precision(precision)
            assert not exact_runtime.single_is_ieee()
            assert {kind for kind, _ in kinds_of(net, x, monkeypatch)} == {torch.float64}
            assert np.array_equal(TorchLayers(net)(x, 3), expected)
    finally:
        torch.set_float32_matmul_precision(before)
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    exact_runtime._is_single_here.cache_clear()
    assert not exact_runtime.single_is_ieee()
    monkeypatch.delenv("ONEDNN_DEFAULT_FPMATH_MODE")
    exact_runtime._is_single_here.cache_clear()
    assert exact_runtime.single_is_ieee()
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert np.array_equal(TorchLayers(net)(x, 3), expected)


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "no oneDNN"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("plane", [(16, 16), (1, 1), (2, 3), (40, 33)])
def test_depthwise_layers_are_exact_in_batches_near_the_bound(
    onednn, layout, kernel, plane, monkeypatch
):
    """Where torch chooses Winograd's or Fourier's convolution by itself, which are not."""
    rng = np.random.default_rng(8)
    deep = layer(rng, 48, 48, kernel=kernel, groups=48, size=100, rates=64, shift=5)
    deep = replace(deep, low=-(2**20), high=2**20)
    net = ExactNet([deep, one_layer(np.eye(48, dtype=int), 0)], 2**16)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", onednn)
    # Sums of either sign reach almost 2^24 in float32, and some are beyond it.
    largest = int(0.95 * 2**24 / np.abs(deep.weight).sum((1, 2, 3)).max())
    for reach in (largest, 3 * largest // 2):
        x = rng.integers(-reach, reach + 1, (17, 48, *plane)).astype(np.int32)
        run = TorchLayers(net)._layers[0]
        given = torch.from_numpy(x).float().contiguous(memory_format=layout)
        assert np.array_equal(TorchLayers(net)(x, 3), net.by_numpy(x, 3))
        found = run.apply(given, 3, True)
        double = run.apply(given.double(), 3, True)
        assert (run._in_single(given, 3) is not None) or reach > largest
        assert torch.equal(found, double)
        expected = np.stack([deep.apply(each.astype(float), 3) for each in x])
        assert np.array_equal(found.numpy(), expected)


def test_no_convolution_of_torch_runs(monkeypatch):
    def never(*_, **__):
        raise AssertionError("a library may choose an algorithm that is not exact")

    for name in ("conv2d", "conv1d", "conv3d"):
        monkeypatch.setattr(f"torch.nn.functional.{name}", never)
    rng = np.random.default_rng(1)
    layers = [layer(rng, 6, 6, kernel=3, groups=6), layer(rng, 6, 9, kernel=5), layer(rng, 9, 4)]
    net = ExactNet(layers, 300)
    x = rng.integers(-300, 301, (3, 6, 4, 7)).astype(np.int32)
    assert np.array_equal(TorchLayers(net)(x, 0), net.by_numpy(x, 0))


def test_bands_of_a_large_plane_meet(monkeypatch):
    monkeypatch.setattr(exact_runtime, "_TAPPED", 100)
    rng = np.random.default_rng(2)
    net = ExactNet([layer(rng, 6, 6, kernel=5, groups=6), layer(rng, 6, 2)], 300)
    for plane in ((9, 4), (5, 30), (2, 2)):
        x = rng.integers(-300, 301, (3, 6, *plane)).astype(np.int32)
        assert np.array_equal(TorchLayers(net)(x, 0), net.by_numpy(x, 0))


def test_a_default_device_of_the_caller_changes_nothing():
    rng = np.random.default_rng(9)
    layers = deep_net(rng, 64)
    net = ExactNet(layers, 2**16)
    x = rng.integers(-99, 100, (24, 9, 9)).astype(np.int32)
    expected = net.by_numpy(x, 1)
    exact_runtime._is_single_here.cache_clear()
    exact_runtime._scratch._kept.clear()
    with torch.device("meta"):
        assert np.array_equal(TorchLayers(net)(x, 1), expected)


@pytest.mark.parametrize("fault", ["lower precision", "fewer multiplications"])
def test_products_that_are_not_exact_are_found(fault, monkeypatch):
    plain = torch.baddbmm

    def other(bias, left, right, out=None):
        if left.dtype == torch.float64 or left.shape[-1] < 512:
            return plain(bias, left, right)
        if fault == "lower precision":
            return plain(bias, left.bfloat16().float(), right)
        return bias + strassen(left, right)

    exact_runtime._is_single_here.cache_clear()
    monkeypatch.setattr(torch, "baddbmm", other)
    assert not exact_runtime.single_is_ieee()
    exact_runtime._is_single_here.cache_clear()


def strassen(left, right):
    """One step of Strassen's algorithm, on matrices of even sizes."""
    (a, b), (c, d) = (half.chunk(2, 2) for half in left.chunk(2, 1))
    (e, f), (g, h) = (half.chunk(2, 2) for half in right.chunk(2, 1))
    first, second, third = (a + d) @ (e + h), (c + d) @ e, a @ (f - h)
    fourth, fifth, sixth, seventh = d @ (g - e), (a + b) @ h, (c - a) @ (e + f), (b - d) @ (g + h)
    top = torch.cat((first + fourth - fifth + seventh, third + fifth), 2)
    return torch.cat((top, torch.cat((second + fourth, first - second + third + sixth), 2)), 1)


def test_threads_share_no_memory():
    rng = np.random.default_rng(6)
    layers = deep_net(rng, 64)
    run = TorchLayers(ExactNet(layers, 2**16))
    planes = [rng.integers(-99, 100, (2, 24, 9, 9)).astype(np.int32) for _ in range(8)]
    expected = [run(x, 1) for x in planes]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = list(pool.map(lambda x: run(x, 1), planes))
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_without_an_exact_library_every_product_is_in_float64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    layers = deep_net(rng, 64)
    net = ExactNet(layers, 100)
    x = rng.integers(-100, 101, (net.inputs, 5, 7)).astype(np.int32)
    expected = net.by_numpy(x, 0)
    asked: list[object] = []
    original = exact.Parts.of
    monkeypatch.setattr(
        exact.Parts, "of", lambda self, given: asked.append(given) or original(self, given)
    )
    assert np.array_equal(net.by_numpy(x, 0), expected) and asked
    asked.clear()
    monkeypatch.setattr(exact, "single_is_exact", lambda: False)
    assert np.array_equal(net.by_numpy(x, 0), expected) and not asked


@pytest.mark.parametrize("signed", [True, False])
def test_runs_of_channels_are_exact(signed: bool) -> None:
    """Sums of all channels together are beyond float32; those of runs are not."""
    rng = np.random.default_rng(4)
    weight = rng.integers(-(1 << 11), 1 << 11, (6, 64, 1, 1)).astype(np.int32)
    layer = ExactLayer(weight, np.zeros((1, 6), np.int64), 0, -(2**40), 2**40)
    x = rng.integers(-200 if signed else 0, 900, (64, 4, 5)).astype(np.float32)
    parts = layer._parts.of(x.reshape(64, -1))
    assert parts is not None and len(parts) > 1
    expected = np.einsum("oi,ihw->ohw", weight[:, :, 0, 0].astype(np.int64), x.astype(np.int64))
    assert np.array_equal(layer.apply(x, 0), expected)
    loud = x * 40
    assert layer._parts.of(loud.reshape(64, -1)) is None
    assert np.array_equal(layer.apply(loud, 0), 40 * expected)


def test_weights_of_more_than_32_bits_are_refused() -> None:
    weight = np.full((1, 4, 1, 1), 1 << 62, np.int64)
    layer = ExactLayer(weight, np.zeros((1, 1), np.int64), 0, -1, 1)
    with pytest.raises(ModelError, match="32 bits"):
        ExactNet([layer], 1)
