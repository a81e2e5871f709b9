"""Batches of about equal work, the largest pictures first."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantal import container
from quantal.engine.batches import batched, measured, pixels_of
from quantal.engine.places import Place
from quantal.engine.rows import Row


def rows_of(pixels: list[int]) -> list[Row]:
    return [Row(str(n), 1, "", str(n), pixels=each) for n, each in enumerate(pixels)]


@given(st.lists(st.integers(1, 10**9), max_size=400), st.integers(1, 8))
def test_every_row_is_in_one_batch_and_the_largest_come_first(pixels, workers) -> None:
    rows = rows_of(pixels)
    batches = batched(rows, workers)
    order = [row.pixels for batch in batches for row in batch.rows]
    assert order == sorted(pixels, reverse=True)
    assert len({row.path for batch in batches for row in batch.rows}) == len(rows)
    assert [batch.number for batch in batches] == list(range(len(batches)))
    assert all(len(batch.rows) <= 256 for batch in batches)


def test_small_work_is_shared_and_large_work_divided() -> None:
    assert len(batched(rows_of([1] * 640), 2)) == 32
    large = batched(rows_of([1 << 24] * 1000), 1)
    assert max(sum(row.pixels for row in batch.rows) for batch in large) <= 1 << 26


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_a_header_says_how_many_pixels(format, small_photograph) -> None:
    file = io.BytesIO()
    small_photograph.save(file, format)
    whole = format in ("TIFF", "WEBP")  # Pillow wants these to their ends
    beginning = file.getvalue() if whole else file.getvalue()[:1000]
    assert pixels_of(beginning) == 97 * 71


def test_a_qtl_file_says_it_too_and_others_do_not(qtl_header) -> None:
    assert pixels_of(qtl_header) == 640 * 480
    for data in (b"", b"no picture", b"\x89PNG\r\n\x1a\nbroken"):
        assert pixels_of(data) is None


@pytest.fixture
def qtl_header() -> bytes:
    header = container.Header("hyperprior", bytes(4), width=640, height=480, rate=100)
    return container.write(header, [container.Part("image", bytes(1000))])[:64]


def test_headers_beyond_a_bound_are_estimated_by_bytes(tmp_path: Path, small_photograph) -> None:
    rows = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        small_photograph.save(path)
        rows.append(Row(path.name, path.stat().st_size, "", ""))
    (tmp_path / "odd.jpg").write_bytes(b"no picture")
    rows.append(Row("odd.jpg", 10, "", ""))
    rows.append(Row("missing.jpg", 10, "", ""))
    found = measured(Place(str(tmp_path)), rows, headers=4)
    assert [row.pixels for row in found[:6]] == [97 * 71] * 6
    assert all(row.pixels > 0 for row in found[6:])
