"""Features become indices and come back near; gradients pass; codebooks learn and stay in use."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from quantal.entropy.quantisers import (
    CascadeQuantiser,
    FiniteScalarQuantiser,
    Quantiser,
    SignQuantiser,
    Use,
    VectorQuantiser,
)
from quantal.errors import ArgumentError


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def vector(channels: int, entries: int, scale: float = 1.0, seed: int = 7) -> VectorQuantiser:
    """A codebook of different entries, in evaluation mode."""
    quantiser = VectorQuantiser(channels, entries)
    quantiser.codebook.copy_(scale * normal(entries, channels, seed=seed))
    quantiser.restart()
    quantiser.eval()
    return quantiser


def two_stages() -> CascadeQuantiser:
    """The second stage's entries are far smaller than the distances of the first one's."""
    return CascadeQuantiser([[vector(4, 8, 4.0)], [vector(4, 8, 0.01, seed=8)]])


def product() -> CascadeQuantiser:
    return CascadeQuantiser([[vector(3, 8), FiniteScalarQuantiser((5, 4)), SignQuantiser(4, 2)]])


QUANTISERS: dict[str, Callable[[], Quantiser]] = {
    "vector": lambda: vector(4, 16),
    "two stages": two_stages,
    "product": product,
    "product, then sum": lambda: CascadeQuantiser(
        [[vector(2, 8, 4.0), vector(2, 4, 4.0, seed=9)], [vector(4, 8, 0.01, seed=8)]]
    ),
    "cascade of cascades": lambda: CascadeQuantiser(
        [[two_stages(), SignQuantiser(2, 1)], [vector(6, 4, 1e-4)]]
    ),
    "finite scalar": lambda: FiniteScalarQuantiser((8, 5, 2)),
    "signs": lambda: SignQuantiser(8, 4, 0.5),
}
every = pytest.mark.parametrize("kind", list(QUANTISERS))
#: What is decoded there is no feature: bounds and signs are of what other stages leave over.
ONE_WAY = ("product", "cascade of cascades")


def features_of(quantiser: Quantiser, indices: Tensor) -> Tensor:
    """Features that are quantised to the indices: what is decoded, before any bound."""
    decoded = quantiser.decode(indices)
    return decoded.atanh() if isinstance(quantiser, FiniteScalarQuantiser) else decoded


# -- indices and back ------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.data())
@pytest.mark.parametrize("kind", sorted({*QUANTISERS} - {*ONE_WAY}))
def test_every_index_comes_back_from_what_it_decodes_to(kind: str, data: st.DataObject) -> None:
    quantiser = QUANTISERS[kind]()
    batch, height, width = (data.draw(st.integers(0, 3)) for _ in range(3))
    shape = (batch, len(quantiser.sizes), height, width)
    sizes = np.array(quantiser.sizes)[:, None, None]
    drawn = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 2**20)))
    indices = torch.from_numpy(drawn % sizes)
    assert torch.equal(quantiser.encode(features_of(quantiser, indices)), indices)


@every
@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 1, 1), (0, 2, 2), (2, 0, 3)])
def test_indices_have_an_entry_and_features_their_shape(
    kind: str, shape: tuple[int, int, int]
) -> None:
    quantiser = QUANTISERS[kind]()
    batch, height, width = shape
    features = normal(batch, quantiser.channels, height, width)
    indices = quantiser.encode(features)
    assert indices.dtype == torch.int64
    assert indices.shape == (batch, len(quantiser.sizes), height, width)
    decoded = quantiser.decode(indices)
    assert decoded.dtype == torch.float32
    assert decoded.shape == features.shape
    quantised = quantiser(features)
    assert quantised.loss.shape == (batch,)
    assert quantised.loss.isfinite().all()


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_trained_on_is_what_a_decoder_draws(kind: str, dtype: torch.dtype) -> None:
    quantiser = QUANTISERS[kind]()
    # Far from all entries, where adding a difference would round.
    features = (100 * normal(2, quantiser.channels, 5, 4)).to(dtype)
    quantised = quantiser(features)
    assert quantised.features.dtype == dtype
    assert torch.equal(quantised.indices, quantiser.encode(features))
    assert torch.equal(quantised.features, quantiser.decode(quantised.indices).to(dtype))


@every
def test_autocast_changes_no_index(kind: str) -> None:
    quantiser = QUANTISERS[kind]()
    features = normal(4, quantiser.channels, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        quantised = quantiser(features)
        encoded = quantiser.encode(features)
    assert torch.equal(encoded, quantiser.encode(features))
    assert torch.equal(quantised.indices, encoded)
    assert torch.equal(quantised.features, quantiser.decode(encoded))


@every
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_features_that_are_not_finite_get_indices_that_decode(kind: str, value: float) -> None:
    quantiser = QUANTISERS[kind]()
    features = torch.full((1, quantiser.channels, 2, 2), value)
    assert quantiser.decode(quantiser.encode(features)).isfinite().all()


@every
@pytest.mark.parametrize("group", [0, -1])
@pytest.mark.parametrize("beyond", [-1, 0, 1 << 40])
def test_an_index_out_of_range_is_an_error(kind: str, group: int, beyond: int) -> None:
    quantiser = QUANTISERS[kind]()
    index = beyond if beyond < 0 else quantiser.sizes[group] + beyond
    indices = torch.zeros(1, len(quantiser.sizes), 2, 2, dtype=torch.int64)
    indices[0, group, 1, 0] = index
    expected = f"index {index} found.*expected 0..{quantiser.sizes[group] - 1}"
    for refused in (quantiser.decode, quantiser.use):
        with pytest.raises(ArgumentError, match=expected):
            refused(indices)


@every
def test_other_shapes_and_types_are_refused(kind: str) -> None:
    quantiser = QUANTISERS[kind]()
    groups, channels = len(quantiser.sizes), quantiser.channels
    for features in (normal(1, channels + 1, 2, 2), normal(1, 2, 2), normal(1, 1, 2, 2)):
        for refused in (quantiser.encode, quantiser):
            with pytest.raises(ArgumentError, match=rf"expected \[B, {channels}, H, W\]"):
                refused(features)
    whole = torch.zeros(1, groups, 2, 2, dtype=torch.int64)
    for indices in (whole[0], whole.float(), whole.bool(), whole.repeat(1, 2, 1, 1)):
        with pytest.raises(ArgumentError, match=rf"expected integers \[B, {groups}, H, W\]"):
            quantiser.decode(indices)


def test_small_integers_are_indices_and_no_mask() -> None:
    quantiser, indices = vector(3, 4), torch.tensor([[[[0, 3, 1]]]])
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(quantiser.decode(indices.to(dtype)), quantiser.decode(indices))


def test_the_nearest_entry_is_drawn() -> None:
    quantiser, features = vector(4, 16), normal(2, 4, 6, 5)
    vectors = features.permute(0, 2, 3, 1).reshape(-1, 4)
    distances = (vectors[:, None] - quantiser.codebook).square().sum(2)
    found = quantiser.decode(quantiser.encode(features)).permute(0, 2, 3, 1).reshape(-1, 4)
    torch.testing.assert_close((vectors - found).square().sum(1), distances.min(1).values)


@given(
    st.lists(st.integers(2, 20), min_size=1, max_size=5),
    hnp.arrays(np.float32, 12, elements=st.floats(-9, 9, width=32)),
)
def test_a_level_is_at_most_half_a_step_from_the_bounded_value(
    levels: list[int], values: npt.NDArray[np.float32]
) -> None:
    quantiser = FiniteScalarQuantiser(levels)
    features = torch.from_numpy(values).repeat(len(levels), 1)[None, :, None]
    decoded = quantiser.decode(quantiser.encode(features))
    step = 2 / (torch.tensor(levels) - 1)[:, None, None]
    assert ((decoded - features.tanh()).abs() <= step / 2 + 1e-6).all()


def test_the_first_channel_is_the_lowest_digit_of_an_index() -> None:
    quantiser = FiniteScalarQuantiser((3, 2))
    decoded = quantiser.decode(torch.arange(6).view(1, 1, 1, 6))
    assert decoded[0, 0, 0].tolist() == [-1, 0, 1, -1, 0, 1]
    assert decoded[0, 1, 0].tolist() == [-1, -1, -1, 1, 1, 1]


@given(hnp.arrays(np.float32, (1, 6, 2, 2), elements=st.floats(-9, 9, width=32)))
def test_signs_are_drawn_with_their_amplitude(
    values: npt.NDArray[np.float32],
) -> None:
    quantiser, features = SignQuantiser(6, 3, 0.25), torch.from_numpy(values)
    expected = torch.where(features > 0, 0.25, -0.25)
    assert torch.equal(quantiser.decode(quantiser.encode(features)), expected)


def test_bits_are_those_of_all_groups_together() -> None:
    assert vector(3, 16).bits == 4
    assert two_stages().bits == 6
    assert SignQuantiser(12, 4).bits == 12
    assert FiniteScalarQuantiser((8, 5, 5)).bits == math.log2(200)


def test_the_maintained_library_agrees_about_finite_scalars() -> None:
    """vector-quantize-pytorch, with the bound that is alike for odd and even levels; with the
    paper's own bound the levels are ours where their number is odd, and no others are."""
    library = pytest.importorskip("vector_quantize_pytorch")
    features = 2 * normal(2, 4, 9, 7)
    levels = [8, 5, 4, 2]
    ours, theirs = FiniteScalarQuantiser(levels), library.FSQ(levels, preserve_symmetry=True)
    assert ours.sizes == (theirs.codebook_size,)
    everything = torch.arange(320).view(1, 1, 16, 20)
    expected = theirs.indices_to_codes(everything[:, 0])
    torch.testing.assert_close(ours.decode(everything), expected)
    decoded, indices = theirs(features)
    assert torch.equal(ours.encode(features)[:, 0], indices.long())
    torch.testing.assert_close(ours(features).features, decoded)

    odd, papers = FiniteScalarQuantiser([7, 5, 3]), library.FSQ([7, 5, 3])
    assert odd.sizes == (papers.codebook_size,)
    everything = torch.arange(105).view(1, 1, 15, 7)
    torch.testing.assert_close(odd.decode(everything), papers.indices_to_codes(everything[:, 0]))
    even, papers = FiniteScalarQuantiser([8]), library.FSQ([8])
    assert even.sizes == (papers.codebook_size,)
    steps = even.decode(torch.arange(8).view(1, 1, 1, 8)).flatten().diff()
    torch.testing.assert_close(steps, torch.full((7,), 2 / 7))
    torch.testing.assert_close(papers.implicit_codebook[:, 0].diff(), torch.full((7,), 1 / 4))


