"""A small measurement with all cases that a report has to show, and its report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quantal.eval import bdrate, summary
from quantal.eval.bdrate import BD
from quantal.eval.classical.still import WebP
from quantal.eval.rd import Plan, RDResult, measure_rd
from quantal.eval.report import write_report
from tests.moving import write_clip

PUBLISHED = {
    "name": "made-up <b>",
    "results": {"bpp": [0.5, 1.0, 1.8, 2.6], "psnr-rgb": [28.0, 32.0, 36.0, 39.0]},
}
QUALITIES = (10.0, 30.0, 50.0, 70.0, 90.0)
CLIP_CODECS = ("x264:preset=veryfast", "vp9:speed=5")
HOSTILE = "<img src=x onerror=alert(1)>.png"


@dataclass(frozen=True)
class Report:
    """A result with what was written of it."""

    result: RDResult
    deltas: dict[str, dict[str, BD | str]]
    folder: Path

    @property
    def html(self) -> Path:
        return self.folder / "report.html"


def deltas_of(result: RDResult) -> dict[str, dict[str, BD | str]]:
    """As quantal.eval.summary.comparisons, but quicker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "RESAMPLES", 50)
        patch.setattr(bdrate, "_LEAST_PICTURES", 2)  # intervals in a report of few pictures
        return summary.comparisons(result)


def run(data: Path, out: Path, **settings: Any) -> RDResult:
    plan: dict[str, Any] = {"codecs": ("jpeg", "webp"), "qualities": {"": QUALITIES}, "jobs": 0}
    return measure_rd(Plan(data=data, out=out, **(plan | settings)))


def report_of(result: RDResult, folder: Path) -> Report:
    deltas = deltas_of(result)
    write_report(result, deltas, folder)
    return Report(result, deltas, folder)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Path:
    """Four pictures: one wide, two usual ones, and one too small for MS-SSIM, named like markup."""
    folder = tmp_path_factory.mktemp("pictures & more")
    photograph.crop((0, 60, 451, 160)).resize((800, 178)).save(folder / "wide.png")
    photograph.crop((0, 0, 180, 170)).save(folder / "left.png")
    photograph.crop((240, 80, 420, 250)).save(folder / "right.png")
    photograph.crop((120, 60, 217, 131)).save(folder / HOSTILE)
    return folder


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Report:
    """jpeg, webp, a lossless codec, a published curve, two metrics, and one failure."""
    folder = tmp_path_factory.mktemp("report")
    published = folder / "vtm.json"
    published.write_text(json.dumps(PUBLISHED))
    encode = WebP.encode

    def failing(self: WebP, image: np.ndarray, quality: float) -> bytes:
        if image.shape[1] == 97 and quality == 30:
            raise RuntimeError("</script> not that one")
        return encode(self, image, quality)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WebP, "encode", failing)
        result = run(
            pictures,
            folder / "run",
            codecs=("jpeg", "webp", "png"),
            metrics=("psnr", "ms-ssim"),
            references=(published,),
        )
    return report_of(result, folder)


@pytest.fixture(scope="session")
def clips_report(tmp_path_factory: pytest.TempPathFactory, photograph: Image.Image) -> Report:
    folder = tmp_path_factory.mktemp("clips & more")
    (folder / "data").mkdir()
    for name, left in (("a.mp4", 20), ("b.mp4", 120), ("c.mp4", 200)):
        write_clip(folder / "data" / name, photograph, left)
    settings: dict[str, Any] = {"codecs": CLIP_CODECS, "qualities": {}}
    result = run(folder / "data", folder / "out", metrics=("psnr", "psnr-yuv"), **settings)
    return report_of(result, folder)
