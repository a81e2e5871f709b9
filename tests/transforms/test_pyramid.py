"""The pyramid in each of its kinds: no seams, a start that loses nothing, names that stay."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from quantal.errors import ArgumentError
from quantal.transforms import (
    KINDS,
    PyramidAnalysis,
    PyramidSynthesis,
    apply_in_windows,
    initialise_with_klt,
)
from quantal.transforms.attention import WindowAttentionBlock
from quantal.transforms.regions import RegionModulation
from quantal.transforms.stages import Stage

SIZES = (8, 12, 16), (1, 1, 1)


def grown(network: nn.Module) -> nn.Module:
    """The network with the branches of its kind so large that a mistake in them would show."""
    for block in network.modules():
        if isinstance(block, WindowAttentionBlock):
            block.start_at(torch.full_like(block.leave_norm.weight, 30))
        elif isinstance(block, RegionModulation):
            nn.init.normal_(block.affine[-1].weight)
    return network.eval()


def up_to_alignment(pixels: int, network: PyramidAnalysis | PyramidSynthesis) -> int:
    return -(-pixels // network.alignment) * network.alignment


@pytest.fixture(scope="module")
def crops(photograph: Image.Image) -> Tensor:
    """Six squares of 128 pixels from a photograph, in 0..1."""
    pixels = torch.from_numpy(np.asarray(photograph).copy()).permute(2, 0, 1) / 255
    places = [(y, x) for y in (0, 128) for x in (0, 128, 256)]
    return torch.stack([pixels[:, y : y + 128, x : x + 128] for y, x in places])


# -- windows -----------------------------------------------------------------------------------


@settings(max_examples=12)
@given(
    st.sampled_from(KINDS),
    st.integers(1, 70),
    st.integers(1, 8),
    st.booleans(),
    st.integers(1, 2),
    st.integers(0, 9),
)
def test_windows_of_aligned_cores_have_no_seams(kind, long, short, upright, cores, seed):
    torch.manual_seed(seed)
    analysis = grown(PyramidAnalysis(*SIZES, kind))
    synthesis = grown(PyramidSynthesis(*SIZES, kind))
    rows, columns = (long, short) if upright else (short, long)
    core = cores * analysis.alignment
    with torch.inference_mode():
        x = torch.rand(1, 3, 16 * rows, 16 * columns)
        halo = up_to_alignment(analysis.reach, analysis)
        tiled = apply_in_windows(analysis, x, core, halo, Fraction(1, 16))
        torch.testing.assert_close(tiled, analysis(x), rtol=1e-3, atol=1e-3)
        y = torch.randn(1, 16, rows, columns)
        halo = up_to_alignment(synthesis.reach, synthesis)
        tiled = apply_in_windows(synthesis, y, core // 16, halo // 16, 16)
        torch.testing.assert_close(tiled, synthesis(y), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["window", "region"])
def test_a_core_off_the_grid_shows(kind):
    """The test above can fail: windows that start elsewhere have other windows and cells."""
    torch.manual_seed(0)
    network = grown(PyramidAnalysis(*SIZES, kind))
    x = torch.rand(1, 3, 16, 1600)
    with torch.inference_mode():
        tiled = apply_in_windows(network, x, 48, 336, Fraction(1, 16))
        assert not torch.allclose(tiled, network(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_reach_is_as_far_as_a_pixel_shows(kind):
    torch.manual_seed(0)
    network = grown(PyramidAnalysis(*SIZES, kind))
    for column in (640, 671, 703):
        x = torch.rand(1, 3, 64, 1344)
        y = x.clone()
        y[..., 32, column] += 1
        with torch.inference_mode():
            moved = (network(x) != network(y)).any(1)[0].any(0).nonzero()[:, 0] * 16
        assert int(moved.max()) - column <= network.reach
        assert column - (int(moved.min()) + 15) <= network.reach


@pytest.mark.parametrize(
    ("kind", "extras", "reach", "alignment"),
    [
        ("gated", None, 4 + 8 + 16, 16),
        ("window", None, 4 + 8 + 16 + 2 * 7 * 8 + 2 * 3 * 16, 64),
        ("window", (0, 0, 1), 4 + 8 + 16 + 3 * 16, 64),
        ("region", None, 4 + 8 + 16 + 7 * 8 + 3 * 16, 64),
        ("region", (1, 0, 0), 4 + 8 + 16 + 15 * 4, 64),
        ("window", (0, 0, 0), 4 + 8 + 16, 16),
    ],
)
def test_reach_and_alignment_follow_the_blocks(kind, extras, reach, alignment):
    for network in (
        PyramidAnalysis(*SIZES, kind, extras),
        PyramidSynthesis(*SIZES, kind, extras),
    ):
        assert (network.reach, network.alignment) == (reach, alignment)


def test_every_second_window_block_is_shifted_by_half():
    network = PyramidAnalysis(*SIZES, "window", (0, 3, 2))
    shifts = [
        [block.shift for block in stage if isinstance(block, WindowAttentionBlock)]
        for stage in network.refines
    ]
    assert shifts == [[], [0, 4, 0], [0, 2]]


# -- the start ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_klt_start_survives_the_kind(kind, crops):
    torch.manual_seed(0)
    sizes = (48, 96, 320), (0, 0, 0), kind
    analysis, synthesis = PyramidAnalysis(*sizes), PyramidSynthesis(*sizes)
    initialise_with_klt(analysis, synthesis, crops)
    with torch.inference_mode():
        error = (synthesis(analysis(crops)) - crops).square().mean()
    # 36 dB is what 16 branches of a hundredth each leave of a start without loss.
    assert -10 * error.log10() > 36


def test_a_flat_area_keeps_its_level_in_bfloat16(crops):
    """Every position of it is rounded alike, so nothing averages out."""
    torch.manual_seed(0)
    analysis, synthesis = (
        PyramidAnalysis((16, 32, 64), (1, 1, 1)),
        PyramidSynthesis((16, 32, 64), (1, 1, 1)),
    )
    initialise_with_klt(analysis, synthesis, crops)
    flat = torch.rand(24, 3, 1, 1).expand(24, 3, 64, 64)
    with torch.no_grad():
        exact = synthesis(analysis(flat))
        with torch.autocast("cpu", torch.bfloat16):
            rough = synthesis(analysis(flat))
    drift = (rough.float() - exact).mean((2, 3)) * 255
    assert drift.square().mean().sqrt() < 0.1  # 0.6 if all of it were in bfloat16


def test_a_klt_start_fits_the_window_branches_to_the_channels(crops):
    torch.manual_seed(0)
    analysis, synthesis = PyramidAnalysis(*SIZES, "window"), PyramidSynthesis(*SIZES, "window")
    rms = initialise_with_klt(analysis, synthesis, crops)
    for stage in (analysis.refines[2], synthesis.refines[0]):
        torch.testing.assert_close(stage[-1].project_norm.weight, 0.01 * rms)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_gets_a_gradient(kind):
    torch.manual_seed(0)
    analysis = grown(PyramidAnalysis(*SIZES, kind))
    synthesis = grown(PyramidSynthesis(*SIZES, kind))
    synthesis(analysis(torch.rand(2, 3, 64, 96))).square().sum().backward()
    for network in (analysis, synthesis):
        for name, weight in network.named_parameters():
            assert weight.grad is not None and weight.grad.isfinite().all(), name
            assert weight.grad.any(), name


# -- regions -----------------------------------------------------------------------------------


def test_regions_steer_both_ways_of_training():
    torch.manual_seed(0)
    analysis = grown(PyramidAnalysis(*SIZES, "region"))
    synthesis = grown(PyramidSynthesis(*SIZES, "region"))
    x = torch.rand(2, 3, 128, 64)
    regions = torch.zeros(2, 128, 64, dtype=torch.int64)
    regions[:, :, 32:] = 1
    with torch.inference_mode():
        y = analysis(x, regions)
        assert not torch.allclose(y, analysis(x))
        assert not torch.allclose(synthesis(y, regions), synthesis(y))


def test_a_position_belongs_where_its_middle_does():
    torch.manual_seed(0)
    stage = grown(Stage(4, 8, 0, "region", 1))
    x = torch.randn(1, 4, 3, 5)
    regions = torch.randint(0, 3, (1, 24, 40))
    with torch.inference_mode():
        torch.testing.assert_close(stage(x, regions), stage[0](x, regions[:, 4::8, 4::8]))


def test_regions_like_the_grid_are_the_grid():
    torch.manual_seed(0)
    network = grown(PyramidAnalysis(*SIZES, "region"))
    x = torch.rand(1, 3, 128, 96)
    rows, columns = torch.arange(128) // 64, torch.arange(96) // 64
    with torch.inference_mode():
        as_labels = network(x, (2 * rows[:, None] + columns)[None])
        torch.testing.assert_close(as_labels, network(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["gated", "window"])
def test_regions_for_another_kind_are_refused(kind):
    regions = torch.zeros(1, 64, 64, dtype=torch.int64)
    with pytest.raises(ArgumentError, match="takes no regions"):
        PyramidAnalysis(*SIZES, kind)(torch.rand(1, 3, 64, 64), regions)
    with pytest.raises(ArgumentError, match="takes no regions"):
        PyramidSynthesis(*SIZES, kind)(torch.rand(1, 16, 4, 4), regions)


def test_regions_of_another_size_are_refused():
    regions = torch.zeros(1, 63, 64, dtype=torch.int64)
    with pytest.raises(ArgumentError, match="one label for each"):
        PyramidAnalysis(*SIZES, "region")(torch.rand(1, 3, 64, 64), regions)


# -- what stays --------------------------------------------------------------------------------


def test_names_of_gated_weights_are_those_of_shipped_files():
    block = {
        f"{layer}.{what}"
        for layer in ("enter", "spatial", "leave", "expand", "project")
        for what in ("weight", "bias")
    }
    mixes = {f"mixes.{level}.{what}" for level in range(3) for what in ("weight", "bias")}
    expected = mixes | {f"refines.{level}.0.{name}" for level in range(3) for name in block}
    assert set(PyramidAnalysis(*SIZES).state_dict()) == expected
    assert set(PyramidSynthesis(*SIZES).state_dict()) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_gated_part_has_the_same_names_in_every_kind(kind):
    """So that weights of a gated transform can start one of another kind."""
    gated = set(PyramidAnalysis(*SIZES).state_dict())
    more = set(PyramidAnalysis(*SIZES, kind).state_dict()) - gated
    assert gated <= set(PyramidAnalysis(*SIZES, kind).state_dict())
    assert all(re.match(r"refines\.[12]\.[12]\.", name) for name in more)


@pytest.mark.parametrize(
    ("kind", "extras", "message"),
    [
        ("swin", None, "gated, window, region"),
        ("gated", (0, 1, 0), "omit them"),
        ("window", (0, 1), "each level"),
        ("region", (0, -1, 0), "each level"),
    ],
)
def test_impossible_kinds_are_refused(kind, extras, message):
    with pytest.raises(ArgumentError, match=message):
        PyramidAnalysis(*SIZES, kind, extras)
    with pytest.raises(ArgumentError, match=message):
        PyramidSynthesis(*SIZES, kind, extras)
