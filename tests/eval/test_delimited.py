"""Tables as people write them are read right, or what was found is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantal.errors import EvaluationError
from quantal.eval.bdrate import bd
from quantal.eval.rows import read_table
from quantal.eval.sides import read_side

BPP, PSNR = (0.25, 0.5, 1.0, 2.0), (31.2, 34.0, 37.5, 40.0)
POINTS = "0.25,31.2\n0.5,34.0\n1,37.5\n2,4e1\n"
COMMAS = POINTS.replace(",", ";").replace(".", ",")

TABLES = {
    "plain": b"bpp,psnr\n" + POINTS.encode(),
    "spaces": b" bpp , psnr \n" + POINTS.replace(",", " ,  ").encode(),
    "upper case": b"BPP,Psnr\n" + POINTS.encode(),
    "semicolons": b"bpp; psnr\n" + POINTS.replace(",", ";").encode(),
    "decimal commas": b"bpp;psnr\n" + COMMAS.encode(),
    "tabs": b"bpp\tpsnr\n" + COMMAS.replace(";", "\t").encode(),
    "blanks": b"bpp   psnr\n" + POINTS.replace(",", "   ").encode(),
    "numpy": b"# bpp psnr\n" + POINTS.replace(",", " ").encode(),
    "byte order mark": b"\xef\xbb\xbfbpp,psnr\n" + POINTS.encode(),
    "UTF-16": ("bpp;psnr\n" + COMMAS).encode("utf-16"),
    "CRLF": b"bpp,psnr\r\n" + POINTS.replace("\n", "\r\n").encode() + b"\r\n",
    "CR": b"bpp,psnr\r" + POINTS.replace("\n", "\r").encode(),
    "quotes": b'"bpp";"psnr"\n' + COMMAS.replace("0,25", '"0,25"').encode(),
    "Excel's line": b"sep=;\r\nbpp;psnr\r\n" + COMMAS.encode(),
    "Excel's empty cells": b"bpp;psnr;;\n" + COMMAS.replace("\n", ";;\n").encode() + b";;;\n",
    "Latin-1": b"name;bpp;psnr\n"
    + b"".join(b"caf\xe9;" + line for line in COMMAS.encode().splitlines(keepends=True)),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_points(tmp_path: Path, name: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(TABLES[name])
    curve = read_side(path)
    assert curve.bpp == BPP and curve.values["psnr"] == PSNR


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"bpp,psnr\n0,25,31,2\n", "line 2 has 4 fields, expected 2: bpp, psnr; decimal commas"),
        (b"bpp;psnr\n0.25;31;2\n", "line 2 has 3 fields, expected 2: bpp, psnr$"),
        (b"bpp,psnr\n0.25\n", "line 2 has 1 fields, expected 2"),
        (b"bpp,psnr\n0.25,about 31\n", "psnr holds something else than numbers: 'about 31'"),
        (b"bpp;psnr\n1.000,5;31\n", "bpp holds something else than numbers: '1.000,5'"),
        (b"kbps,psnr\n120,31\n", "its columns are kbps, psnr"),
        (b"bpp,psnr,BPP\n1,2,3\n", "has the column 'bpp' twice"),
        (b'bpp,psnr\n"0.25,31\n', "no values|not a CSV table|fields"),
        (b"\x89PNG\0\0", "is not a CSV table"),
        (b"", "has no rows"),
        (b"\n\n", "has no rows"),
    ],
)
def test_what_is_no_table_of_points(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=message):
        read_side(path)


def test_texts_stay_texts(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('codec,picture,bpp\nx,"01",1\n"a ""b"", c","two\nlines",2\n')
    assert read_table(path) == [
        {"codec": "x", "picture": "01", "bpp": 1.0},
        {"codec": 'a "b", c', "picture": "two\nlines", "bpp": 2.0},
    ]


def test_rates_that_do_not_overlap_are_doubtful() -> None:
    assert bd(BPP, PSNR, BPP, PSNR).note == ""
    assert bd(BPP, PSNR, [b * 8 for b in BPP], PSNR).note == ""  # they touch
    found = bd(BPP, PSNR, [b * 480 for b in BPP], PSNR)
    assert found.percent == pytest.approx(47900)
    assert found.note == (
        "the rates of the two curves don't overlap: 120 to 960 against 0.25 to 2 of the anchor; "
        "are they in the same unit?"
    )
