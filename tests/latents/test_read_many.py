"""Many files at once: as each alone, whatever is mixed, and damaged ones by name."""

from __future__ import annotations

import numpy as np
import pytest

import quantal
from quantal.codecs import Latents
from quantal.errors import ArgumentError, BitstreamError, MediaError, QuantalWarning
from quantal.latents import Symbols, read, read_many


@pytest.fixture
def paths(tree):
    return sorted(tree.rglob("*.qtl"))


def test_they_are_what_each_is_alone(paths, small_photograph) -> None:
    sources = [*paths, quantal.compress(small_photograph, "context-s"), paths[0].read_bytes()]
    found = read_many(sources)
    assert len(found) == len(sources)
    for one, source in zip(found, sources, strict=True):
        alone = read(source)
        assert isinstance(one, Latents)
        # Networks of many pictures at once add up in another order.
        np.testing.assert_allclose(one.y_hat, alone.y_hat, atol=1e-4, rtol=1e-4)
        assert all(map(np.array_equal, one.symbols, alone.symbols))
        assert (one.codec, one.width, one.rate) == (alone.codec, alone.width, alone.rate)


def test_symbols_alone_need_no_floating_point(paths, monkeypatch) -> None:
    codec = quantal.load("hyperprior", "cpu")
    monkeypatch.setattr(codec, "read", None)
    monkeypatch.setattr(codec, "dequantise", None)
    found = read_many(paths, symbols_only=True, codec=codec)
    monkeypatch.undo()
    for one, path in zip(found, paths, strict=True):
        assert isinstance(one, Symbols) and one.model_hash == codec.model_hash
        assert all(map(np.array_equal, one.symbols, read(path).symbols))


def test_a_damaged_file_is_fatal_or_left_out(paths, tmp_path) -> None:
    bad = tmp_path / "bad.qtl"
    bad.write_bytes(paths[0].read_bytes()[:-1])
    sources = [paths[0], bad, tmp_path / "nowhere.qtl", paths[1]]
    with pytest.raises(BitstreamError, match=r"bad\.qtl: the file has"):
        read_many(sources[:2])
    with pytest.raises(MediaError, match=r"nowhere\.qtl"):
        read_many(sources[2:])
    with pytest.warns(QuantalWarning) as said:
        found = read_many(sources, on_error="skip")
    assert [each is None for each in found] == [False, True, True, False]
    assert [
        name for name in ("bad.qtl", "nowhere.qtl") for w in said if name in str(w.message)
    ] == [
        "bad.qtl",
        "nowhere.qtl",
    ]


def test_one_whose_symbols_are_wrong_costs_no_other_of_its_group(paths) -> None:
    """Its checksums are right, so that it is read together with others."""
    file = quantal.container.read(paths[0].read_bytes())
    wrong = quantal.container.write(file.header, [quantal.container.Part("image", bytes(60))])
    with pytest.warns(QuantalWarning, match="file 1 is left out"):
        found = read_many([paths[0].read_bytes(), wrong, paths[0]], on_error="skip")
    assert [each is None for each in found] == [False, True, False]


def test_impossible_arguments_are_errors_and_no_damage(paths) -> None:
    for single in (str(paths[0]), paths[0], paths[0].read_bytes()):
        with pytest.raises(ArgumentError, match="expected a list of files"):
            read_many(single)
    with pytest.raises(ArgumentError, match="device"):
        read_many(paths, device="tpu", on_error="skip")
    with pytest.raises(ArgumentError, match="file 0: int is no"):
        read_many([7], on_error="skip")
    assert read_many([]) == []


def test_the_room_can_be_called(paths) -> None:
    assert np.array_equal(quantal.latents(paths[0]).y_hat, read(paths[0]).y_hat)  # type: ignore[operator]
