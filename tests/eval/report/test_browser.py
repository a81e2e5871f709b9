"""report.html in a real browser: it draws, its controls work, and it reports no error.

Skipped where there is no Chromium or no package playwright.
"""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .conftest import HOSTILE, Report, report_of, run

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

#: A container has no sandbox and no display, and the browser has nothing to say to its maker.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("needs a Chromium")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=found, args=_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page, and everything it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def numbers(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def lines_drawn(self, chart: str = "rd-chart") -> list[str]:
        """The paths of a chart's lines."""
        lines = self.page.locator(f"#{chart} .scatterlayer path.js-line")
        return [
            path for path in lines.evaluate_all("ps => ps.map(p => p.getAttribute('d'))") if path
        ]


def open_page(browser: Any, file: Path, **settings: Any) -> Opened:
    context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | settings))
    opened = Opened(context.new_page())
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.goto(file.as_uri())
    opened.page.wait_for_function("document.querySelector('#strip-chart .main-svg')")
    return opened


@pytest.fixture
def opened(browser: Any, report: Report) -> Iterator[Opened]:
    """The report, and afterwards: not one complaint, not one request."""
    opened = open_page(browser, report.html)
    yield opened
    opened.page.context.close()
    assert opened.complaints == []
    outside = [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))]
    assert outside == []


def picture_of(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_every_curve_is_drawn(opened: Opened) -> None:
    assert len(opened.lines_drawn()) == 3  # png, without loss, has no place on the axis
    legend = opened.page.locator("#rd-chart .legendtext").all_text_contents()
    assert legend == ["jpeg", "webp", "vtm (published)"]
    assert len(opened.lines_drawn("speed-chart")) == 2
    assert opened.page.locator("#strip-chart path.point").count() == 3 + 1  # and of all together


def test_log_and_linear_rate_can_be_chosen(opened: Opened) -> None:
    before = opened.lines_drawn()
    opened.page.get_by_text("linear", exact=True).click()
    kind = "document.getElementById('rd-chart').layout.xaxis.type"
    assert opened.numbers(kind) == "linear"
    assert opened.lines_drawn() != before
    opened.page.get_by_text("log", exact=True).click()
    assert opened.numbers(kind) == "log"
    assert opened.lines_drawn() == before


def test_another_metric_changes_every_part(opened: Opened, report: Report) -> None:
    parts = ("#codecs-table", "#matrix-table", "#ranking-table")
    before = [opened.page.locator(part).inner_text() for part in parts]
    opened.page.select_option("#metric", "ms-ssim")
    for part, text in zip(parts, before, strict=True):
        assert opened.page.locator(part).inner_text() != text
    assert "MS-SSIM (dB)" in opened.page.locator("#rd-chart").text_content()
    assert len(opened.lines_drawn()) == 2  # the published curve has PSNR alone
    assert "MS-SSIM" in opened.page.locator("#speed-chart").text_content()


def test_the_matrix_shows_deltas_and_reasons(opened: Opened, report: Report) -> None:
    cells = opened.page.locator("#matrix-table tbody td")
    assert cells.count() == 16
    shown = cells.nth(4).inner_text().replace("\N{MINUS SIGN}", "-")
    delta = report.deltas["psnr"]["webp"]
    assert shown == f"{delta.percent:+.1f}\u202f%"  # type: ignore[union-attr]
    cells.nth(4).hover()
    assert "of the shorter curve" in opened.page.locator("#matrix-detail").inner_text()
    empty = cells.nth(2)  # jpeg against png
    assert empty.inner_text() == ""
    assert "lossless" in empty.get_attribute("title")
    empty.focus()
    assert "jpeg against png: the anchor's curve" in opened.page.inner_text("#matrix-detail")


def test_pictures_are_sorted_by_a_click(opened: Opened) -> None:
    def first_column() -> list[str]:
        return opened.page.locator("#ranking-table tbody th").all_inner_texts()

    def values() -> list[float]:
        texts = opened.page.locator("#ranking-table tbody td:nth-child(2)").all_inner_texts()
        numbers = [t.replace("\N{MINUS SIGN}", "-").split("\u202f")[0] for t in texts]
        return [float(n) for n in numbers if n not in ("", "\N{EN DASH}")]

    assert first_column() == sorted(first_column())
    opened.page.get_by_role("button", name="webp").click()
    assert values() == sorted(values()) and len(values()) == 3
    opened.page.get_by_role("button", name="webp").click()
    assert values() == sorted(values(), reverse=True)


def clip(opened: Opened) -> float:
    """How much of the right picture is clipped away, in percent."""
    style = opened.numbers("getComputedStyle(document.getElementById('over')).clipPath")
    assert style.startswith("inset(0px 0px 0px ")
    return float(style.split()[-1].rstrip("%)"))


def test_the_slider_moves_by_keyboard_and_pointer(opened: Opened) -> None:
    assert clip(opened) == pytest.approx(50)
    opened.page.focus("#cut")
    opened.page.keyboard.press("Home")
    assert clip(opened) == 0
    opened.page.keyboard.press("End")
    assert clip(opened) == 100
    box = opened.page.locator("#stage").bounding_box()
    opened.page.locator("#stage").scroll_into_view_if_needed()
    box = opened.page.locator("#stage").bounding_box()
    middle = box["y"] + box["height"] / 2
    opened.page.mouse.move(box["x"] + box["width"] * 0.9, middle)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] * 0.25, middle, steps=4)
    opened.page.mouse.up()
    assert clip(opened) == pytest.approx(25, abs=1)
    opened.page.mouse.move(box["x"] + box["width"] * 0.7, middle)
    assert clip(opened) == pytest.approx(25, abs=1), "released, it stays where it is"
    handle = opened.page.locator("#handle").bounding_box()
    assert handle["x"] + 1 == pytest.approx(box["x"] + box["width"] * 0.25, abs=4)


