"""Measure docs/results/perception.md anew.

Four tasks, six data sets, the same four codecs; and one of the sets once more at rates below 0.1
bits per pixel, with the codecs that reach them.

    python benchmarks/perception.py --labelled DIR --models DIR --recogniser FILE
                                    [--perceptual DIR] [--work DIR] [--jobs N] [NAME ...]

--labelled: folders imagenette/val, imagenet_1_per_class, voc_boxes_100, camvid and receipts.
--models: mobilenet_v2-b0353104.pth, mobilenet_v2_1.0_224_quant.tflite with imagenet_labels.txt,
yolox_nano.onnx, and DeepLab's TFLite file. --recogniser: ch_PP-OCRv4_rec_infer.onnx. Measurements
stay in --work, so that a stopped run continues. Written are the sections of the page between its
marks, the plots and the tables of points, but not the text around them.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quantal.eval.perception import Plan, Result, evaluate
from quantal.eval.perception.tables import Table, tables
from quantal.markdown import table

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "results"
SETTINGS = ROOT / "examples" / "perception"
CODECS = ("hyperprior", "jpeg", "webp", "avif:speed=6")
QUALITIES = {
    "hyperprior": (1.0, 10.0, 20.0, 35.0, 50.0, 70.0),
    "jpeg": (3.0, 8.0, 15.0, 30.0, 50.0, 75.0),
    "webp": (0.0, 5.0, 15.0, 35.0, 60.0, 80.0),
    "avif": (5.0, 15.0, 25.0, 40.0, 55.0, 70.0),
}
#: Where accuracy is lost early, the rates have to reach further.
HIGHER = {
    "hyperprior": (10.0, 20.0, 35.0, 50.0, 70.0, 85.0, 100.0),
    "jpeg": (8.0, 15.0, 30.0, 50.0, 75.0, 90.0, 96.0),
    "webp": (0.0, 5.0, 15.0, 35.0, 60.0, 80.0, 95.0),
    "avif": (15.0, 25.0, 40.0, 55.0, 70.0, 82.0, 92.0),
}
#: Below 0.1 bits per pixel; classical codecs may code a smaller picture.
LOW = {
    "vq": (1.0, 35.0, 70.0, 100.0),
    "tokens": (75.0, 100.0),
    "context-m": (1.0, 12.0),
    "avif:speed=6": (1.0,),
    "avif:speed=6,scale=2": (1.0, 20.0),
    "avif:speed=6,scale=4": (20.0, 50.0),
    "webp:scale=2": (0.0,),
    "webp:scale=4": (10.0, 50.0),
}
PRECISIONS = ("float32", "bfloat16", "int8")
#: Tables made of curves, not of points.
CURVES = (
    "Where points are lost",
    "Lost at equal bytes",
    "Correlation with metrics",
    "BD-rate by top-1 accuracy",
    "Failures",
)
MOBILENET = "mobilenet_v2-b0353104.pth"


@dataclass(frozen=True)
class Experiment:
    """A model on a data set; paths from the folders of the call, names of example settings."""

    task: str
    data: str
    model: str
    weights: str | None = None
    preprocess: str | None = None
    labels: str | None = None
    limit: int | None = None
    precisions: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("psnr", "ms-ssim", "lpips")
    codecs: tuple[str, ...] = CODECS
    qualities: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: QUALITIES)
    hidden: tuple[str, ...] = ("Every point", "Failures")


EXPERIMENTS = {
    "imagenette": Experiment(
        "classify",
        "imagenette/val",
        "mobilenet_v2",
        weights=MOBILENET,
        labels="imagenette_classes.json",
        limit=150,
        precisions=PRECISIONS,
    ),
    "imagenette-tflite": Experiment(
        "classify",
        "imagenette/val",
        "mobilenet_v2_1.0_224_quant.tflite",
        preprocess="mobilenet_v2_tflite.json",
        labels="imagenette_classes.json",
        limit=150,
        metrics=("psnr",),
    ),
    "imagenet": Experiment("classify", "imagenet_1_per_class", "mobilenet_v2", weights=MOBILENET),
    "imagenet-low": Experiment(
        "classify",
        "imagenet_1_per_class",
        "mobilenet_v2",
        weights=MOBILENET,
        metrics=("psnr",),
        codecs=tuple(LOW),
        qualities=LOW,
        # Few points each: the points themselves are enough.
        hidden=CURVES,
    ),
    "voc": Experiment(
        "detect",
        "voc_boxes_100/gts/coco_format_v1/instances_default.json",
        "yolox_nano.onnx",
        preprocess="yolox_nano.json",
        labels="voc_classes.json",
    ),
    "camvid": Experiment(
        "segment",
        "camvid",
        "deeplab_mobilenet_edgetpu_slim_cityscapes_quant.tflite",
        preprocess="deeplab_cityscapes.json",
        labels="camvid_classes.json",
        qualities=HIGHER,
    ),
    "receipts": Experiment(
        "read",
        "receipts",
        "ch_PP-OCRv4_rec_infer.onnx",
        preprocess="ppocr_line.json",
        limit=8,
        metrics=("psnr", "ms-ssim"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--recogniser", type=Path, required=True)
    parser.add_argument("--perceptual", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/perception"))
    parser.add_argument("--jobs", type=int)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    options = parser.parse_args()
    names = options.names or list(EXPERIMENTS)
    # Everything is measured before anything is written: results name a commit without changes.
    results = {n: evaluate(_plan(n, EXPERIMENTS[n], options), _progress) for n in names}
    for name, found in results.items():
        for suffix in ("svg", "csv"):
            target = DOCS / f"perception-{name}.{suffix}"
            shutil.copy(found.plan.out / f"perception.{suffix}", target)
        _publish(name, _section(name, EXPERIMENTS[name], found))


def _plan(name: str, one: Experiment, options: argparse.Namespace) -> Plan:
    out = options.work / name
    out.mkdir(parents=True, exist_ok=True)
    model = one.model
    if one.task == "read":
        model = str(options.recogniser)
    elif one.preprocess:
        model = str(options.models / one.model)
    preprocess = SETTINGS / one.preprocess if one.preprocess else None
    if one.preprocess == "mobilenet_v2_tflite.json":  # it names a file that comes with the model
        for path in (SETTINGS / one.preprocess, options.models / "imagenet_labels.txt"):
            shutil.copy(path, out)
        preprocess = out / one.preprocess
    metrics = [m for m in one.metrics if m != "lpips" or options.perceptual]
    return Plan(
        codecs=one.codecs,
        data=options.labelled / one.data,
        task=one.task,
        model=model,
        out=out,
        qualities=one.qualities,
        weights=options.models / one.weights if one.weights else None,
        preprocess=preprocess,
        labels=SETTINGS / one.labels if one.labels else None,
        limit=one.limit,
        jobs=options.jobs,
        metrics=metrics,
        metric_weights=options.perceptual,
        precisions=one.precisions,
    )


def _progress(done: int, of: int) -> None:
    if done % 100 == 0 or done == of:
        print(f"{done} of {of}", flush=True)


def _section(name: str, one: Experiment, found: Result) -> str:
    made = found.provenance
    shown = [t for t in tables(found) if t.title not in one.hidden]
    failed = len(found.study.failures)
    parts = [
        f"{len(found.study.dataset.samples)} pictures, model "
        f"{found.study.models[found.precision].label}; Quantal {made.quantal}, commit "
        f"{made.commit}, {made.date}, {made.machine}. "
        + (f"{failed} answers are missing. " if failed else "No failures. ")
        + f"Every point: [perception-{name}.csv](perception-{name}.csv).",
        f"```\n{_command(one, found.plan)}\n```",
        f"![Score over rate and over PSNR](perception-{name}.svg)",
        *map(_subsection, shown),
    ]
    return "\n\n".join(parts)


def _command(one: Experiment, plan: Plan) -> str:
    """Return the equivalent command, with the names of files but not their folders."""
    words = [
        "quantal eval perception",
        f"--codecs {','.join(plan.codecs)}",
        f"--task {one.task}",
        f"--data {one.data}",
        f"--model {one.model}",
    ]
    for option in ("weights", "preprocess", "labels", "limit"):
        value = getattr(one, option)
        if value is not None:
            words.append(f"--{option} {value}")
    if one.precisions:
        words.append(f"--precision {','.join(one.precisions)}")
    words.append(f"--metrics {','.join(plan.metrics)}")
    for codec, values in plan.qualities.items():
        words.append(f"--qualities {codec}={','.join(f'{value:g}' for value in values)}")
    return " \\\n    ".join([*words, "--out result"])


def _subsection(one: Table) -> str:
    return f"### {one.title}\n\n{one.note}\n\n{table(one.head, one.rows)}"


def _publish(name: str, text: str) -> None:
    """Put a section between its marks on the page; at its end if there are none."""
    page = DOCS / "perception.md"
    before = page.read_text(encoding="utf-8")
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(before):
        before += f"\n## {name}\n\n{begin}\n{end}\n"
    after = pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", before)
    page.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
