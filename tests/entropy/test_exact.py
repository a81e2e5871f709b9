"""Integer networks give the integers that integer arithmetic gives, or refuse to be built."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantal.entropy import ExactLayer, ExactNet
from quantal.entropy.fixed_point import quantise_layers
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
