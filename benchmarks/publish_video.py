"""Make docs/results/video.md anew, with its curves and measurements.

    python benchmarks/publish_video.py --clips DIR [--work runs/benchmark/video] [--jobs N]
                                       [--codecs A,B,...] [--frames 32]

DIR: a folder of clips; those of 8 bits and even sides are measured. Codecs of ours are those whose
weights are here. Measurements stay in --work, so that a stopped run continues, and packed beside
the page, so that a codec of the same version is not measured again on the same clips. Then
--work/report.html is the page with the curves over frames and the player.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
from _tables import delta, joined
from rich.console import Console

from quantal.codecs import available
from quantal.errors import EvaluationError
from quantal.eval.bdrate import compare
from quantal.eval.codecs import split_specs
from quantal.eval.pictures import look_over
from quantal.eval.provenance import Provenance, provenance
from quantal.eval.rd import JOURNAL, Plan, RDResult, measure_rd
from quantal.eval.report import write_report
from quantal.eval.rows import Row
from quantal.eval.summary import comparisons, document
from quantal.markdown import table

DOCS = Path(__file__).parents[1] / "docs" / "results"
ANCHORS = ("x265", "x264")
CLASSICAL = (
    *ANCHORS,
    "svtav1",
    "vp9",
    "x265:structure=random-access",
    "svtav1:structure=random-access",
    "x265:intra=1",
)
QUALITIES = {
    "x265:intra=1": (11.0, 16.0, 21.0, 26.0),
    "x265:structure=random-access": (16.0, 21.0, 26.0, 31.0),
}
#: Of our codecs: about the PSNR of the others.
OWN_QUALITIES = (20.0, 38.0, 56.0, 74.0)
#: One of ours with every frame by itself.
ALL_INTRA = "video-s:intra=1"
#: What motion brings, and what prediction without it does.
PAIRS = (("video-s", "video-s-still"), ("video-s-still", ALL_INTRA))
METRICS = {"psnr": "PSNR-RGB", "psnr-yuv": "PSNR-YUV 6:1:1", "ms-ssim": "MS-SSIM"}
SETTINGS = (
    ("`x264`", "preset medium, tune psnr,zerolatency, sc_threshold 0, qp 37 32 27 22"),
    (
        "`x265`",
        "preset medium, tune psnr, bframes 0, rc-lookahead 0, scenecut 0, psy-rd 0, psy-rdoq 0, "
        "aq-mode 0, cutree 0, qp 37 32 27 22",
    ),
    (
        "`svtav1`",
        "preset 8, pred-struct 1, lookahead 0, scd 0, tune 1, enable-tf 0, crf 57 47 36 24",
    ),
    (
        "`vp9`",
        "deadline good, cpu-used 3, lag-in-frames 0, auto-alt-ref 0, row-mt, crf 56 46 34 20",
    ),
    (
        "`x265:structure=random-access`",
        "preset medium, tune psnr, B frames and look-ahead as x265 has them, crf 35 30 25 20",
    ),
    ("`svtav1:structure=random-access`", "preset 8, tune 1, crf 57 47 36 24"),
    ("`x265:intra=1`", "as `x265`, every frame by itself, qp 40 35 30 25"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/benchmark/video"))
    parser.add_argument("--codecs", help=f"of ours; all with weights and {ALL_INTRA} if not given")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--jobs", type=int)
    options = parser.parse_args()
    with_weights = (info.name for info in available() if info.media == "video" and info.weights)
    ours = tuple(split_specs(options.codecs) if options.codecs else (*with_weights, ALL_INTRA))
    plan = Plan(
        codecs=(*CLASSICAL, *ours),
        data=chosen(options.clips, options.work / "clips"),
        out=options.work / "out",
        metrics=tuple(METRICS),
        qualities=QUALITIES | dict.fromkeys(ours, OWN_QUALITIES),
        anchor=ANCHORS[0],
        pareto=True,
        frames=options.frames,
        jobs=options.jobs,
        timeout=None,
    )
    publish(plan)


def chosen(clips: Path, folder: Path) -> Path:
    """Return a folder with copies of the clips of 8 bits and even sides."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in look_over(clips, "video").pictures:
        with av.open(str(path)) as file:
            context = file.streams.video[0].codec_context
            bits = max(component.bits for component in context.format.components)
            even = context.width % 2 == context.height % 2 == 0
        if bits == 8 and even and not (folder / path.name).exists():
            shutil.copy(path, folder)
    return folder


