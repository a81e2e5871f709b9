"""Pictures at 0.01 to 0.1 bits per pixel: codecs of indices beside classical ones.

    python benchmarks/low_rate.py DATA --perceptual DIR [--name kodak] [--grid large]
                                [--metrics psnr,lpips] [--only 'CODEC;...']

DATA: a folder of lossless pictures. DIR: weights of LPIPS' AlexNet and of DISTS, see
docs/reference/metrics.md.
Classical codecs may also code the picture at 1/2 and 1/4 of its size and scale it up, which is how
they reach such rates. Every picture is compared at its own bytes: where a codec has no file so
small at any size, its smallest is taken, although it costs more. Measurements stay in --work and
packed beside docs/results/low-rate-NAME.md, which is rewritten.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _tables import joined
from rich.console import Console

from quantal.eval.curves import Sheet
from quantal.eval.provenance import provenance
from quantal.eval.rd import JOURNAL, Plan, RDResult, measure_rd
from quantal.eval.rows import Row
from quantal.markdown import table

DOCS = Path(__file__).parents[1] / "docs" / "results"
OURS = ("vq", "tokens")
METRICS = ("psnr", "lpips", "dists")
TITLES = {"psnr": "PSNR-RGB, dB", "lpips": "LPIPS", "dists": "DISTS"}
QUALITIES: dict[str, tuple[float, ...]] = {
    "vq": (1, 15, 29, 43, 57, 71, 85, 100),
    "tokens": (30, 50, 70, 85, 100),
    "context-m": (1, 8, 15, 22, 30),
    "avif:speed=4": (1, 8),
    "avif:speed=4,scale=2": (1, 20, 32),
    "avif:speed=4,scale=4": (1, 20, 40),
    "webp": (0,),
    "webp:scale=2": (0, 5, 20),
    "webp:scale=4": (0, 10, 40),
    "jxl:scale=2": (1, 10),
    "jxl:scale=4": (1, 30, 55),
}
#: Large pictures need fewer bits for each pixel.
LARGE: dict[str, tuple[float, ...]] = {
    "vq": (43, 71, 85, 100),
    "tokens": (100,),
    "context-m": (1, 12, 24),
    "avif:speed=4": (1, 12, 24),
    "avif:speed=4,scale=2": (1, 25),
    "avif:speed=4,scale=4": (60,),
    "webp": (0,),
    "webp:scale=2": (0, 25),
    "webp:scale=4": (50,),
    "jxl": (1,),
    "jxl:scale=2": (1, 20),
    "jxl:scale=4": (45,),
}
#: DISTS takes the better part of a minute for a large picture.
FEW: dict[str, tuple[float, ...]] = {
    "vq": (71, 100),
    "context-m": (1, 20),
    "avif:speed=4": (1, 24),
    "webp:scale=2": (15,),
    "jxl:scale=2": (15,),
}
GRIDS = {"usual": QUALITIES, "large": LARGE, "few": FEW}
#: Rates at which curves are read off.
RATES = (0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08)
#: Bits per pixel above which nothing is compared.
MOST = 0.1
_DRAWS = 2000

Array = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--perceptual", type=Path, required=True)
    parser.add_argument("--name", default="kodak")
    parser.add_argument("--only", help="measure these codecs alone, and write no page")
    parser.add_argument("--grid", choices=GRIDS, default="usual", help="qualities")
    parser.add_argument("--metrics", default=",".join(METRICS))
    parser.add_argument("--work", type=Path, default=Path("runs/low-rate"))
    parser.add_argument("--jobs", type=int)
    options = parser.parse_args()
    qualities, metrics = GRIDS[options.grid], tuple(options.metrics.split(","))
    asked = tuple(qualities) if options.only is None else tuple(options.only.split(";"))
    if unknown := set(asked) - set(qualities):
        parser.error(f"--only: {', '.join(sorted(unknown))}; there are {'; '.join(qualities)}")
    out = options.work / options.name
    journal, packed = out / JOURNAL, DOCS / f"low-rate-{options.name}.jsonl.gz"
    if packed.exists() and not journal.exists():
        out.mkdir(parents=True, exist_ok=True)
        journal.write_bytes(gzip.decompress(packed.read_bytes()))
    made = provenance()
    plan = Plan(
        codecs=asked,
        data=options.data,
        out=out,
        metrics=metrics,
        qualities={name: qualities[name] for name in asked},
        pareto=True,
        weights=options.perceptual,
        jobs=options.jobs,
        timeout=None,
    )
    result = measure_rd(plan, _progress)
    packed.write_bytes(gzip.compress(journal.read_bytes(), mtime=0))
    page = _page(result, metrics, options.name, f"{made.commit}, {made.date}; {made.machine}")
    if options.only is None:
        (DOCS / f"low-rate-{options.name}.md").write_text(page, encoding="utf-8")
    Console().print(page, markup=False, highlight=False)


def _progress(done: int, total: int, row: Row) -> None:
    if done % 50 == 0 or done == total:
        Console(stderr=True).print(f"{done} of {total}", highlight=False)


def _families(result: RDResult) -> dict[str, list[Sheet]]:
    """Return sheets by codec, with all of its scales together."""
    found: dict[str, list[Sheet]] = {}
    for name, sheet in result.sheets.items():
        found.setdefault(name.partition(":")[0], []).append(sheet)
    return found


def _better(metric: str, one: Array, other: Array) -> Array:
    found: Array = np.fmax(one, other) if metric == "psnr" else np.fmin(one, other)
    return found


def at_rate(sheets: Sequence[Sheet], picture: str, metric: str, bpp: Array) -> Array:
    """Return the best of a codec's scales for a picture at rates [n], between points in log rate.

    Above its largest file a scale counts with that file, which costs less. Below its smallest it
    does not count; below those of all scales the smallest of all counts, which costs more.
    """
    best = np.full(len(bpp), np.nan)
    smallest = (np.inf, np.nan)
    for sheet in sheets:
        row = sheet.pictures.index(picture)
        order = np.argsort(sheet.bpp[row])
        rate, value = sheet.bpp[row][order], sheet.values[metric][row][order]
        smallest = min(smallest, (float(rate[0]), float(value[0])))
        found = np.interp(np.log(bpp), np.log(rate), value, left=np.nan)
        best = _better(metric, best, found)
    return np.where(np.isnan(best), smallest[1], best)


def _best(metric: str, values: Array) -> float:
    return float(values.max() if metric == "psnr" else values.min())


@dataclass(frozen=True)
class Gain:
    """How much lower a distance is than that of another codec at each picture's own bytes.

    Attributes:
        percent: percentage of the other distance.
        low: lower end of the 95 % interval over pictures.
        high: upper end of it.
        wins: pictures on which it is lower.
    """

    percent: float
    low: float
    high: float
    wins: int


def gain(ours: Array, others: Array) -> Gain:
    """Return the gain of values [pictures]."""
    rng = np.random.default_rng(0)
    picks = rng.integers(len(ours), size=(_DRAWS, len(ours)))
    means = 100 * (ours[picks].mean(1) / others[picks].mean(1) - 1)
    low, high = np.percentile(means, (2.5, 97.5))
    percent = 100 * (ours.mean() / others.mean() - 1)
    return Gain(float(percent), float(low), float(high), int((ours < others).sum()))


def _page(result: RDResult, metrics: Sequence[str], name: str, made: str) -> str:
    families = _families(result)
    pictures = next(iter(result.sheets.values())).pictures
    classical = [family for family in families if family not in (*OURS, "context-m")]
    rates = np.array(RATES)
    parts = [
        f"# {name}: 0.01 to 0.1 bits per pixel",
        f"{len(pictures)} pictures; bytes of whole files; commit {made}. Made by "
        "`python benchmarks/low_rate.py`; every measurement is in "
        f"[low-rate-{name}.jsonl.gz](low-rate-{name}.jsonl.gz). AVIF, WebP and JPEG XL may code "
        "the picture at full, 1/2 or 1/4 size, whichever is best for each picture, rate and "
        "metric. A codec's largest file here stands for rates above it, its smallest for those "
        "below; – where even the mean of the smallest costs more. Each row of the measurements "
        "names the commit that it was made with.",
    ]
    for metric in metrics:
        rows = []
        for family, sheets in families.items():
            means = np.mean([at_rate(sheets, p, metric, rates) for p in pictures], 0)
            least = np.mean(
                [min(s.bpp[s.pictures.index(p)].min() for s in sheets) for p in pictures]
            )
            cells = [f"{v:.3f}" if metric != "psnr" else f"{v:.2f}" for v in means]
            shown = [c if r >= least * 0.97 else "–" for c, r in zip(cells, rates, strict=True)]
            rows.append((family, *shown))
        parts += [f"## {TITLES[metric]}", table(("codec", *(f"{r:g} bpp" for r in RATES)), rows)]
    for own in (o for o in OURS if o in families):
        parts += _gains(families, metrics, own, classical, pictures)
    return joined(parts)


def _gains(
    families: dict[str, list[Sheet]],
    metrics: Sequence[str],
    own: str,
    classical: Sequence[str],
    pictures: Sequence[str],
) -> Iterable[str]:
    """Yield tables of `own` at its own bytes beside the best of the others."""
    (sheet,) = families[own]
    others = {"best of " + ", ".join(classical): classical, "context-m": ["context-m"]}
    for title, names in others.items():
        names = [n for n in names if n in families]
        if not names:
            continue
        rows = []
        for column, quality in enumerate(sheet.quality):
            if sheet.bpp[:, column].mean() > MOST:
                continue  # the others have no files of such rates here
            cells = [f"{quality:g}", f"{sheet.bpp[:, column].mean():.4f}"]
            for metric in metrics:
                rate = sheet.bpp[:, column]
                ours = sheet.values[metric][:, column]
                best = []
                for place, picture in enumerate(pictures):
                    found = [
                        at_rate(families[n], picture, metric, rate[place : place + 1])
                        for n in names
                    ]
                    best.append(_best(metric, np.concatenate(found)))
                cells.append(_gain_cell(metric, ours, np.array(best)))
            rows.append(tuple(cells))
        head = ("quality", "bpp", *(TITLES[m] for m in metrics))
        yield (
            f"## `{own}` beside the {title} at equal bytes"
            if "best" in title
            else (f"## `{own}` beside `{title}` at equal bytes")
        )
        yield table(head, rows)


def _gain_cell(metric: str, ours: Array, others: Array) -> str:
    if metric == "psnr":
        return f"{ours.mean():.2f} ({(ours - others).mean():+.2f})"
    found = gain(ours, others)
    return (
        f"{ours.mean():.3f} ({found.percent:+.0f} %, {found.low:+.0f} to {found.high:+.0f}; "
        f"{found.wins} of {len(ours)})"
    )


if __name__ == "__main__":
    main()
