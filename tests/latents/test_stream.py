"""Streams: equal parts for all ranks, each picture once, an order that follows from the seed."""

from __future__ import annotations

import shutil

import pytest
from torch.utils.data import DataLoader

from quantal.errors import ArgumentError
from quantal.latents import LatentDataset, LatentStream, collate, pack

# Workers on a machine of one core are slow, not wrong.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture(scope="module")
def many(tree, tmp_path_factory) -> LatentDataset:
    """107 pictures."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "files").mkdir()
    for number in range(107):
        shutil.copy(tree / "dogs" / "d.qtl", folder / "files" / f"{number:03}.qtl")
    pack(folder / "files", folder / "shards")
    return LatentDataset(folder / "shards")


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
@pytest.mark.parametrize("shuffle", [True, False])
def test_ranks_get_equal_parts_that_share_nothing(many, ranks, shuffle) -> None:
    parts = [
        LatentStream(many, shuffle=shuffle, rank=rank, ranks=ranks).order() for rank in range(ranks)
    ]
    assert {len(part) for part in parts} == {107 // ranks}
    assert len({number for part in parts for number in part}) == 107 // ranks * ranks


def test_pictures_that_are_over_are_repeated_on_demand(many) -> None:
    streams = [LatentStream(many, rank=rank, ranks=4, uneven="repeat") for rank in range(4)]
    parts = [stream.order() for stream in streams]
    assert {len(part) for part in parts} == {27} == {len(stream) for stream in streams}
    assert {number for part in parts for number in part} == set(range(107))


def test_more_ranks_than_pictures_still_get_equal_parts(shards) -> None:
    small = LatentDataset(shards)
    assert [len(LatentStream(small, rank=r, ranks=20).order()) for r in range(20)] == [0] * 20
    streams = [LatentStream(small, rank=r, ranks=20, uneven="repeat") for r in range(20)]
    assert [len(stream.order()) for stream in streams] == [1] * 20


def test_the_order_follows_from_seed_and_epoch(many) -> None:
    stream = LatentStream(many, seed=3)
    first = stream.order()
    assert stream.order() == first != list(range(107)) and sorted(first) == list(range(107))
    stream.set_epoch(1)
    assert stream.order() != first
    assert LatentStream(many, seed=4).order() != first
    assert LatentStream(many, shuffle=False).order() == list(range(107))


def test_neighbours_are_mixed_across_blocks(many) -> None:
    """A buffer of one block keeps its pictures together, a larger one does not."""
    tight = LatentStream(many, buffer=1).order()
    assert max(tight[:11]) - min(tight[:11]) < 32
    wide = LatentStream(many, buffer=8).order()
    assert max(wide[:32]) - min(wide[:32]) > 32


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_share_a_rank_s_pictures(many, workers) -> None:
    for rank in range(2):
        stream = LatentStream(many, rank=rank, ranks=2)
        loader = DataLoader(stream, batch_size=8, num_workers=workers, collate_fn=collate)
        names = [name for batch in loader for name in batch.names]
        assert sorted(names) == sorted(f"{number:03}.qtl" for number in stream.order())


def test_all_ranks_have_the_same_number_of_batches(many) -> None:
    counts = set()
    for rank in range(3):
        stream = LatentStream(many, rank=rank, ranks=3)
        loader = DataLoader(stream, batch_size=4, num_workers=2, collate_fn=collate)
        counts.add(sum(1 for _ in loader))
    assert len(counts) == 1


def test_impossible_shares_are_refused(many) -> None:
    with pytest.raises(ArgumentError, match="rank"):
        LatentStream(many, rank=2, ranks=2)
    with pytest.raises(ArgumentError, match="uneven"):
        LatentStream(many, uneven="crash")
    with pytest.raises(ArgumentError, match="buffer"):
        LatentStream(many, buffer=0)
    with pytest.raises(ArgumentError, match="seed"):
        LatentStream(many, seed=1 << 32)
    with pytest.raises(ArgumentError, match="str is not a data set"):
        LatentStream("shards")
    largest = LatentStream(many, seed=(1 << 32) - 1)
    largest.set_epoch((1 << 32) - 1)
    assert len(largest.order()) == 107
