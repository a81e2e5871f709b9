"""The nearest entry is the nearest; centres go where vectors are; a smaller codebook keeps most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from quantal.entropy.quantisers import clustering as module
from quantal.entropy.quantisers import kmeans, nearest, shrink
from quantal.errors import ArgumentError

#: Small whole numbers: their distances are exact, and often equal.
GRID = st.integers(-3, 3).map(float)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def error(vectors: Tensor, codebook: Tensor) -> float:
    """Mean squared distance to the nearest entry."""
    return float((vectors - codebook[nearest(vectors, codebook)]).square().sum(1).mean())


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.tuples(
            hnp.arrays(np.float32, st.tuples(st.integers(0, 20), st.just(width)), elements=GRID),
            hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(width)), elements=GRID),
        )
    )
)
def test_no_entry_is_nearer_than_the_nearest(
    case: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
) -> None:
    vectors, codebook = case
    found = nearest(torch.from_numpy(vectors), torch.from_numpy(codebook)).numpy()
    distances = ((vectors[:, None] - codebook) ** 2).sum(2)
    assert found.dtype == np.int64
    assert found.shape == (len(vectors),)
    chosen = distances[np.arange(len(vectors)), found]
    assert (chosen == distances.min(1, initial=np.inf)).all()


def test_cutting_into_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, codebook = normal(103, 5), normal(16, 5, seed=1)
    whole = nearest(vectors, codebook)
    for piece in (1, 16, 170):
        monkeypatch.setattr(module, "_PIECE", piece)
        assert torch.equal(nearest(vectors, codebook), whole)


def test_vectors_far_from_the_origin_are_told_apart() -> None:
    # Multiples of 1/64, which are exact at 4096, too.
    vectors, codebook = ((32 * normal(n, 8, seed=n)).round() / 64 for n in (200, 32))
    found = nearest(vectors + 4096, codebook + 4096)
    distances = (vectors[:, None] - codebook).square().sum(2)
    assert torch.equal(distances[torch.arange(200), found], distances.min(1).values)


def test_autocast_does_not_blur_distances() -> None:
    vectors, codebook = normal(500, 32), normal(256, 32, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        found = nearest(vectors, codebook)
    assert torch.equal(found, nearest(vectors, codebook))


def test_vectors_in_half_precision_are_compared_in_full() -> None:
    vectors, codebook = normal(500, 32).bfloat16(), normal(256, 32, seed=1)
    assert torch.equal(nearest(vectors, codebook), nearest(vectors.float(), codebook))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_vector_that_is_not_finite_has_some_entry_and_spoils_no_other(value: float) -> None:
    vectors, codebook = normal(10, 3), normal(4, 3, seed=1)
    expected = nearest(vectors, codebook)
    vectors[4, 1] = value
    found = nearest(vectors, codebook)
    assert 0 <= int(found[4]) < 4
    others = torch.arange(10) != 4
    assert torch.equal(found[others], expected[others])


def test_a_single_entry_is_the_nearest_of_all() -> None:
    assert nearest(normal(7, 2), normal(1, 2)).tolist() == [0] * 7


@pytest.mark.parametrize("shapes", [((3, 2), (4, 3)), ((3, 2), (0, 2)), ((6,), (4, 3))])
def test_what_cannot_be_compared_is_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ArgumentError, match="codebook"):
        nearest(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def clusters(count: int, each: int, spread: float, width: int = 4) -> tuple[Tensor, Tensor]:
    """Vectors [count * each, width] around centres [count, width] far apart."""
    centres = 10 * normal(count, width)
    return centres.repeat(each, 1) + spread * normal(count * each, width, seed=1), centres


def test_centres_are_found_where_vectors_gather() -> None:
    vectors, centres = clusters(12, 40, 0.05)
    found = kmeans(vectors, 12)
    assert error(centres, found) < 0.01
    assert sorted(nearest(centres, found).tolist()) == list(range(12))


def test_iterations_lower_the_error_of_the_start() -> None:
    vectors = normal(600, 4)
    errors = [error(vectors, kmeans(vectors, 20, iterations=n)) for n in (0, 1, 20)]
    assert errors[0] > errors[1] > errors[2]


def test_a_centre_without_vectors_moves_to_the_one_that_is_served_worst(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, centres = clusters(2, 20, 0.01)
    start = torch.tensor([[0.0], [1e4]]).repeat(1, 4)
    monkeypatch.setattr(module, "_spread", lambda *_: start)
    assert error(centres, kmeans(vectors, 2)) < 0.01


def test_a_vector_of_weight_three_counts_as_three() -> None:
    once = kmeans(torch.tensor([[0.0], [4.0]]), 1, torch.tensor([1.0, 3.0]))
    thrice = kmeans(torch.tensor([[0.0], [4.0], [4.0], [4.0]]), 1)
    assert float(once) == float(thrice) == 3.0


def test_only_ratios_of_weights_count() -> None:
    vectors, weights = normal(100, 3), normal(100, seed=1).abs()
    expected = kmeans(vectors, 7, weights)
    for factor in (1e-37, 1e37):
        torch.testing.assert_close(kmeans(vectors, 7, weights * factor), expected)


def test_vectors_without_weight_draw_no_centre() -> None:
    vectors = torch.tensor([[0.0], [1.0], [100.0]])
    found = kmeans(vectors, 2, torch.tensor([1.0, 1.0, 0.0]))
    assert sorted(found.flatten().tolist()) == [0.0, 1.0]


def test_fewer_different_vectors_than_centres_are_all_kept() -> None:
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat(5, 1)
    found = kmeans(vectors, 6)
    assert found.shape == (6, 2)
    assert error(vectors, found) == 0
    assert error(found, vectors) == 0


def test_a_single_vector_is_every_centre() -> None:
    assert kmeans(torch.tensor([[1.0, 2.0]]), 3).tolist() == [[1.0, 2.0]] * 3


def test_the_same_vectors_give_the_same_centres_and_leave_the_users_seed_alone() -> None:
    vectors = normal(200, 3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = kmeans(vectors, 9)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(kmeans(vectors, 9), first)
    assert not torch.equal(kmeans(vectors, 9, seed=1), first)


@pytest.mark.parametrize(
    ("vectors", "count", "weights", "message"),
    [
        (torch.zeros(0, 3), 2, None, "expected"),
        (torch.zeros(3), 2, None, "expected"),
        (torch.zeros(3, 3), 0, None, "at least one centre"),
        (torch.full((3, 3), torch.nan), 2, None, "not finite"),
        (torch.zeros(3, 3), 2, torch.ones(2), "weights"),
        (torch.zeros(3, 3), 2, torch.tensor([1.0, -1.0, 1.0]), "weights"),
        (torch.zeros(3, 3), 2, torch.tensor([1.0, torch.inf, 1.0]), "weights"),
        (torch.zeros(3, 3), 2, torch.zeros(3), "all weights are 0"),
    ],
)
def test_what_has_no_centres_is_refused(
    vectors: Tensor, count: int, weights: Tensor | None, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        kmeans(vectors, count, weights)


def test_too_many_vectors_are_refused_before_they_are_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST", 4)
    with pytest.raises(ArgumentError, match="sample"):
        kmeans(torch.zeros(5, 1), 2)


def test_shrinking_step_by_step_keeps_more_than_a_random_choice_does() -> None:
    vectors = normal(3000, 6) * torch.tensor([4.0, 2.0, 1.0, 1.0, 0.5, 0.5])
    codebook, rng = kmeans(vectors, 256), np.random.default_rng(0)
    before = error(vectors, codebook)
    for size in (64, 16):
        counts = torch.bincount(nearest(vectors, codebook), minlength=len(codebook))
        smaller = shrink(codebook, counts, size)
        chances = [
            error(vectors, codebook[torch.from_numpy(rng.permutation(len(codebook))[:size])])
            for _ in range(3)
        ]
        assert before < error(vectors, smaller) < 0.9 * min(chances)
        codebook, before = smaller, error(vectors, smaller)


def test_shrinking_minds_how_often_entries_are_used() -> None:
    codebook = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    found = shrink(codebook, torch.tensor([1000.0, 1.0, 1000.0, 1.0]), 2)
    assert sorted(found.flatten().round(decimals=1).tolist()) == [0.0, 10.0]


def test_entries_that_were_never_used_shrink_alike() -> None:
    assert error(torch.eye(4), shrink(torch.eye(4), torch.zeros(4), 4)) == 0


@pytest.mark.parametrize("size", [0, 5])
def test_a_codebook_shrinks_to_some_of_its_entries_only(size: int) -> None:
    with pytest.raises(ArgumentError):
        shrink(torch.eye(4), torch.ones(4), size)
