"""A region is transformed by what is in it and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from quantal.errors import ArgumentError
from quantal.transforms import region_labels
from quantal.transforms.regions import RegionModulation


def modulation(channels=6, cell=4, seed=0) -> RegionModulation:
    """One that has learned something: its last layer is not zero."""
    torch.manual_seed(seed)
    made = RegionModulation(channels, cell).eval()
    nn.init.normal_(made.affine[-1].weight)
    nn.init.normal_(made.affine[-1].bias)
    return made


def cells(height: int, width: int, cell: int) -> Tensor:
    """The grid's cells as labels [1, H, W]."""
    down, across = torch.arange(height) // cell, torch.arange(width) // cell
    return (down[:, None] * (int(across.max()) + 1) + across)[None]


@pytest.mark.parametrize("labels", [None, torch.randint(0, 3, (2, 9, 7))])
def test_it_starts_as_the_identity(labels):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 9, 7)
    assert torch.equal(RegionModulation(6, 4)(x, labels), x)


@given(st.integers(1, 13), st.integers(1, 13), st.integers(1, 5), st.integers(0, 9))
def test_the_grid_is_the_label_map_of_its_cells(height, width, cell, seed):
    made = modulation(cell=cell, seed=seed)
    x = torch.randn(1, 6, height, width)
    with torch.inference_mode():
        torch.testing.assert_close(
            made(x), made(x, cells(height, width, cell)), atol=1e-4, rtol=1e-4
        )


@given(st.integers(0, 9))
def test_each_region_is_what_it_would_be_alone(seed):
    made = modulation(seed=seed)
    x = torch.randn(2, 6, 5, 7)
    labels = torch.randint(0, 4, (2, 5, 7))
    with torch.inference_mode():
        result = made(x, labels)
        for sample in range(2):
            for label in labels[sample].unique():
                inside = labels[sample] == label
                alone = x[sample][:, inside][None, :, None]
                expected = made(alone, torch.zeros(1, 1, int(inside.sum()), dtype=torch.int64))
                torch.testing.assert_close(
                    result[sample][:, inside], expected[0, :, 0], atol=1e-4, rtol=1e-4
                )


def test_nothing_leaks_into_another_region_or_sample():
    made = modulation()
    x = torch.randn(2, 6, 8, 8)
    labels = torch.randint(0, 3, (2, 8, 8))
    y = x.clone()
    y[0, :, 3, 5] += 1
    with torch.inference_mode():
        moved = (made(x, labels) != made(y, labels)).any(1)
        in_cells = (made(x) != made(y)).any(1)
    assert not moved[1].any() and not in_cells[1].any()
    assert torch.equal(moved[0], labels[0] == labels[0, 3, 5])
    assert torch.equal(in_cells[0], cells(8, 8, 4)[0] == 1)


def test_names_of_regions_do_not_matter():
    made = modulation()
    x = torch.randn(1, 6, 8, 8)
    labels = torch.randint(0, 3, (1, 8, 8))
    with torch.inference_mode():
        torch.testing.assert_close(made(x, labels), made(x, 7 - 2 * labels))


@pytest.mark.parametrize("labels", [None, torch.randint(0, 3, (2, 9, 7))])
def test_every_weight_gets_a_gradient(labels):
    made = modulation()
    made(torch.randn(2, 6, 9, 7), labels).square().sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None and weight.grad.any(), name


def test_the_first_step_already_learns():
    torch.manual_seed(0)
    made = RegionModulation(6, 4)
    made(torch.randn(2, 6, 9, 7)).square().sum().backward()
    assert made.affine[-1].weight.grad.any()


@pytest.mark.parametrize("labels", [None, torch.randint(0, 3, (1, 9, 7))])
def test_bfloat16_is_near_float32(labels):
    made = modulation()
    x = torch.randn(1, 6, 9, 7)
    with torch.inference_mode():
        exact = made(x, labels)
        with torch.autocast("cpu", torch.bfloat16):
            result = made(x.bfloat16(), labels)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), exact, atol=0.1, rtol=0.05)


def test_cost_is_what_the_docstring_says():
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        modulation(channels=16, cell=4)(torch.randn(1, 16, 8, 12))
    # Beside C products a position, which the counter leaves out.
    assert counter.get_total_flops() == 2 * 4 * 16**2 * 8 * 12 // 4**2


@pytest.mark.parametrize(
    "labels",
    [
        torch.zeros(1, 4, 5, dtype=torch.int64),
        torch.zeros(4, 4, dtype=torch.int64),
        torch.zeros(1, 4, 4, dtype=torch.int32),
        torch.full((1, 4, 4), -1),
    ],
)
def test_labels_that_fit_nothing_are_refused(labels):
    with pytest.raises(ArgumentError, match="region"):
        modulation()(torch.randn(1, 6, 4, 4), labels)


def test_impossible_sizes_are_refused():
    with pytest.raises(ArgumentError, match="1 or more"):
        RegionModulation(6, 0)


# -- the regions of a picture ------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20))
def test_labels_cover_pictures_of_any_size(height, width, regions):
    labels = region_labels(torch.rand(2, 3, height, width), regions)
    assert labels.shape == (2, height, width) and labels.dtype == torch.int64
    assert labels.min() >= 0 and labels.max() < regions


def test_two_things_become_two_regions():
    pixels = torch.full((1, 3, 64, 64), 0.2)
    pixels[:, :, :, 24:] = 0.8
    labels = region_labels(pixels, 2)[0]
    assert (labels[:, :24] == labels[0, 0]).all() and (labels[:, 24:] == labels[0, 63]).all()
    assert labels[0, 0] != labels[0, 63]


def test_a_photograph_varies_less_within_regions_than_within_cells(photograph: Image.Image):
    pixels = torch.from_numpy(np.asarray(photograph).copy()).permute(2, 0, 1)[None] / 255
    crops = pixels[:, :, :256, :256].unfold(2, 128, 128).unfold(3, 128, 128)
    crops = crops.permute(0, 2, 3, 1, 4, 5).reshape(4, 3, 128, 128)

    def variance(labels: Tensor) -> float:
        total = 0.0
        for crop, regions in zip(crops, labels, strict=True):
            for label in regions.unique():
                total += float(crop[:, regions == label].var(1, correction=0).sum()) * float(
                    (regions == label).float().mean()
                )
        return total

    grid = cells(128, 128, 32).expand(4, -1, -1)
    assert variance(region_labels(crops, 16)) < 0.6 * variance(grid)


def test_samples_are_cut_one_by_one_and_always_alike():
    pixels = torch.rand(3, 3, 40, 52)
    together = region_labels(pixels, 6)
    alone = torch.cat([region_labels(sample[None], 6) for sample in pixels])
    assert torch.equal(together, alone) and torch.equal(together, region_labels(pixels, 6))


@pytest.mark.parametrize(
    ("shape", "regions"), [((1, 3, 8, 8), 0), ((3, 8, 8), 4), ((1, 4, 8, 8), 4), ((1, 3, 0, 8), 4)]
)
def test_what_has_no_regions_is_refused(shape, regions):
    with pytest.raises(ArgumentError):
        region_labels(torch.zeros(shape), regions)
