"""Hybrid pictures beside AVIF on screenshots, picture by picture: docs/results/screens.md.

    python benchmarks/screens.py FOLDER [--codec context-m] [--jobs N] [--work FOLDER]

AVIF (speed 4) is measured with chroma of half and of full size, and whichever is smaller at a
quality counts. Measurements stay in --work, so that a stopped run continues, and packed beside the
page.
"""

from __future__ import annotations

import argparse
import gzip
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _tables import joined
from scipy.interpolate import PchipInterpolator

from quantal.errors import EvaluationError
from quantal.eval.bdrate import bd
from quantal.eval.provenance import provenance
from quantal.eval.rd import JOURNAL, Plan, measure_rd
from quantal.eval.rows import Row
from quantal.markdown import table

DOCS = Path(__file__).parents[1] / "docs" / "results"
AVIF = ("avif:speed=4", "avif:speed=4,subsampling=4:4:4")
QUALITIES = (1.0, 16.0, 28.0, 38.0, 48.0)
OF_AVIF = (6.0, 14.0, 24.0, 36.0, 48.0, 60.0, 72.0, 82.0, 90.0)
#: Decibels that are compared.
LOW, HIGH = 30.0, 45.0

Array = npt.NDArray[np.float64]
#: PSNR-RGB [N], rising, and the logarithms of bytes [N]; where nothing is lost, PSNR is infinite.
Points = tuple[Array, Array]


def points(rows: Sequence[Row]) -> Points:
    """Return the points of a picture that cost less than all that show as much."""
    found: list[tuple[float, float]] = []
    # A measurement without a loss has no PSNR in JSON.
    shown = [(math.inf if (m := (r.metrics or {})["psnr"]) is None else m, r) for r in rows]
    for psnr, row in sorted(shown, key=lambda each: (-each[0], each[1].bytes)):
        assert row.bytes is not None
        if not found or math.log(row.bytes) < found[-1][1]:
            if found and found[-1][0] == psnr:
                continue
            found.append((psnr, math.log(row.bytes)))
    psnrs, logs = np.array(found[::-1]).T
    return psnrs, logs


def at_least(curve: Points, psnr: Array) -> Array:
    """Return the logarithms of the bytes that reach a PSNR.

    Below the lowest point it takes as much as there; above the last finite point the next one.
    """
    psnrs, logs = curve
    finite = np.isfinite(psnrs)
    known, own = psnrs[finite], logs[finite]
    if len(known) < 2:
        return logs[np.minimum(np.searchsorted(psnrs, psnr), len(logs) - 1)]
    drawn = PchipInterpolator(known, own)(np.clip(psnr, known[0], known[-1]))
    return np.where(psnr > known[-1], logs[-1], drawn)


def top(curve: Points) -> float:
    return float(curve[0][-1])


def strict(ours: Points, anchor: Points) -> float:
    """Return the mean difference of the bytes that reach 30..45 dB, in percent."""
    grid = np.linspace(LOW, min(HIGH, top(ours), top(anchor)), 301)
    return 100 * math.expm1(float((at_least(ours, grid) - at_least(anchor, grid)).mean()))


def common(ours: Points, anchor: Points) -> str:
    """Return BD-rate and the range that both have of 30..45 dB, or a dash."""
    cut = [_within(curve) for curve in (anchor, ours)]
    try:
        found = bd(*(part for logs, psnrs in cut for part in (np.exp(logs), psnrs)))
    except EvaluationError:
        return "–"
    return f"{found.percent:+.1f} % ({found.low:.1f} to {found.high:.1f})"


