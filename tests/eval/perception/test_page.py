"""report.html in a real browser: every plot is drawn, nothing is complained about or asked for.

Skipped where there is no Chromium or no package playwright.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quantal.eval.perception import Plan, evaluate

from .conftest import Kit

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")


@pytest.fixture
def page_file(classify: Kit) -> Path:
    for package in ("plotly", "matplotlib", "pyarrow", "bjontegaard"):
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
    evaluate(plan)
    return plan.out / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_draws_every_plot(page_file: Path, scheme: str) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("needs a Chromium")
    complaints: list[str] = []
    requests: list[str] = []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_file.as_uri())
        page.wait_for_function("document.querySelectorAll('.main-svg').length >= 4")
        traces = [page.locator(f"#plot-{i} .scatterlayer .trace").count() for i in range(4)]
        headings = page.locator("h2").all_inner_texts()
        browser.close()
    assert traces == [2, 2, 2, 2]
    assert "Where points are lost" in headings and "Score over PSNR-RGB" in headings
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
