"""Make the screenshot of a report that the documentation shows.

    python benchmarks/report_picture.py [--out docs/images/report.png]

The pictures are scikit-image's bundled photographs, which are free to publish. Needs Chromium and
the package playwright.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from skimage import data

from quantal.eval.rd import Plan, measure_rd
from quantal.eval.report import write_report
from quantal.eval.summary import comparisons

PICTURES = ("astronaut", "chelsea", "coffee")
CODECS = ("jpeg", "webp", "avif", "context-m")
WIDTH, HEIGHT = 1280, 2360


def report(folder: Path) -> Path:
    pictures = folder / "photographs"
    pictures.mkdir()
    for name in PICTURES:
        Image.fromarray(getattr(data, name)()).save(pictures / f"{name}.png")
    result = measure_rd(Plan(codecs=CODECS, data=pictures, out=folder / "out", jobs=1))
    return write_report(result, comparisons(result), folder / "out")[0]


def photograph(page: Path, out: Path) -> None:
    with sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        view.goto(page.as_uri())
        view.wait_for_function("document.querySelector('#strip-chart .main-svg')")
        stage = view.locator("#stage").bounding_box()
        view.mouse.move(stage["x"] + stage["width"] * 0.45, stage["y"] + stage["height"] * 0.35)
        view.screenshot(path=out)
        browser.close()
    Image.open(out).convert("P", palette=Image.Palette.ADAPTIVE, colors=255).save(
        out, optimize=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/report.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photograph(report(Path(folder)), options.out)


if __name__ == "__main__":
    main()