def _within(curve: Points) -> tuple[Array, Array]:
    """Return logarithms of bytes and PSNR within 30..45 dB, with points at the ends."""
    psnrs, logs = curve
    finite = np.isfinite(psnrs)
    psnrs, logs = psnrs[finite], logs[finite]
    if len(psnrs) < 2 or psnrs[0] > HIGH or psnrs[-1] < LOW:
        return logs[:0], psnrs[:0]
    ends = np.clip([LOW, HIGH], psnrs[0], psnrs[-1])
    inner = (psnrs > ends[0]) & (psnrs < ends[1])
    kept = np.concatenate([ends[:1], psnrs[inner], ends[1:]])
    if len(kept) == 2:  # a line
        kept = np.array([ends[0], ends.mean(), ends[1]])
    return PchipInterpolator(psnrs, logs)(kept), kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--codec", default="context-m")
    parser.add_argument("--work", type=Path, default=Path("runs/screens"))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--name", default="screens", help="of the page")
    given = parser.parse_args()
    journal, packed = given.work / JOURNAL, DOCS / f"{given.name}.jsonl.gz"
    if packed.exists() and not journal.exists():
        given.work.mkdir(parents=True, exist_ok=True)
        journal.write_bytes(gzip.decompress(packed.read_bytes()))
    plan = Plan(
        codecs=(given.codec, *AVIF),
        data=given.folder,
        out=given.work,
        metrics=("psnr",),
        qualities={given.codec: QUALITIES, **dict.fromkeys(AVIF, OF_AVIF)},
        pareto=True,
        jobs=given.jobs,
        timeout=None,
    )
    made = provenance()
    result = measure_rd(plan, lambda done, total, _: print(done, "of", total, flush=True))
    if result.failures:
        raise SystemExit("; ".join(f"{row.picture}: {row.error}" for row in result.failures))
    packed.write_bytes(gzip.compress(journal.read_bytes(), mtime=0))
    labels = list(dict.fromkeys(row.codec for row in result.rows))
    rows, curves, mean = [], [], []
    for picture in dict.fromkeys(row.picture for row in result.rows):
        own = [row for row in result.rows if row.picture == picture]
        ours = points([row for row in own if row.codec == labels[0]])
        anchor = points([row for row in own if row.codec != labels[0]])
        mean.append(strict(ours, anchor))
        rows.append(
            (
                picture.rpartition(".")[0],
                f"{own[0].width}x{own[0].height}",
                f"{mean[-1]:+.1f} %",
                common(ours, anchor),
            )
        )
        curves += [
            (picture.rpartition(".")[0], f"{row.quality:g}", f"{row.bytes:,}", _psnr(row), _s(row))
            for row in own
            if row.codec == labels[0]
        ]
    rows.append(("mean", "", f"{sum(mean) / len(mean):+.1f} %", ""))
    head = ("picture", "pixels", "bytes, 30 to 45 dB", "BD-rate in the common range (dB)")
    parts = [
        f"# Screens: `{given.codec}` beside AVIF",
        f"{len(rows) - 1} pictures; Quantal {made.quantal}, commit {made.commit}, {made.date}; "
        f"{made.machine}. Made by `python benchmarks/screens.py FOLDER`; every measurement is in "
        f"[{given.name}.jsonl.gz]({given.name}.jsonl.gz). AVIF is Pillow's at speed 4, with "
        "chroma of half or of full size, whichever is smaller at a quality. Whole files, decoded "
        "again; PSNR-RGB.",
        "The column of bytes compares the bytes for equal quality, averaged in the logarithm over "
        "30 to 45 dB: if the lowest quality of a codec exceeds the target, that file counts. "
        "BD-rate covers the range of both curves, and is missing where one codec is lossless at "
        "every quality. Negative is better.",
        table(head, rows),
        "## Measurements",
        table(("picture", "quality", "bytes", "PSNR-RGB, dB", "encode / decode, s"), curves),
    ]
    page = joined(parts)
    (DOCS / f"{given.name}.md").write_text(page, encoding="utf-8")
    print(table(head, rows))


def _psnr(row: Row) -> str:
    psnr = (row.metrics or {})["psnr"]
    return "no loss" if psnr is None or math.isinf(psnr) else f"{psnr:.2f}"


def _s(row: Row) -> str:
    return f"{row.encode_s:.0f} / {row.decode_s:.0f}"


if __name__ == "__main__":
    main()
