"""Adapters: shapes for any size, and what each of them promises."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from quantal.errors import ArgumentError
from quantal.latents.adapters import (
    CodebookEmbedding,
    DctLowPass,
    MergedTokens,
    Normaliser,
    PatchTokens,
    PooledTokens,
    Resampler,
    Stem,
    places,
    replace_stem,
)

CHANNELS, WIDTH = 12, 16


@pytest.fixture(params=[(1, 1), (5, 8), (14, 14)])
def latents(request: pytest.FixtureRequest) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, CHANNELS, *request.param)


def test_tokens_have_the_shape_that_they_promise(latents) -> None:
    height, width = latents.shape[2:]
    assert PatchTokens(CHANNELS, WIDTH)(latents).shape == (2, height * width, WIDTH)
    patches = -(-height // 3) * -(-width // 3)
    assert PatchTokens(CHANNELS, WIDTH, 3)(latents).shape == (2, patches, WIDTH)
    assert PooledTokens(CHANNELS, WIDTH, 3)(latents).shape == (2, 9, WIDTH)
    assert Resampler(CHANNELS, WIDTH, queries=5)(latents).shape == (2, 5, WIDTH)


def test_tokens_know_their_places() -> None:
    table = places(7, 9, WIDTH, torch.zeros(1))
    assert table.shape == (63, WIDTH)
    assert len(table.unique(dim=0)) == 63
    with pytest.raises(ArgumentError, match="multiple of 4"):
        places(2, 2, 6, torch.zeros(1))


def test_a_normaliser_measures_over_all_batches() -> None:
    torch.manual_seed(1)
    batches = [torch.randn(3, CHANNELS, 4, 4) * 5 + 2, torch.randn(1, CHANNELS, 9, 2) * 5 + 2]
    norm = Normaliser(CHANNELS)
    norm.fit(batches)
    flat = torch.cat([norm(each).transpose(0, 1).flatten(1) for each in batches], 1)
    torch.testing.assert_close(flat.mean(1), torch.zeros(CHANNELS), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(1, correction=0), torch.ones(CHANNELS))
    with pytest.raises(ArgumentError, match="none were given"):
        norm.fit([])


def test_a_low_pass_keeps_what_is_low(latents) -> None:
    shrink = DctLowPass(4)
    found = shrink(latents)
    assert found.shape[2:] == tuple(min(side, 4) for side in latents.shape[2:])
    torch.testing.assert_close(shrink(torch.ones_like(latents)), torch.ones_like(found))
    torch.testing.assert_close(DctLowPass(14)(latents), latents, atol=1e-5, rtol=1e-5)
    alternating = (-1.0) ** torch.arange(8).expand(1, 1, 8, 8)
    assert shrink(alternating).abs().max() < 0.5


def test_merging_keeps_the_mean_and_joins_the_alike() -> None:
    torch.manual_seed(2)
    tokens = torch.randn(2, 37, WIDTH)
    assert MergedTokens(10)(tokens).shape == (2, 10, WIDTH)
    assert torch.equal(MergedTokens(40)(tokens), tokens)
    torch.testing.assert_close(MergedTokens(1)(tokens)[:, 0], tokens.mean(1))
    apart = torch.eye(WIDTH)[None, :4]
    twice = apart.repeat_interleave(2, dim=1)
    found = MergedTokens(4)(twice)
    torch.testing.assert_close(found[0].sort(0).values, apart[0].sort(0).values)


def test_indices_become_one_map() -> None:
    torch.manual_seed(3)
    embed = CodebookEmbedding([10, 20], WIDTH)
    coarse, fine = torch.randint(-1, 10, (2, 3, 4)), torch.full((2, 6, 8), -1)
    found = embed(coarse, fine)
    assert found.shape == (2, WIDTH, 6, 8)
    assert torch.equal(found[..., 0, 0], found[..., 1, 1])  # a coarse index is that of 2x2 places
    with pytest.raises(ArgumentError, match="1 maps for 2"):
        embed(coarse)


def test_a_stem_takes_the_place_of_layers() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers = (nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 6, 3, 2, 1), nn.Conv2d(6, 4, 1))
            self.features = nn.Sequential(*layers)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.features(x).relu().mean((2, 3))

    network, stem = Network(), Stem(CHANNELS, WIDTH, 1, 6, scale=2)
    before = network.features
    whole = replace_stem(network, stem, 2)
    latents = torch.randn(1, CHANNELS, 5, 7)
    expected = before[2](stem(latents)).relu().mean((2, 3))
    torch.testing.assert_close(whole(latents), expected)
    assert network.features is before and len(before) == 3
    for first in (0, 3):
        with pytest.raises(ArgumentError, match="can't begin"):
            replace_stem(network, stem, first)
    with pytest.raises(ArgumentError, match="has no `features`"):
        replace_stem(nn.Linear(2, 2), stem, 1)


def test_gradients_reach_everything(latents) -> None:
    for module in (PatchTokens(CHANNELS, WIDTH), Resampler(CHANNELS, WIDTH), Stem(12, 8, 1, 4)):
        module(latents).square().sum().backward()
        assert all(parameter.grad is not None for parameter in module.parameters())
