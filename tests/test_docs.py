"""Every example of the documentation runs, every link leads somewhere, every module has a page.

Examples are the python blocks of pages and the doctests of modules. Blocks of a page share a
namespace and run in order, in a folder that holds photo.png and clip.mp4.
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

import quantal
from quantal.codecs import registry
from quantal.errors import ArgumentError
from tests.moving import write_clip

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
IMPORT = re.compile(r"^(?:from (quantal[\w.]*) import|import (quantal[\w.]*))", re.M)
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
    # Examples code it some forty times, and say nothing about its size.
    photograph.crop((60, 30, 380, 270)).save(tmp_path / "photo.png")
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


def text_of(page: Path) -> str:
    """The text of a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@cache
def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as links write them."""
    headings = re.findall(r"^#{1,6} (.+)$", text_of(page), re.M)
    plain = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text_of(page)):
        if not re.match(r"[a-z]+:", target):
            found = page.parent / target if target else page
            assert found.exists(), f"{page.name} links to {target}"
            if anchor and found.suffix == ".md":
                assert anchor in anchors(found.resolve()), f"{page.name}: {target}#{anchor}"


# -- the Python API ----------------------------------------------------------------------------

API = ROOT / "docs" / "reference" / "api"
#: Modules that serve others of Quantal and no program outside, and the commands.
INNER = {
    f"quantal.{name}"
    for name in (
        "arguments",
        "cli",
        "extras",
        "fields",
        "layers",
        "limits",
        "markdown",
        "memory",
        "names",
        "outputs",
        "planes",
        "processes",
        "sources",
        "team",
        "threads",
    )
}


def described() -> set[str]:
    """The modules that pages of the Python API describe."""
    pages = (page.read_text(encoding="utf-8") for page in API.glob("*.md"))
    return {name for text in pages for name in re.findall(r"^::: (\S+)$", text, re.M)}


def test_every_public_module_has_a_page() -> None:
    found = {module.name for module in pkgutil.iter_modules(quantal.__path__, "quantal.")}
    public = {name for name in found if not name.startswith("quantal._")} - INNER
    assert public | {"quantal"} <= described()


def test_examples_import_described_modules_alone() -> None:
    code = "\n".join(block for page in PAGES for _, block in blocks(page))
    imported = {first or second for first, second in IMPORT.findall(code)}
    assert imported and imported <= described()


def test_described_names_exist() -> None:
    assert {page.stem for page in API.glob("*.md")} == described()
    for name in described():
        assert importlib.import_module(name).__doc__


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"^ +- .+: (\S+\.md)$", navigation, re.M))
    docs = ROOT / "docs"
    assert named == {str(page.relative_to(docs).as_posix()) for page in docs.rglob("*.md")}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in ("CHANGELOG.md", "cli-options.md")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_lines_have_at_most_100_columns(page: Path) -> None:
    """Lines of prose: tables, pictures, blocks of code and single words may be wider."""
    for line in text_of(page).splitlines():
        if not line.startswith(("|", "![")) and " " in line.strip("-* "):
            assert len(line) <= 100, f"{page.name}: {line}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