def publish(plan: Plan) -> None:
    """Measure what is missing, and write video.md, video.svg, video.json and video.jsonl.gz."""
    journal, packed = plan.out / JOURNAL, DOCS / "video.jsonl.gz"
    if packed.exists() and not journal.exists():
        plan.out.mkdir(parents=True, exist_ok=True)
        journal.write_bytes(gzip.decompress(packed.read_bytes()))
    made = provenance()  # before the pages written here make the checkout differ from its commit
    result = replace(measure_rd(plan, _progress), provenance=made)
    packed.write_bytes(gzip.compress(journal.read_bytes(), mtime=0))
    deltas = comparisons(result)
    write_report(result, deltas, plan.out)
    shutil.copy(plan.out / "rd.svg", DOCS / "video.svg")
    summary = document(result, deltas)
    for codec in summary["codecs"].values():
        for point in codec["points"]:
            for cost in ("encode_s", "decode_s"):
                point.pop(cost, None)  # taken while other processes ran: see benchmarks/video.py
    (DOCS / "video.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (DOCS / "video.md").write_text(_page(result, made), encoding="utf-8")


def _progress(done: int, total: int, row: Row) -> None:
    if done % 20 == 0 or done == total:
        Console(stderr=True).print(f"{done} of {total}", highlight=False)


def _page(result: RDResult, made: Provenance) -> str:
    anchors = [anchor for anchor in ANCHORS if anchor in result.curves]
    parts = [
        "# Video: rate and distortion",
        f"{len(result.pictures)} clips of 8 bits, the first {result.plan.frames} frames of each; "
        f"Quantal {made.quantal}, commit {made.commit}, {made.date}; {made.machine}; "
        f"{made.system}. Made by `benchmarks/publish_video.py`; every mean is in "
        "[video.json](video.json), every measurement, frame by frame, in "
        "[video.jsonl.gz](video.jsonl.gz). [Measuring codecs](../how-to/evaluation.md#clips) "
        "defines bits and means.",
        "![Curves of all codecs](video.svg)",
        "One intra frame per clip for all codecs but those with `intra=1`. " + _delay(result),
        *(part for anchor in anchors for part in _against(result, anchor)),
        *(part for anchor in anchors for part in _by_clip(result, anchor)),
        *_pairs(result),
        "## Means over the clips",
        "Bits per pixel and mean quality at each measured quality; `first` is the intra frame's "
        "part of the bytes.",
        _points(result),
        "## Settings",
        "Of the encoders, through PyAV, on one thread, yuv420p in and out; each quality is 51 or "
        "63 minus the quantiser.",
        table(("codec", "settings"), SETTINGS, numbers=False),
        "## Versions",
        table(
            ("codec", "what"),
            [(sheet.codec, sheet.version) for sheet in result.sheets.values()],
            numbers=False,
        ),
    ]
    if result.failures:
        head = ("codec", "clip", "quality", "reason")
        rows = [(r.codec, r.picture, f"{r.quality:g}", str(r.error)) for r in result.failures]
        parts += ["## Failures", table(head, rows, numbers=False)]
    return joined(parts)


def _delay(result: RDResult) -> str:
    if not any("random-access" in name for name in result.sheets):
        return "All have low delay."
    return (
        "The first table has low delay except for the rows named `random-access`, whose frames "
        "wait for later ones: compare those with each other."
    )


def of_clips(result: RDResult, test: str, anchor: str, metric: str) -> dict[str, float | None]:
    """Return clip -> BD-rate in percent of a codec against another; None where there is none."""
    found: dict[str, float | None] = {}
    for clip in result.names:
        sides = (result.sheets[test], result.sheets[anchor])
        try:
            one, other = (side.only([clip]) for side in sides)
            found[clip] = compare(one, other, metric, pareto=True, resamples=0).percent
        except (EvaluationError, KeyError):  # no common quality; a clip that failed
            found[clip] = None
    return found


def _against(result: RDResult, anchor: str) -> Iterator[str]:
    yield f"## BD-rate against `{anchor}`"
    yield (
        "Rate needed more at equal quality, in percent, negative is better: means over clips of "
        "each clip's own BD-rate (pchip of log rate over quality), by PSNR-RGB also the median, "
        "the least and the most. The last column is the BD-rate of the mean curves."
    )
    rows = []
    for name in result.sheets:
        if name == anchor:
            continue
        by_metric = [of_clips(result, name, anchor, metric) for metric in METRICS]
        known = [[v for v in own.values() if v is not None] for own in by_metric]
        means = [f"{statistics.fmean(own):+.1f}" if own else "–" for own in known]
        spread = [f"{f(known[0]):+.1f}" if known[0] else "–" for f in (statistics.median, min, max)]
        whole = result.compare(name, anchor, "psnr")
        rows.append((f"`{name}`", means[0], *spread, *means[1:], delta(whole)))
    titles = list(METRICS.values())
    yield table(
        ("codec", titles[0], "median", "least", "most", *titles[1:], f"mean curves, {titles[0]}"),
        rows,
    )


def _by_clip(result: RDResult, anchor: str) -> Iterator[str]:
    yield f"## Each clip against `{anchor}`, PSNR-RGB"
    names = [name for name in result.sheets if name != anchor]
    found = [of_clips(result, name, anchor, "psnr") for name in names]
    rows = [
        (clip, *("–" if own[clip] is None else f"{own[clip]:+.1f}" for own in found))
        for clip in result.names
    ]
    yield table(("clip", *(f"`{name}`" for name in names)), rows)


def _pairs(result: RDResult) -> Iterator[str]:
    pairs = [pair for pair in PAIRS if set(pair) <= set(result.sheets)]
    if not pairs:
        return
    yield "## Prediction with and without motion, PSNR-RGB"
    found = [of_clips(result, *pair, "psnr") for pair in pairs]
    rows = [
        (clip, *("–" if own[clip] is None else f"{own[clip]:+.1f}" for own in found))
        for clip in result.names
    ]
    yield table(("clip", *(f"`{one}` versus `{other}`" for one, other in pairs)), rows)


def _points(result: RDResult) -> str:
    rows = []
    for name, curve in result.curves.items():
        for i, quality in enumerate(curve.quality):
            own = [r for r in result.rows if (r.codec, r.quality) == (name, quality) and r.series]
            first = statistics.fmean(r.series["bytes"][0] / r.bytes for r in own)  # type: ignore[index, operator]
            values = (curve.values[metric][i] for metric in METRICS)
            shown = [f"{v:.4f}" if v < 2 else f"{v:.2f}" for v in values]
            rows.append(
                (f"`{name}`", f"{quality:g}", f"{curve.bpp[i]:.4f}", *shown, f"{100 * first:.0f} %")
            )
    return table(("codec", "quality", "bpp", *METRICS.values(), "first"), rows)


if __name__ == "__main__":
    main()