# -- gradients -------------------------------------------------------------------------------


def passed(quantiser: Quantiser, features: Tensor, weights: Tensor) -> Tensor:
    """The gradient of sum(weights * quantised)."""
    features = features.clone().requires_grad_()
    (quantiser(features).features * weights).sum().backward()  # type: ignore[no-untyped-call]
    if features.grad is None:
        raise ValueError("no gradient passed")
    return features.grad


@pytest.mark.parametrize("kind", ["vector", "two stages", "product, then sum"])
def test_the_gradient_passes_straight_through(kind: str) -> None:
    quantiser = QUANTISERS[kind]()
    features, weights = normal(2, 4, 3, 3), normal(2, 4, 3, 3, seed=1)
    assert torch.equal(passed(quantiser, features, weights), weights)


def test_the_gradient_passes_the_bound_of_finite_scalars_but_not_their_rounding() -> None:
    features, weights = normal(2, 3, 3, 3), normal(2, 3, 3, 3, seed=1)
    found = passed(FiniteScalarQuantiser((8, 5, 2)), features, weights)
    torch.testing.assert_close(found, weights * (1 - features.tanh() ** 2))


def test_beyond_the_amplitude_of_a_sign_only_what_leads_back_passes() -> None:
    features = torch.tensor([-3.0, -3.0, -0.4, 0.4, 3.0, 3.0]).view(1, 6, 1, 1)
    # A step goes against the gradient.
    weights = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]).view(1, 6, 1, 1)
    found = passed(SignQuantiser(6, 3, 0.5), features, weights)
    assert found.flatten().tolist() == [0.0, -1.0, 1.0, -1.0, 1.0, 0.0]


