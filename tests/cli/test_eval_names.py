"""File names of any bytes, as texts in tables, journals and pages."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import quantal as package
from quantal.eval.texts import as_text, distinct

GRID = "10,35,60,85"


def named(folder: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


@pytest.fixture
def odd(tmp_path: Path, photograph: Image.Image) -> Path:
    """Names that are not UTF-8, that collide once shown, that look like markup, of two lines."""
    folder = named(tmp_path, b"hol\xffday [b]")
    folder.mkdir()
    names = (b"caf\xe9.png", rb"caf\xe9.png", b"two\nlines.png", b"[bold] $x_{1 <b>.png")
    for i, name in enumerate(names):
        photograph.crop((20 * i, 10, 20 * i + 180, 180)).save(named(folder, name), "PNG")
    return folder


def texts_of(out: Path) -> list[str]:
    """Every text that was written, all of it UTF-8."""
    kinds = {".json", ".jsonl", ".csv", ".html", ".md", ".svg"}
    return [path.read_text("utf-8") for path in out.iterdir() if path.suffix in kinds]


def test_texts_are_distinct() -> None:
    raw = os.fsdecode(b"caf\xe9")
    assert distinct([raw, r"caf\xe9", "x", "x"]) == [r"caf\xe9 (2)", r"caf\xe9", "x", "x (2)"]
    assert as_text("\ud800") == r"\ud800"


def test_the_whole_of_rd(odd: Path, tmp_path: Path, quantal: Callable[..., Any]) -> None:
    named(odd, b"br\xf6ken.png").write_bytes(b"no picture")
    out = named(tmp_path, b"\xe9rgebnis")
    call = quantal(
        "eval", "rd", "--codecs", "jpeg,webp", "--data", odd, "--out", out, "--metrics", "psnr",
        "--qualities", GRID, "--jobs", "0",
    )  # fmt: skip
    assert call.status == 1
    assert r"br\xf6ken.png: " in call.err and r"hol\xffday [b], 5 pictures" in call.out
    expected = {
        r"caf\xe9.png", r"caf\xe9.png (2)", "two\nlines.png", "[bold] $x_{1 <b>.png",
        r"br\xf6ken.png",
    }  # fmt: skip
    with (out / "rows.csv").open(newline="", encoding="utf-8") as file:
        assert {row["picture"] for row in csv.DictReader(file)} == expected
    page = (out / "report.html").read_text("utf-8")
    assert r"caf\\xe9.png (2)" in page and "\\ud" not in page
    for text in texts_of(out):
        assert "\\udc" not in text  # a lone surrogate in JSON
    again = quantal(
        "eval", "rd", "--codecs", "jpeg,webp", "--data", odd, "--out", out, "--metrics", "psnr",
        "--qualities", GRID, "--jobs", "0", "--json", "--no-report",
    )  # fmt: skip
    assert again.document["data"] == r"hol\xffday [b]"
    assert len(again.document["codecs"]["jpeg"]["left_out"]) == 1


def test_a_codec_s_weights_and_published_curves(
    photo: Path, tmp_path: Path, quantal: Callable[..., Any]
) -> None:
    weights = named(tmp_path, b"gewicht\xe9.safetensors")
    weights.write_bytes(
        (Path(package.__file__).parent / "weights" / "hyperprior.safetensors").read_bytes()
    )
    curve = named(tmp_path, b"v\xf6tm $x.json")
    results = {"bpp": [0.2, 0.5, 1, 2], "psnr-rgb": [25, 30, 35, 40]}
    curve.write_text(json.dumps({"name": "\ud800", "results": results}))
    out = tmp_path / "out"
    call = quantal(
        "eval", "rd", "--codecs", f"hyperprior:weights={weights},jpeg", "--data", photo, "--out",
        out, "--reference", curve, "--metrics", "psnr", "--qualities", "10,50,80", "--jobs", "0",
        "--anchor", f"{curve.stem}", "--json",
    )  # fmt: skip
    assert call.status == 0, call.err
    assert call.document["anchor"] == r"published/v\xf6tm $x"
    assert any(r"gewicht\xe9.safetensors" in name for name in call.document["codecs"])
    assert all("\\udc" not in text for text in texts_of(out))


def test_a_table_of_codecs_is_asked_by_the_same_bytes(
    tmp_path: Path, quantal: Callable[..., Any]
) -> None:
    rows = tmp_path / "rows.csv"
    points = [(0.1, 28), (0.2, 31), (0.4, 34)]
    lines = [b"codec;bpp;psnr"]
    for name in (b"caf\xe9", b"tee"):
        lines += [name + f";{bpp};{psnr}".encode() for bpp, psnr in points]
    rows.write_bytes(b"\n".join(lines))
    for name in (os.fsdecode(b"caf\xe9"), r"caf\xe9"):
        words = ("eval", "bdrate", rows, rows, "--test-codec", name, "--anchor-codec", "tee")
        assert quantal(*words, "--json").document["bd_rate"] == pytest.approx(0)
    assert r"caf\xe9, tee" in quantal("eval", "bdrate", rows, rows).err
