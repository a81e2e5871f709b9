"""report.html in a real browser: every plot is drawn, nothing is complained about or asked for.

Skipped where there is no Chromium or no package playwright; what the page's text holds is not.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantal.eval.perception import Plan, Result, evaluate
from quantal.eval.perception.page import page

from .conftest import colours


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One measurement and its report, which tests look at."""
    classify = colours(tmp_path_factory.mktemp("page"))
    for package in ("plotly", "matplotlib", "polars", "bjontegaard"):
        pytest.importorskip(package)
    plan = Plan(
        ("jpeg", "webp"),
        classify.data,
        "classify",
        str(classify.model),
        classify.data.parent / "<b>out",
        qualities={"": (1, 30, 80)},
        preprocess=classify.preprocess,
        jobs=0,
        metrics=("psnr", "ssim"),
    )
    return evaluate(plan)


@pytest.fixture
def page_file(found: Result) -> Path:
    return found.plan.out / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("needs a Chromium")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def test_names_never_end_or_hide_a_script(found: Result) -> None:
    from plotly.offline import get_plotlyjs

    rude = "</script><!--<script>"
    curves = tuple(replace(curve, codec=rude) for curve in found.figures.curves)
    text = page(replace(found, figures=replace(found.figures, curves=curves)))
    drawn = re.findall(r"<script[^>]*>(.*?)</script>", text.replace(get_plotlyjs(), ""), re.DOTALL)
    assert sum("Plotly.newPlot" in script for script in drawn) == 4
    assert sum("u003c!--" in script for script in drawn) == 4
    assert rude not in text and "<!--<" not in text.replace(get_plotlyjs(), "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_every_plot(browser: Any, page_file: Path, scheme: str) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    tab = browser.new_page(color_scheme=scheme)
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page_file.as_uri())
    tab.wait_for_function("document.querySelectorAll('.main-svg').length >= 4")
    traces = [tab.locator(f"#plot-{i} .scatterlayer .trace").count() for i in range(4)]
    headings = tab.locator("h2").all_inner_texts()
    tab.close()
    assert traces == [2, 2, 2, 2]
    assert "Where points are lost" in headings and "Score over PSNR-RGB" in headings
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