def test_each_part_of_a_stage_has_its_own_gradient() -> None:
    quantiser = product()
    features, weights = normal(1, 9, 2, 2), normal(1, 9, 2, 2, seed=1)
    found = passed(quantiser, features, weights)
    assert torch.equal(found[:, :3], weights[:, :3])
    slope = 1 - features[:, 3:5].tanh() ** 2
    torch.testing.assert_close(found[:, 3:5], weights[:, 3:5] * slope)
    signs = passed(SignQuantiser(4, 2), features[:, 5:], weights[:, 5:])
    assert torch.equal(found[:, 5:], signs)


def test_the_loss_is_the_mean_square_and_pulls_features_to_their_entry() -> None:
    quantiser, features = vector(4, 16), normal(2, 4, 3, 3).requires_grad_()
    quantised = quantiser(features)
    away = (features - quantiser.decode(quantised.indices)).detach()
    torch.testing.assert_close(quantised.loss, away.square().mean((1, 2, 3)))
    quantised.loss.sum().backward()
    torch.testing.assert_close(features.grad, 2 * away / away[0].numel())


def test_every_stage_of_a_cascade_pulls_and_every_channel_counts_alike() -> None:
    first, second, third = vector(1, 4), vector(3, 8, seed=8), vector(4, 8, 0.1, seed=9)
    quantiser, features = CascadeQuantiser([[first, second], [third]]), normal(2, 4, 3, 3)
    parts = ((first, features[:, :1]), (second, features[:, 1:]))
    start = torch.cat([part.decode(part.encode(piece)) for part, piece in parts], 1)
    rest = features - start
    final = rest - third.decode(third.encode(rest))
    expected = rest.square().mean((1, 2, 3)) + final.square().mean((1, 2, 3))
    features.requires_grad_()
    loss = quantiser(features).loss
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    torch.testing.assert_close(features.grad, 2 * (rest + final) / rest[0].numel())


