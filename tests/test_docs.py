"""Every example of the documentation runs: python blocks of its pages, doctests of public modules.

Blocks of a page share a namespace and run in order, in a folder that holds photo.png and clip.mp4.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from PIL import Image

import quantal
from quantal.codecs import registry
from quantal.errors import ArgumentError
from tests.moving import write_clip

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    """Line number and code of each python block."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, m.start(1)), m.group(1)) for m in BLOCK.finditer(text)]


def modules() -> list[str]:
    """Public modules and the private ones that hold what they show; not the commands."""
    found = pkgutil.walk_packages(quantal.__path__, "quantal.")
    return [m.name for m in found if not m.name.startswith(("quantal.cli", "quantal.__main__"))]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photograph: Image.Image
) -> None:
    photograph.save(tmp_path / "photo.png")
    write_clip(tmp_path / "clip.mp4", photograph, left=20)
    monkeypatch.chdir(tmp_path)
    # What a page registers is its own.
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())
    namespace: dict[str, object] = {"__name__": "example"}
    for line, code in blocks(page):
        padded = "\n" * line + code  # so that a traceback names the line of the page
        exec(compile(padded, str(page), "exec"), namespace)


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ArgumentError as error:  # of a module that only an optional package makes useful
        pytest.skip(str(error))
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
