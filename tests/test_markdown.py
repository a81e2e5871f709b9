"""Markdown tables: alignment, compact rules, and text that would break a table."""

from __future__ import annotations

from quantal.markdown import escape, table


def test_numbers_are_aligned_to_the_right() -> None:
    assert table(("codec", "bpp"), [("a", "1")]) == "| codec | bpp |\n| --- | ---: |\n| a | 1 |"


def test_text_is_aligned_to_the_left() -> None:
    found = table(("codec", "version"), [("a", "b")], numbers=False)
    assert found == "| codec | version |\n| --- | --- |\n| a | b |"


def test_a_compact_rule_has_no_spaces() -> None:
    assert table("ab", [], compact=True).splitlines()[1] == "|---|---:|"
    assert table("ab", [], numbers=False, compact=True).splitlines()[1] == "|---|---|"


def test_rows_may_be_any_iterable() -> None:
    assert table(("n",), ((str(n),) for n in range(2))).splitlines()[2:] == ["| 0 |", "| 1 |"]


def test_text_is_escaped_on_one_line() -> None:
    assert escape("a | b\n  c") == r"a \| b c"