def test_finite_scalars_need_no_loss() -> None:
    assert FiniteScalarQuantiser((5, 5))(normal(3, 2, 2, 2)).loss.tolist() == [0, 0, 0]


@pytest.mark.parametrize("offset", [2.0, -2.0])
def test_spread_makes_signs_sure_and_evenly_used(offset: float) -> None:
    quantiser = SignQuantiser(4, 2, 0.5)
    features = (0.2 * normal(16, 4, 2, 2) + offset * 0.2).requires_grad_()
    optimiser = torch.optim.Adam([features], lr=0.05)
    before = quantiser.spread(features).item()
    for _ in range(150):
        optimiser.zero_grad()
        quantiser.spread(features).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    after = quantiser.spread(features).item()
    assert after < -0.9 < before
    shares = (features > 0).float().mean((0, 2, 3))
    assert ((shares > 0.35) & (shares < 0.65)).all()
    assert (features.abs() > 0.25).float().mean() > 0.9


def test_spread_is_in_bits_and_its_slope_finite() -> None:
    quantiser = SignQuantiser(2, 2)
    assert float(quantiser.spread(torch.zeros(1, 2, 2, 2))) == 0
    sure = torch.tensor([[50.0, -50.0], [-50.0, 50.0]]).view(2, 2, 1, 1).requires_grad_()
    spread = quantiser.spread(sure)
    assert spread.item() == pytest.approx(-1, abs=1e-3)
    spread.backward()  # type: ignore[no-untyped-call]
    assert sure.grad is not None and sure.grad.isfinite().all()


# -- learning --------------------------------------------------------------------------------


