"""The page in a real browser: the pixels are Python's, its controls work, and nothing kills it.

Skipped where there is no Node, no Chromium or no package playwright.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import quantal
from quantal.latents import features

from .conftest import Opened, Serve

GOLDEN = Path(__file__).parents[1] / "golden"
CODECS = ("context-s", "context-m", "hyperprior", "wavelet", "vq", "tokens")
Open = Callable[[str], Opened]
#: Drawing takes seconds on a busy machine, and the first picture of a codec fetches its weights.
_PATIENCE = 120_000  # milliseconds


def pixels_of(image: Image.Image) -> NDArray[np.int16]:
    """The samples of an image, with its opacity if it has any."""
    return np.asarray(image, np.int16)


def assert_close(found: NDArray[np.int16], expected: NDArray[np.int16]) -> None:
    """At most one level apart on 99.9 % of the samples, never more than two."""
    assert found.shape == expected.shape
    apart = np.abs(found - expected)
    assert apart.max() <= 2
    assert (apart <= 1).mean() >= 0.999


def wait_for(page: Any, pictures: int, errors: int = 0) -> None:
    """Wait until so many pictures and errors are there."""
    page.wait_for_function(
        "([p, e]) => document.querySelectorAll('#gallery li').length == p"
        " && document.querySelectorAll('#errors li').length == e"
        " && document.querySelector('#hint').textContent.startsWith('Drop')",
        arg=[pictures, errors],
        timeout=_PATIENCE,
    )


def saved(page: Any, folder: Path) -> Image.Image:
    """The picture that is shown, as the page saves it."""
    with page.expect_download() as download:
        page.click("#save")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    image = Image.open(path)
    image.load()
    return image


def drop(page: Any, files: dict[str, bytes], kind: str = "") -> None:
    """Drop files on the page."""
    coded = {name: base64.b64encode(data).decode() for name, data in files.items()}
    page.evaluate(
        """([files, type]) => {
            const data = new DataTransfer();
            for (const [name, coded] of Object.entries(files)) {
                const bytes = Uint8Array.from(atob(coded), (c) => c.charCodeAt(0));
                data.items.add(new File([bytes], name, { type }));
            }
            const event = (name) => new DragEvent(name, {
                dataTransfer: data, bubbles: true, cancelable: true });
            document.body.dispatchEvent(event("dragover"));
            document.body.dispatchEvent(event("drop"));
        }""",
        [coded, kind],
    )


EVERY_KIND = ("alpha", "colour-low", "grey", "one-pixel")


@pytest.mark.parametrize(
    "names",
    [
        [*(f"{c}/colour-high" for c in CODECS), *(f"{CODECS[0]}/{kind}" for kind in EVERY_KIND)],
        pytest.param([f"{c}/alpha" for c in CODECS[1:]], marks=pytest.mark.thorough),
    ],
    ids=["every codec and kind", "alpha of the others"],
)
def test_pictures_of_every_codec_are_pythons(
    serve: Serve, open_page: Open, tmp_path: Path, names: list[str]
) -> None:
    files = [GOLDEN / f"{name}.qtl" for name in names]
    opened = open_page(serve(*files))
    wait_for(opened.page, len(files))
    for number, file in enumerate(files):
        before = opened.page.inner_text("#fields")
        opened.page.click(f"#gallery li:nth-child({number + 1}) button")
        opened.page.wait_for_function(
            "before => document.querySelector('#fields').innerText != before",
            arg=before,
            timeout=_PATIENCE,
        )
        image = saved(opened.page, tmp_path)
        expected = quantal.decompress(file)
        assert image.mode == expected.mode
        assert_close(pixels_of(image), pixels_of(expected))
    assert opened.complaints == []


def test_a_slider_draws_the_first_parts(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    file = GOLDEN / "context-s" / "colour-low.qtl"
    page = open_page(serve(file)).page
    wait_for(page, 1)
    before = pixels_of(saved(page, tmp_path))
    page.evaluate(
        """() => {
            const slider = document.querySelector("#parts input");
            slider.value = 3;
            slider.dispatchEvent(new Event("input"));
        }"""
    )
    page.wait_for_function(
        "document.querySelector('#status').textContent.includes('3 of 9')", timeout=_PATIENCE
    )
    coarse = pixels_of(saved(page, tmp_path))
    assert_close(coarse, pixels_of(quantal.decompress(file, max_parts=3)))
    assert (coarse != before).any()


def test_frames_of_clips_are_pythons(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    files = [GOLDEN / codec / "clip.qtl" for codec in ("video-s", "video-s-still")]
    opened = open_page(serve(*files))
    page = opened.page
    wait_for(page, len(files))
    for number, file in enumerate(files):
        page.click(f"#gallery li:nth-child({number + 1}) button")
        codec = file.parent.name
        page.wait_for_function(
            "codec => [...document.querySelectorAll('#fields td')]"
            ".some((cell) => cell.textContent == codec)",
            arg=codec,
            timeout=_PATIENCE,
        )
        with quantal.open(file) as clip:
            expected = [frame.pixels for frame in clip]
        # Forth and back, and over the border of a group.
        for place in (0, 4, 9, 7, 1):
            page.locator("#frames input").fill(str(place))
            page.wait_for_function(
                "n => document.querySelector('#status').textContent == `frame ${n}`",
                arg=place + 1,
                timeout=_PATIENCE,
            )
            assert_close(pixels_of(saved(page, tmp_path)), expected[place].astype(np.int16))
    page.click("#frames button")
    page.wait_for_function(
        "document.querySelector('#status').textContent == 'frame 10'", timeout=_PATIENCE
    )
    assert "10 in 2 groups" in page.inner_text("#fields")
    assert opened.complaints == []


def test_header_and_parts_are_listed(serve: Serve, open_page: Open) -> None:
    page = open_page(serve(GOLDEN / "vq" / "alpha.qtl")).page
    wait_for(page, 1)
    fields = page.inner_text("#fields")
    for text in ("128 × 128 pixels", "50 of 100", "vq", "eae20248"):
        assert text in fields
    assert "image" in page.inner_text("#pieces")
    assert "alpha" in page.inner_text("#pieces")


def test_an_original_is_laid_over_the_picture(
    serve: Serve, open_page: Open, small_photograph: Image.Image
) -> None:
    page = open_page(serve()).page
    stream = io.BytesIO()
    small_photograph.save(stream, "PNG")
    drop(page, {"photo.qtl": quantal.compress(small_photograph, codec="context-s")})
    wait_for(page, 1)
    assert not page.is_visible("#compare")
    drop(page, {"photo.png": stream.getvalue()}, "image/png")
    page.wait_for_selector("#original img", timeout=_PATIENCE)
    clip = "getComputedStyle(document.querySelector('#original')).clipPath"
    assert page.evaluate(clip) == "inset(0px 50% 0px 0px)"
    page.locator("#compare input").fill("20")
    assert page.evaluate(clip) == "inset(0px 80% 0px 0px)"
    # Another shape is no original of it.
    stream = io.BytesIO()
    small_photograph.rotate(90, expand=True).save(stream, "PNG")
    drop(page, {"turned.png": stream.getvalue()}, "image/png")
    wait_for(page, 1, 1)
    assert "has 71x97 pixels, expected 97x71" in page.inner_text("#errors")


def _damaged(data: bytes) -> dict[str, bytes]:
    changed = bytearray(data)
    changed[len(data) // 2] ^= 16
    later = bytearray(data)
    later[4] = 2
    clip = bytearray((GOLDEN / "video-s" / "clip.qtl").read_bytes())
    clip[200] ^= 1
    large = quantal.container.read(data)
    header = quantal.container.Header(**{**vars(large.header), "width": 12000, "height": 9000})
    return {
        "text.qtl": b"hello, this is no picture",
        "empty.qtl": b"",
        "cut.qtl": data[:-9],
        "changed.qtl": bytes(changed),
        "later.qtl": bytes(later),
        "large.qtl": quantal.container.write(header, large.parts),
        "longer.qtl": data + b"\0",
        "features.qtl": features.encode(np.ones((2, 3), np.float32), max_error=0.1),
        "clip.qtl": bytes(clip),
    }


def test_damaged_files_are_named_and_the_page_goes_on(serve: Serve, open_page: Open) -> None:
    opened = open_page(serve())
    good = (GOLDEN / "context-s" / "grey.qtl").read_bytes()
    files = _damaged(good)
    drop(opened.page, files)
    wait_for(opened.page, 0, len(files))
    said = opened.page.inner_text("#errors")
    for name, expected in {
        "text.qtl": "CorruptError: not a .qtl file: starts with 68 65 6c 6c",
        "empty.qtl": "TruncatedError: the file is empty",
        "cut.qtl": "TruncatedError: the file has",
        "changed.qtl": "CorruptError: the image part has the checksum",
        "later.qtl": "UnsupportedVersionError: version 2 found, expected 1",
        "large.qtl": "UnsupportedError: the picture has 12000x9000 pixels",
        "longer.qtl": "CorruptError: the file has",
        "features.qtl": "BitstreamError: the file holds features",
        "clip.qtl": "CorruptError: the group at",
    }.items():
        assert f"{name}: {expected}" in said
    drop(opened.page, {"good.qtl": good})
    wait_for(opened.page, 1, len(files))
    assert opened.complaints == []


def test_a_page_opened_from_a_file_says_so(built: Path, open_page: Open) -> None:
    page = open_page((built / "index.html").as_uri()).page
    page.wait_for_selector("#opened-as-file")
    assert "quantal view photo.qtl" in page.inner_text("#opened-as-file")


_ELEMENTS = """<!doctype html>
<script type="module" src="quantal/qtl-img.js"></script>
<qtl-img id="good" src="photo.qtl" alt="A grey picture"><em>not yet</em></qtl-img>
<qtl-img id="bad" src="text.qtl"><em id="instead">instead</em></qtl-img>
<qtl-img id="none" src="none.qtl"></qtl-img>
"""


def test_an_element_is_used_as_an_image_is(
    site: Path, host: Callable[[Path], str], open_page: Open, tmp_path: Path
) -> None:
    (tmp_path / "quantal").symlink_to(site)
    (tmp_path / "photo.qtl").write_bytes((GOLDEN / "context-s" / "grey.qtl").read_bytes())
    (tmp_path / "text.qtl").write_text("no picture", encoding="utf-8")
    (tmp_path / "index.html").write_text(_ELEMENTS, encoding="utf-8")
    page = open_page(host(tmp_path)).page
    # A plain host isolates no page: one thread has to do.
    assert not page.evaluate("crossOriginIsolated")
    page.wait_for_function(
        "[...document.querySelectorAll('qtl-img')].every((each) => each.complete)",
        timeout=_PATIENCE,
    )
    good = page.evaluate(
        """() => {
            const element = document.querySelector("#good");
            const canvas = element.shadowRoot.querySelector("canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, 200, 200);
            return { size: [element.naturalWidth, element.naturalHeight], shown: canvas.clientWidth,
                label: element.ariaLabel ?? element.getAttribute("aria-label"),
                pixels: [...data] };
        }"""
    )
    assert (good["size"], good["shown"], good["label"]) == ([200, 200], 200, "A grey picture")
    pixels = np.array(good["pixels"], np.int16).reshape(200, 200, 4)[:, :, 0]
    assert_close(pixels, pixels_of(quantal.decompress(tmp_path / "photo.qtl")))
    errors = "['#bad', '#none'].map((each) => document.querySelector(each).error.message)"
    bad, none = page.evaluate(errors)
    assert "not a .qtl file" in bad
    assert "the host answers 404" in none
    assert page.is_visible("#instead")