def lens(opened: Opened, side: str) -> np.ndarray:
    """What a lens shows, as pixels [H, W, 3]."""
    return picture_of(opened.numbers(f"document.getElementById('lens-{side}').toDataURL()"))


def test_the_lens_shows_the_pixels_themselves(opened: Opened, report: Report) -> None:
    views = opened.numbers("JSON.parse(document.getElementById('report-data').textContent).views")
    opened.page.select_option("#left", "")
    opened.page.select_option("#right", "webp")
    opened.page.locator("input[name=zoom][value='8']").check(force=True)
    opened.page.focus("#stage")
    opened.page.keyboard.press("ArrowRight")
    opened.page.wait_for_timeout(100)
    view = views[0]
    webp = next(one for one in view["shown"] if one["codec"] == "webp")
    frame = opened.numbers("(s => [s.left, s.top])(document.getElementById('frame').style)")
    x = round(float(frame[0].rstrip("%")) / 100 * view["shown_width"])
    y = round(float(frame[1].rstrip("%")) / 100 * view["shown_height"])
    for side, uri in (("left", view["uri"]), ("right", webp["uri"])):
        seen = lens(opened, side)
        high, wide = seen.shape[0] // 8, seen.shape[1] // 8
        expected = picture_of(uri)[y : y + high, x : x + wide].repeat(8, 0).repeat(8, 1)
        assert np.array_equal(seen[: expected.shape[0], : expected.shape[1]], expected)


def test_the_lens_follows_pointer_and_arrow_keys(opened: Opened) -> None:
    def frame() -> list[str]:
        found = opened.numbers("(s => [s.left, s.top])(document.getElementById('frame').style)")
        return list(found)

    opened.page.locator("#stage").scroll_into_view_if_needed()
    start = frame()
    opened.page.focus("#stage")
    opened.page.keyboard.press("ArrowRight")
    assert frame()[0] != start[0] and frame()[1] == start[1]
    box = opened.page.locator("#stage").bounding_box()
    opened.page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.5)
    after = lens(opened, "left")
    opened.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
    assert not np.array_equal(lens(opened, "left"), after)


def test_pictures_and_sides_are_chosen_and_swapped(opened: Opened) -> None:
    page = opened.page
    assert page.input_value("#left") == "jpeg" and page.input_value("#right") == "webp"
    assert "bytes" in page.inner_text("#caption-left")
    page.click("#swap")
    assert page.input_value("#left") == "webp" and page.input_value("#right") == "jpeg"
    page.select_option("#left", "")
    assert page.inner_text("#caption-left").startswith("left: original")
    thumbs = page.locator("#thumbs button")
    assert thumbs.count() >= 2
    note = page.inner_text("#look-note")
    thumbs.nth(1).click()
    assert page.inner_text("#look-note") != note
    assert thumbs.nth(1).get_attribute("aria-pressed") == "true"
    assert page.input_value("#left") == "", "the choice outlives a change of the picture"


def test_a_name_like_markup_is_escaped(opened: Opened) -> None:
    assert HOSTILE in opened.page.inner_text("#method")
    assert opened.page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_schemes(browser: Any, report: Report, scheme: str) -> None:
    size = {"width": 390, "height": 844}
    opened = open_page(browser, report.html, viewport=size, color_scheme=scheme)
    assert opened.numbers("document.documentElement.scrollWidth") <= 390
    colour = opened.numbers("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in colour[4:-1].split(",")) > 380
    assert light == (scheme == "light")
    opened.page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    assert len(opened.lines_drawn()) == 3
    opened.page.context.close()
    assert opened.complaints == []


@pytest.mark.parametrize("codecs", [("png",), ("jpeg",)])
def test_a_page_of_a_minimal_measurement(
    browser: Any, pictures: Path, tmp_path: Path, codecs: tuple[str, ...]
) -> None:
    made = report_of(run(pictures, tmp_path / "run", codecs=codecs, metrics=("psnr",)), tmp_path)
    opened = open_page(browser, made.html)
    assert opened.page.locator("#codecs-table tbody tr").count() == 1
    opened.page.context.close()
    assert opened.complaints == []


def test_frames_are_drawn_and_played(browser: Any, clips_report: Report) -> None:
    opened = open_page(browser, clips_report.html)
    page = opened.page
    page.locator("#player-stage[data-drawn='0']").wait_for()
    assert len(opened.lines_drawn("frames-chart")) == 4  # quality and bytes of two codecs
    page.locator("#player-stage").focus()
    page.keyboard.press("ArrowRight")
    page.locator("#player-stage[data-drawn='1']").wait_for()
    assert page.locator("#player-number").text_content() == "frame 2 of 6"
    page.click("#player-play")
    page.locator("#player-stage[data-drawn='4']").wait_for()
    page.click("#player-play")
    assert page.locator("#player-play").text_content() == "play"
    page.select_option("#metric", "psnr-yuv")
    assert "PSNR-YUV" in page.locator("#player-table thead").text_content()
    page.context.close()
    assert opened.complaints == []