def gathered(count: int, seed: int = 0) -> Tensor:
    """Features [16, 4, 8, 8] around `count` centres."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * normal(count, 4, seed=99)
    chosen = torch.randint(count, (16, 8, 8), generator=generator)
    noise = 0.1 * torch.randn(16, 8, 8, 4, generator=generator)
    return (centres[chosen] + noise).permute(0, 3, 1, 2)


def trained(quantiser: Quantiser, steps: int, count: int = 12) -> list[float]:
    """The error of every step."""
    torch.manual_seed(0)
    quantiser.train()
    return [float(quantiser(gathered(count, seed)).loss.mean()) for seed in range(steps)]


def test_a_codebook_learns_what_it_stands_for() -> None:
    quantiser = VectorQuantiser(4, 16, 0.9)
    errors = trained(quantiser, 60)
    assert errors[-1] < 0.5 * errors[0]


def test_entries_become_the_mean_of_what_chose_them() -> None:
    quantiser = vector(2, 2)
    quantiser.decay = 0.0
    quantiser.codebook.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    vectors = torch.tensor([[-3.0, 1.0], [-1.0, 3.0], [4.0, 4.0]])
    features = vectors.T[None, :, :, None]
    quantiser.train()(features)
    assert quantiser.codebook.tolist() == [[-2.0, 2.0], [4.0, 4.0]]
    assert quantiser.counts.tolist() == [2.0, 1.0]


def test_dead_entries_come_back() -> None:
    quantiser = VectorQuantiser(4, 16, 0.9)
    # All but one entry are out of reach.
    quantiser.codebook.copy_(torch.full((16, 4), 1e4))
    quantiser.codebook[3] = 0
    quantiser.restart()
    errors = trained(quantiser, 60)
    assert errors[-1] < 0.1 * errors[0]
    (use,) = quantiser.use(quantiser.encode(gathered(12)))
    assert use.share > 0.7


def test_revived_entries_begin_at_different_vectors_and_wait_where_these_are_too_few() -> None:
    quantiser = VectorQuantiser(1, 8, 0.0)
    quantiser.codebook.copy_(torch.full((8, 1), 1e4))
    quantiser.codebook[0] = 0
    quantiser.restart()
    quantiser.train()(torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3))
    kept, *revived = quantiser.codebook.flatten().tolist()
    assert kept == 2.0
    assert sorted(revived) == [1.0, 2.0, 3.0, *[1e4] * 4]


def test_entries_in_even_use_are_left_alone() -> None:
    quantiser = vector(1, 4).train()
    quantiser.codebook.copy_(torch.arange(4.0)[:, None])
    quantiser.restart()
    features = torch.arange(4.0).repeat(8).view(1, 1, 4, 8)
    for _ in range(300):
        quantiser(features)
    torch.testing.assert_close(quantiser.codebook.flatten(), torch.arange(4.0))


def test_nothing_is_learned_in_evaluation() -> None:
    quantiser = vector(4, 16)
    before = quantiser.codebook.clone()
    quantiser(normal(2, 4, 3, 3))
    assert torch.equal(quantiser.codebook, before)
    quantiser.train()(normal(2, 4, 3, 3))
    assert not torch.equal(quantiser.codebook, before)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e30])
def test_what_is_not_finite_is_not_learned(value: float) -> None:
    quantiser, twin = vector(4, 16).train(), vector(4, 16).train()
    features = normal(1, 4, 2, 3)
    spoiled = features.clone()
    spoiled[0, 2, 1, 1] = value
    there = torch.ones(1, 2, 3, dtype=torch.bool)
    there[0, 1, 1] = False
    quantiser(spoiled)
    twin.learn(features, twin.encode(features), there)
    assert torch.equal(quantiser.codebook, twin.codebook)
    assert quantiser.codebook.isfinite().all()


def test_only_positions_that_count_are_learned() -> None:
    quantiser = vector(2, 4)
    features, nowhere = normal(1, 2, 3, 3), torch.zeros(1, 3, 3, dtype=torch.bool)
    before = {name: value.clone() for name, value in quantiser.state_dict().items()}
    quantiser.learn(features, quantiser.encode(features), nowhere)
    for name, value in quantiser.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_codebook_starts_at_the_k_means_of_vectors() -> None:
    features = gathered(16)
    vectors = features.permute(0, 2, 3, 1).reshape(-1, 4)
    quantiser = vector(4, 16)
    before = float(quantiser(features).loss.mean())
    quantiser.start_at(vectors)
    assert float(quantiser(features).loss.mean()) < 0.02 < before
    assert torch.equal(quantiser.sums, quantiser.codebook)
    assert quantiser.counts.tolist() == [1.0] * 16


def test_a_smaller_codebook_starts_as_a_larger_one_condensed() -> None:
    features = normal(16, 4, 8, 8)
    large, small = VectorQuantiser(4, 64), VectorQuantiser(4, 16)
    large.start_at(features.permute(0, 2, 3, 1).reshape(-1, 4))
    chance = VectorQuantiser(4, 16).eval()
    chance.codebook.copy_(large.codebook[::4])
    small.start_as(large)
    errors = [float(q.eval()(features).loss.mean()) for q in (large, small, chance)]
    assert errors[0] < errors[1] < 0.95 * errors[2]


def test_a_codebook_starts_at_vectors_of_its_own_width_only() -> None:
    with pytest.raises(ArgumentError, match="3 channels, not 4"):
        vector(4, 8).start_at(normal(20, 3))
    with pytest.raises(ArgumentError, match="1 channels, not 4"):
        vector(4, 8).start_as(vector(1, 16))
    with pytest.raises(ArgumentError, match="can't be shrunk"):
        vector(4, 8).start_as(vector(4, 4))
    with pytest.raises(ArgumentError, match="expected"):
        CascadeQuantiser([[vector(4, 8)]]).start_at(normal(20, 3))


def test_the_second_stage_lowers_the_error() -> None:
    features = normal(8, 4, 8, 8)
    vectors = features.permute(0, 2, 3, 1).reshape(-1, 4)
    one = CascadeQuantiser([[VectorQuantiser(4, 16)]])
    two = CascadeQuantiser([[VectorQuantiser(4, 16)], [VectorQuantiser(4, 16)]])
    nested = CascadeQuantiser([[two], [VectorQuantiser(4, 16)]])
    errors = []
    for quantiser in (one, two, nested):
        quantiser.start_at(vectors)
        decoded = quantiser.decode(quantiser.encode(features))
        errors.append(float((features - decoded).square().mean()))
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.3 * errors[2]


def test_both_stages_learn_in_training() -> None:
    stages = [VectorQuantiser(4, 8, 0.9), VectorQuantiser(4, 8, 0.9)]
    quantiser = CascadeQuantiser([[stage] for stage in stages])
    before = [stage.codebook.clone() for stage in stages]
    errors = trained(quantiser, 60)
    assert errors[-1] < 0.5 * errors[0]
    assert not any(torch.equal(s.codebook, b) for s, b in zip(stages, before, strict=True))


# -- use, and what there can't be ------------------------------------------------------------


def test_even_use_has_as_much_perplexity_as_entries() -> None:
    assert Use.of(torch.full((8,), 5)) == Use(1.0, 8.0, 3.0)
    assert Use.of(torch.tensor([3, 3, 0, 0])) == Use(0.5, 2.0, 1.0)
    assert Use.of(torch.tensor([0, 7])) == Use(0.5, 1.0, 0.0)
    assert Use.of(torch.tensor([0, 0])) == Use(0.0, 1.0, 0.0)
    assert math.copysign(1, Use.of(torch.tensor([7])).bits) == 1


def test_running_counts_below_one_are_counts_too() -> None:
    assert Use.of(torch.tensor([0.125, 0.125])) == Use(1.0, 2.0, 1.0)


def test_each_group_has_its_own_use() -> None:
    quantiser = CascadeQuantiser([[vector(1, 4), vector(1, 2)]])
    indices = torch.tensor([[[[0, 1, 2, 3]], [[1, 1, 1, 1]]]])
    assert quantiser.use(indices) == (Use(1.0, 4.0, 2.0), Use(0.5, 1.0, 0.0))
    assert quantiser.use(indices[:0]) == (Use(0.0, 1.0, 0.0), Use(0.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VectorQuantiser(0, 4), "channels >= 1"),
        (lambda: VectorQuantiser(4, 1), "entries >= 2"),
        (lambda: VectorQuantiser(4, 4, 1.5), "decay"),
        (lambda: VectorQuantiser(4, 4, math.nan), "decay"),
        (lambda: CascadeQuantiser([]), "at least one stage"),
        (lambda: CascadeQuantiser([[]]), "at least one quantiser"),
        (lambda: CascadeQuantiser([[vector(2, 4)], [vector(3, 4)]]), r"\[2, 3\]"),
        (lambda: FiniteScalarQuantiser([]), "levels"),
        (lambda: FiniteScalarQuantiser([5, 1]), "each >= 2"),
        (lambda: FiniteScalarQuantiser([2] * 25), r"2\^24"),
        (lambda: SignQuantiser(6, 4), "without rest"),
        (lambda: SignQuantiser(17, 17), "1 to 16"),
        (lambda: SignQuantiser(4, 0), "1 to 16"),
        (lambda: SignQuantiser(0, 4), "0 channels"),
        (lambda: SignQuantiser(4, 4, 0.0), "amplitude"),
        (lambda: SignQuantiser(4, 4, math.nan), "amplitude"),
    ],
)
def test_impossible_quantisers_are_refused(make: Callable[[], Quantiser], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
