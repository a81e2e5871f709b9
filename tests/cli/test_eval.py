"""`quantal eval` as a person or a script calls it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

QUALITIES = ("--qualities", "10,35,60,85", "--jobs", "0", "--no-report")


@pytest.fixture
def pictures(tmp_path: Path, photograph: Image.Image) -> Path:
    folder = tmp_path / "holiday"
    folder.mkdir()
    photograph.crop((0, 0, 190, 170)).save(folder / "a.png")
    photograph.crop((190, 90, 380, 260)).save(folder / "b.png")
    return folder


def table(path: Path, points: list[tuple[Any, Any]], header: str = "bpp,psnr") -> Path:
    path.write_text("\n".join([header, *(f"{b},{q}" for b, q in points)]) + "\n")
    return path


ANCHOR = [(0.1, 28), (0.2, 31), (0.4, 34), (0.8, 37)]


def test_rd_keeps_its_contract(quantal: Callable[..., Any], pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = quantal(
        "eval", "rd", "--codecs", "hyperprior,webp", "--data", pictures, "--out", out,
        "--anchor", "webp", *QUALITIES, "--json",
    )  # fmt: skip
    assert call.status == 0
    found = call.document
    assert {"data", "images", "anchor", "codecs"} <= set(found)
    assert (found["data"], found["images"], found["anchor"]) == ("holiday", 2, "webp")
    point = found["codecs"]["hyperprior"]["points"][0]
    assert {"quality", "bpp", "psnr", "ms_ssim", "encode_s", "decode_s"} <= set(point)
    assert isinstance(found["codecs"]["hyperprior"]["bd_rate_psnr"], float)
    assert isinstance(found["codecs"]["hyperprior"]["bd_rate_ms_ssim"], float)
    assert found["codecs"]["webp"]["bd_rate_psnr"] is None
    assert json.loads((out / "results.json").read_text()) == found
    with (out / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 and (out / "rows.parquet").is_file()
    of_webp = [float(r["bpp"]) for r in rows if r["codec"] == "webp" and r["quality"] == "10.0"]
    assert found["codecs"]["webp"]["points"][0]["bpp"] == pytest.approx(sum(of_webp) / 2)


def test_rd_for_people(quantal: Callable[..., Any], pictures: Path, tmp_path: Path) -> None:
    words = ("eval", "rd", "--codecs", "jpeg,webp", "--data", pictures, "--out", tmp_path / "o")
    call = quantal(*words, *QUALITIES)
    assert call.status == 0
    assert "holiday, 2 pictures" in " ".join(call.out.split())
    assert "anchor" in call.out and "rows.csv" in call.out
    assert "measured 16 of 16" in call.err
    assert "measured" not in quantal(*words, *QUALITIES).err  # nothing was left to measure


def test_rd_says_what_failed_and_goes_on(
    quantal: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "c.png").write_bytes(b"no picture")
    call = quantal(
        "eval", "rd", "--codecs", "jpeg", "--data", pictures, "--out", tmp_path / "o", *QUALITIES
    )
    assert call.status == 1
    assert "c.png: " in call.err and "(jpeg at 10, 35, 60, 85)" in call.err
    assert "rows.csv" in call.out


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--codecs", "jpge"), 2, "did you mean 'jpeg'"),
        (("--codecs", ","), 2, "no codec was named"),
        (("--codecs", "jpeg,,webp"), 2, "has an empty item"),
        (("--codecs", "jpeg", "--metrics", "psnr,"), 2, "has an empty item"),
        (("--codecs", "jpeg", "--metrics", "psnrr"), 2, "did you mean 'psnr'"),
        (("--codecs", "jpeg", "--qualities", "high"), 2, "'high' are not [CODEC=]NUMBER"),
        (("--codecs", "jpeg", "--qualities", "5", "--qualities", "9"), 2, "are given twice"),
        (("--codecs", "jpeg", "--metrics", ","), 2, "no metric was named"),
        (("--codecs", "jpeg", "--anchor", "vtm"), 2, "with --codecs or --reference too"),
        (("--codecs", "jpeg", "--reference", "nowhere"), 1, "no published curves at nowhere"),
        (("--codecs", "jpeg", "--data", "nowhere"), 1, "there is no nowhere"),
    ],
)
def test_rd_with_wrong_input(
    quantal: Callable[..., Any],
    pictures: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    call = quantal("eval", "rd", "--data", pictures, "--out", tmp_path / "o", *options)
    assert (call.status, call.out) == (status, "")
    assert message in " ".join(call.err.split())


def test_bdrate_of_plain_tables(quantal: Callable[..., Any], tmp_path: Path) -> None:
    anchor = table(tmp_path / "anchor.csv", ANCHOR)
    test = table(tmp_path / "test.csv", [(b * 0.75, q) for b, q in ANCHOR])
    call = quantal("eval", "bdrate", test, anchor, "--json")
    assert call.status == 0
    assert call.document["bd_rate"] == pytest.approx(-25.0)
    assert call.document["range"] == [28.0, 37.0]
    assert (
        "BD-rate (PSNR-RGB, akima): -25.00 %"
        in quantal("eval", "bdrate", test, anchor, "--method", "akima").out
    )


def test_bdrate_of_our_own_tables(
    quantal: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    made = quantal(
        "eval", "rd", "--codecs", "webp,jpeg", "--data", pictures, "--out", out, *QUALITIES,
        "--json",
    )  # fmt: skip
    expected = made.document["codecs"]["jpeg"]["bd_rate_psnr"]
    rows = out / "rows.csv"
    unclear = quantal("eval", "bdrate", rows, rows)
    assert unclear.status == 2 and "holds several codecs: jpeg, webp" in unclear.err
    wrong = quantal("eval", "bdrate", rows, rows, "--test-codec", "jpge")
    assert wrong.status == 2 and "did you mean 'jpeg'" in wrong.err
    call = quantal(
        "eval", "bdrate", rows, out / "rows.parquet", "--test-codec", "jpeg", "--anchor-codec",
        "webp", "--json",
    )  # fmt: skip
    assert call.document["bd_rate"] == pytest.approx(expected)
    assert call.document["images"] == 2
    assert call.document["interval"] is None  # two pictures say nothing about others


@pytest.mark.parametrize(
    ("points", "header", "options", "status", "message"),
    [
        ([(0.5, 33)], "bpp,psnr", (), 1, "1 different points, expected at least 3"),
        ([(0.5, 33)] * 6, "bpp,psnr", (), 1, "1 different points"),
        ([*ANCHOR, (1.6, "nan")], "bpp,psnr", (), 1, "(1.6 bpp, nan)"),
        ([*ANCHOR, (1.6, 36)], "bpp,psnr", (), 1, "doesn't rise"),
        ([(0.1, 60), (0.2, 62), (0.4, 65)], "bpp,psnr", (), 1, "overlap too little"),
        (ANCHOR, "rate,psnr", (), 1, "beside `bpp`; its columns are rate, psnr"),
        (ANCHOR, "bpp,psnr", ("--metric", "ms-ssim"), 1, "column 'ms_ssim'"),
        (ANCHOR, "bpp,psnr", ("--metric", "msssim"), 2, "did you mean 'ms-ssim'"),
        ([(0.1, "good"), *ANCHOR[1:]], "bpp,psnr", (), 1, "something else than numbers"),
        ([], "bpp,psnr", (), 1, "has no rows"),
    ],
)
def test_bdrate_with_wrong_input(
    quantal: Callable[..., Any],
    tmp_path: Path,
    points: list[tuple[Any, Any]],
    header: str,
    options: tuple[str, ...],
    status: int,
    message: str,
) -> None:
    anchor = table(tmp_path / "anchor.csv", ANCHOR)
    test = table(tmp_path / "test.csv", points, header)
    call = quantal("eval", "bdrate", test, anchor, *options)
    assert (call.status, call.out) == (status, "")
    assert message in call.err


def test_bdrate_of_missing_files(quantal: Callable[..., Any], tmp_path: Path) -> None:
    anchor = table(tmp_path / "anchor.csv", ANCHOR)
    assert "there is no table" in quantal("eval", "bdrate", tmp_path / "x.csv", anchor).err
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    assert "is not a Parquet table" in quantal("eval", "bdrate", tmp_path / "x.parquet", anchor).err
    (tmp_path / "x.json").write_text("{}")
    call = quantal("eval", "bdrate", tmp_path / "x.json", anchor)
    assert call.status == 1 and "expected an object with `results`" in call.err


def test_bdrate_doubts_rates_of_another_unit(quantal: Callable[..., Any], tmp_path: Path) -> None:
    anchor = table(tmp_path / "anchor.csv", ANCHOR)
    test = table(tmp_path / "test.csv", [(b * 1000, q) for b, q in ANCHOR])
    call = quantal("eval", "bdrate", test, anchor)
    assert call.status == 0 and "+99900.00 %" in call.out
    assert "warning: the rates of the two curves don't overlap: 100 to 800 against" in call.err
    document = quantal("eval", "bdrate", test, anchor, "--json").document
    assert document["note"].endswith("are they in the same unit?")
    assert quantal("eval", "bdrate", anchor, anchor, "--json").document["note"] is None


def test_rd_doubts_a_published_curve_of_another_unit(
    quantal: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    curve = tmp_path / "vtm.json"
    results = {"bpp": [90, 200, 500, 2000], "psnr-rgb": [26, 30, 35, 40]}
    curve.write_text(json.dumps({"name": "VTM", "results": results}))
    out = tmp_path / "o"
    words = ("--codecs", "jpeg", "--data", pictures, "--out", out, "--reference", curve)
    call = quantal("eval", "rd", *words, "--metrics", "psnr", *QUALITIES[:4])
    assert call.status == 0
    assert "warning: BD-rate of published/vtm (psnr): the rates of the two curves" in call.err
    found = json.loads((out / "results.json").read_text())["codecs"]["published/vtm"]
    assert "same unit" in found["bd_rate_psnr_note"]
    assert "Doubtful:" in (out / "report.md").read_text()


def test_bdrate_of_a_table_with_a_blank_picture(
    quantal: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (90, 80), "white").save(pictures / "blank.png")
    rows = tmp_path / "out" / "rows.csv"
    made = quantal(
        "eval", "rd", "--codecs", "jpeg,webp", "--data", pictures, "--out", rows.parent,
        "--metrics", "psnr", *QUALITIES,
    )  # fmt: skip
    assert made.status == 0 and "blank.png" in made.err
    alone = quantal(
        "eval", "rd", "--codecs", "jpeg", "--data", pictures / "blank.png", "--out",
        rows.parent / "alone", "--metrics", "psnr", *QUALITIES[:4],
    )  # fmt: skip
    assert alone.status == 0 and (rows.parent / "alone" / "report.html").is_file()
    words = ("eval", "bdrate", rows, rows, "--test-codec", "jpeg", "--anchor-codec", "webp")
    call = quantal(*words, "--json")
    assert call.document["images"] == 2 and "blank.png" in call.document["note"]
    assert "warning: a picture that has an infinite PSNR-RGB" in quantal(*words).err
    other = quantal(*words, "--mean", "mse", "--json")
    assert other.document["images"] == 3 and other.document["note"] is None
