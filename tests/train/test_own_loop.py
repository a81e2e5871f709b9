"""A network trains in a loop of one's own, and is exported from memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import nn

import quantal
from quantal.entropy.curves import rate_lambda
from quantal.errors import ArgumentError, ModelError
from quantal.train import build, export


@pytest.fixture
def net(sizes: dict[str, Any]) -> Iterator[nn.Module]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # layers are too small to share
    torch.manual_seed(1)
    yield build("context-s", **sizes)
    torch.set_num_threads(threads)


def crops(count: int, side: int) -> torch.Tensor:
    picture = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float() / 255
    places = torch.randint(512 - side, (count, 2)).tolist()
    return torch.stack([picture[:, y : y + side, x : x + side] for y, x in places])


def test_a_plain_loop_gives_weights_that_code_pictures(net, tmp_path):
    net.initialise(crops(64, 64))
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(40):
        pixels, rate = crops(4, 64), torch.rand(4) * 63
        found = net(pixels, rate)
        bpp = sum(found.bits.values()) / 64**2
        error = (found.pixels - pixels).square().flatten(1).mean(1)
        loss = ((rate_lambda(rate) * 255**2 * error + bpp) / rate_lambda(rate).sqrt()).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    pictures = [data.astronaut(), Image.fromarray(data.coffee())]
    weights = tmp_path / "mine.safetensors"
    found = export(net, weights, pictures, training_data="an astronaut", steps=40, batches=2)
    assert net.training and all(p.requires_grad for p in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    codec = quantal.load("context-s", "cpu", weights=weights)
    assert codec.model_hash == found
    pixels = data.astronaut()[100:200, 100:230]
    drawn = np.asarray(codec.decompress(codec.compress(pixels, quality=90)))
    assert np.square(drawn.astype(float) - pixels).mean() < 1000


def test_what_cannot_be_exported_is_named(net, tmp_path):
    out = tmp_path / "w.safetensors"
    with pytest.raises(ModelError, match="no family of codecs has networks of type Linear"):
        export(nn.Linear(2, 2), out)
    with pytest.raises(ArgumentError, match="pass `pictures="):
        export(net, out)
    with pytest.raises(ArgumentError, match="100x80 pixels, expected 256"):
        export(net, out, [np.zeros((80, 100, 3), np.uint8)])
    with pytest.raises(ArgumentError, match="a picture is a float"):
        export(net, out, [0.5])
    with pytest.raises(ArgumentError, match="set `start_from` to the weights of vq"):
        export(build("vq-conceal", width=16, blocks=1, heads=2), out)
    assert not out.exists()
