"""Muon moves matrices by about orthogonal ones, and learns as AdamW does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from quantal.errors import ArgumentError
from quantal.team import Team
from quantal.train import read_recipe
from quantal.train.muon import Muon, is_matrix


def test_matrices_are_what_mixes_channels_alone():
    assert is_matrix(torch.zeros(64, 32, 1, 1)) and is_matrix(torch.zeros(32, 40))
    assert not is_matrix(torch.zeros(64, 32, 3, 3))
    assert not is_matrix(torch.zeros(64, 1, 3, 3))
    assert not is_matrix(torch.zeros(64, 31, 1, 1))
    assert not is_matrix(torch.zeros(64))


@pytest.mark.parametrize("shape", [(48, 96, 1, 1), (96, 48), (64, 64)])
def test_a_step_is_orthogonal_and_as_large_as_said(shape):
    torch.manual_seed(1)
    weight = nn.Parameter(torch.zeros(shape))
    # A gradient that lies most in one direction: nearly all others must move as far.
    left, right = torch.randn(shape[0], 1), torch.randn(1, shape[1])
    weight.grad = (3 * left @ right + torch.randn(shape[:2])).view(shape)
    Muon([{"params": [weight]}], 0.01, Team(), torch.float32).step()
    moved = weight.detach().flatten(1)
    values = torch.linalg.svdvals(moved) / (0.01 * 0.2 * max(shape[:2]) ** 0.5)
    assert values[len(values) * 4 // 5] > 0.5 and values.max() < 1.4
    assert (moved * weight.grad.flatten(1)).sum() < 0
    rms = moved.square().mean().sqrt() / 0.01
    assert rms == pytest.approx(0.2, rel=0.3)


def test_it_finds_a_linear_map():
    torch.manual_seed(1)
    layer, wanted = nn.Linear(32, 48, bias=False), torch.randn(48, 32) / 6
    optimiser = Muon([{"params": [layer.weight]}], 0.1, Team(), torch.float32)
    for step in range(300):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        x = torch.randn(64, 32)
        layer.zero_grad()
        (layer(x) - x @ wanted.T).square().mean().backward()
        optimiser.step()
    assert (layer.weight - wanted).square().mean() < 1e-4


def test_what_has_no_gradient_stands_still():
    weight = nn.Parameter(torch.ones(32, 32))
    Muon([{"params": [weight]}], 0.1, Team(), torch.float32).step()
    assert torch.equal(weight, torch.ones(32, 32))


def test_an_unknown_optimiser_is_refused(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("{codec: hyperprior, data: [.], out: run, optimiser: sgd}", encoding="utf-8")
    with pytest.raises(ArgumentError, match="adamw, muon"):
        read_recipe(recipe)
