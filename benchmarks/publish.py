"""Make docs/results anew, and the tables that README, codec pages and model cards quote of it.

Rate-distortion on two sets of pictures, with curves and costs.

    make benchmark KODAK=DIR CID22=DIR PUBLISHED=DIR PERCEPTUAL=DIR

KODAK: the 24 photographs as PNG. CID22: validation pictures of CID22, lossless. PUBLISHED: result
files of CompressAI for Kodak (its results/image/kodak). PERCEPTUAL: a folder with LPIPS' weights.
Measurements stay in --work, so that a stopped run continues, and packed beside the pages, so that a
codec of the same version is not measured again on the same pictures. Costs are measured separately,
by one process on a few pictures, and are meaningful only if the machine does nothing else.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from _quotes import quote
from _tables import delta, joined, rate_at
from rich.console import Console

from quantal.eval.bdrate import BD
from quantal.eval.codecs import codecs
from quantal.eval.provenance import Provenance, provenance
from quantal.eval.rd import JOURNAL, Plan, RDResult, find_pictures, measure_rd
from quantal.eval.report import write_report
from quantal.eval.rows import Row
from quantal.eval.summary import comparisons, document
from quantal.markdown import table

DOCS = Path(__file__).parents[1] / "docs" / "results"
LOSSLESS = ("png", "webp-lossless", "jxl-lossless")
CODECS = (
    "context-m",
    "context-m@eyes",
    "context-s",
    "hyperprior",
    "wavelet",
    "jpeg",
    "webp",
    "avif:speed=4",
    "jpeg2000",
    "jxl",
    "heic",
    "hevc:subsampling=4:4:4,bits=10",
    "av1",
    *LOSSLESS,
)
#: libaom takes two seconds a picture at this speed: fewer points.
QUALITIES = {"avif:speed=4": (1.0, 12.0, 24.0, 36.0, 48.0, 60.0, 72.0, 82.0, 90.0, 96.0)}
METRICS = ("psnr", "psnr-y", "ms-ssim", "lpips")
PUBLISHED = (
    "vtm",
    "bpg_444_x265_ycbcr",
    "compressai-bmshj2018-hyperprior_mse_cuda",
    "compressai-mbt2018-mean_mse_cuda",
    "compressai-cheng2020-anchor_mse_cuda",
)
ANCHORS = ("webp", "avif:speed=4", "hyperprior", "published/vtm")
DECIBELS = (26, 28, 30, 32, 34, 36, 38, 40, 42)
COST_PICTURES = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kodak", type=Path, required=True)
    parser.add_argument("--cid22", type=Path)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--perceptual", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--keep-costs", action="store_true", help="those of the last time")
    options = parser.parse_args()
    DOCS.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        codecs=CODECS,
        data=options.kodak,
        out=options.work / "kodak",
        metrics=METRICS if options.perceptual else METRICS[:-1],
        qualities=QUALITIES,
        references=tuple(options.published / f"{name}.json" for name in PUBLISHED)
        if options.published
        else (),
        anchor=ANCHORS[0],
        pareto=True,  # WebP's last two qualities are level by LPIPS
        weights=options.perceptual,
        jobs=options.jobs,
    )
    if not options.keep_costs:
        shutil.rmtree(options.work / "costs", ignore_errors=True)
    costs = _costs(plan, options.work)
    made = provenance()  # before the pages written here make the checkout differ from its commit
    results = {"kodak": publish("kodak", "Kodak", plan, costs, made)}
    if options.cid22:
        other = replace(plan, data=options.cid22, out=options.work / "cid22", references=())
        results["cid22"] = publish("cid22", "CID22", other, None, made)
    quote(results)


def _costs(plan: Plan, work: Path) -> RDResult:
    """Measure costs in one process on a few pictures, at every third quality."""
    folder = work / "costs-pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for picture in find_pictures(plan.data)[:COST_PICTURES]:
        shutil.copy(picture, folder)
    few = {c.label: c.qualities[1::3] or c.qualities for c in codecs(plan.codecs)}
    settings = {"metrics": ("psnr",), "references": (), "qualities": few, "jobs": 1}
    return measure_rd(replace(plan, data=folder, out=work / "costs", **settings), _progress)


def _progress(done: int, total: int, row: Row) -> None:
    if done % 100 == 0 or done == total:
        Console(stderr=True).print(f"{done} of {total}", highlight=False)


def publish(
    name: str, title: str, plan: Plan, costs: RDResult | None, made: Provenance
) -> RDResult:
    """Measure what is missing, and write NAME.md, NAME.svg, NAME.json and NAME.jsonl.gz."""
    journal, packed = plan.out / JOURNAL, DOCS / f"{name}.jsonl.gz"
    if packed.exists() and not journal.exists():
        plan.out.mkdir(parents=True, exist_ok=True)
        journal.write_bytes(gzip.decompress(packed.read_bytes()))
    result = replace(measure_rd(plan, _progress), provenance=made)
    packed.write_bytes(gzip.compress(journal.read_bytes(), mtime=0))
    deltas = comparisons(result)
    write_report(result, deltas, plan.out)
    shutil.copy(plan.out / "rd.svg", DOCS / f"{name}.svg")
    summary = document(result, deltas)
    for codec in summary["codecs"].values():
        for point in codec["points"]:
            for cost in ("encode_s", "decode_s", "encode_mb", "decode_mb"):
                point.pop(cost, None)  # taken while other processes ran: see the table of costs
    text = json.dumps(summary, indent=1) + "\n"
    (DOCS / f"{name}.json").write_text(text, encoding="utf-8")
    (DOCS / f"{name}.md").write_text(_page(name, title, result, costs), encoding="utf-8")
    return result


def _page(name: str, title: str, result: RDResult, costs: RDResult | None) -> str:
    made = result.provenance
    megapixels = {r.picture: r.width * r.height / 1e6 for r in result.rows if not r.error}
    parts = [
        f"# {title}: rate and distortion",
        f"{len(result.pictures)} pictures, {sum(megapixels.values()):.1f} megapixels; Quantal "
        f"{made.quantal}, commit {made.commit}, {made.date}; {made.machine}; {made.system}. Made "
        f"by `make benchmark`; every mean and interval is in [{name}.json]({name}.json), every "
        f"measurement in [{name}.jsonl.gz]({name}.jsonl.gz). "
        "[Measuring codecs](../how-to/evaluation.md) defines bytes and means, "
        "[Metrics](../reference/metrics.md) the metrics.",
        f"![Curves of all codecs]({name}.svg)",
        "## BD-rate",
        "Additional rate compared with the anchor at equal quality, negative is better; in "
        "brackets the 95 % interval over pictures. Points with more rate and less quality than "
        "another of the same codec are left out.",
        *(_bd_table(result, anchor) for anchor in ANCHORS if anchor in result.curves),
        "## Bits per pixel at equal PSNR-RGB",
        "Interpolated on each curve (pchip in log rate); empty outside its range.",
        _bpp_table(result),
        "## Lossless",
        table(
            ("codec", "bpp"),
            [(n, f"{result.curves[n].bpp[0]:.2f}") for n in LOSSLESS if n in result.curves],
        ),
    ]
    if costs:
        parts += [
            "## Cost",
            f"One process, one thread, {len(costs.pictures)} pictures of 768x512, means over "
            "every third quality; the encoders of `heic` and `av1` start threads of their own. "
            "Memory is the peak of a call above the memory of the process, without loaded weights.",
            _cost_table(costs),
        ]
    versions = [(sheet.codec, sheet.version) for sheet in result.sheets.values()]
    versions += [(n, c.source) for n, c in result.curves.items() if n not in result.sheets]
    parts += ["## Versions", table(("codec", "what"), versions, numbers=False)]
    if result.failures:
        head = ("codec", "picture", "quality", "reason")
        rows = [(r.codec, r.picture, f"{r.quality:g}", str(r.error)) for r in result.failures]
        parts += ["## Failures", table(head, rows, numbers=False)]
    return joined(parts)


def _bd_table(result: RDResult, anchor: str) -> str:
    """Return a table of every curve against an anchor, by every metric that both have."""
    metrics = [m for m in result.plan.metrics if m in result.curves[anchor].values]
    titles = {"psnr": "PSNR-RGB", "psnr-y": "PSNR-Y (601)", "ms-ssim": "MS-SSIM", "lpips": "LPIPS"}
    rows = []
    for name in result.curves:
        if name == anchor or name in LOSSLESS:
            continue
        found = [result.compare(name, anchor, metric, resamples=1000) for metric in metrics]
        rows.append((name, *map(delta, found), _range(found[0])))
    head = (f"versus `{anchor}`", *(titles[m] for m in metrics), "PSNR rests on, dB")
    return table(head, rows)


def _range(found: BD | str) -> str:
    return "" if isinstance(found, str) else f"{found.low:.1f} to {found.high:.1f}"


def _bpp_table(result: RDResult) -> str:
    rows = [
        (name, *(rate_at(curve, decibels) for decibels in DECIBELS))
        for name, curve in result.curves.items()
        if name not in LOSSLESS and "psnr" in curve.values
    ]
    return table(("codec", *(f"{d} dB" for d in DECIBELS)), rows)


def _cost_table(costs: RDResult) -> str:
    rows = []
    for name in costs.sheets:
        own = [r for r in costs.rows if r.codec == name and not r.error]
        megapixels = sum(r.width * r.height for r in own) / 1e6
        rows.append(
            (
                name,
                f"{sum(r.encode_s or 0 for r in own) / megapixels:.3f}",
                f"{sum(r.decode_s or 0 for r in own) / megapixels:.3f}",
                _most(r.encode_mb for r in own),
                _most(r.decode_mb for r in own),
            )
        )
    head = ("codec", "encode s/MP", "decode s/MP", "encode MB", "decode MB")
    return table(head, rows)


def _most(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{max(known):.0f}" if known else ""


if __name__ == "__main__":
    main()
