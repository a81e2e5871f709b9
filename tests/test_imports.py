"""Modules of quantal do not import each other in circles, not even inside functions.

Modules in a circle can't be understood, tested or moved separately.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "quantal"
FILES = {
    ".".join(("quantal", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
PACKAGES = sorted({name.split(".")[1] for name in FILES if name.count(".")})


def is_for_types(node: ast.AST) -> bool:
    """Whether a node is `if TYPE_CHECKING:`, whose body never runs."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def imports(node: ast.AST, types: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield every import statement below a node; types: those for type checkers too."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node
    skipped = node.body if is_for_types(node) and not types else []  # type: ignore[attr-defined]
    for child in ast.iter_child_nodes(node):
        if child not in skipped:
            yield from imports(child, types)


def imported_by(name: str, source: str, is_package: bool = False, types: bool = False) -> set[str]:
    """Return the modules of quantal that a module imports."""
    found: set[str] = set()
    for statement in imports(ast.parse(source), types):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
            continue
        base = statement.module or ""
        if statement.level:
            parts = name.split(".")[: None if is_package else -1]
            base = ".".join([*parts[: len(parts) - statement.level + 1], *filter(None, [base])])
        for alias in statement.names:
            inner = f"{base}.{alias.name}"
            found.add(inner if inner in FILES else base)
    return found & FILES.keys()


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one module (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            component = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(component) > 1 or name in graph.get(name, ()):
                found.append(sorted(component))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


@cache
def all_circles(types: bool = False) -> list[list[str]]:
    """Return the circles of the whole of quantal."""
    return circles(
        {
            name: imported_by(name, path.read_text("utf-8"), path.stem == "__init__", types)
            for name, path in FILES.items()
        }
    )


def through(package: str, found: list[list[str]]) -> str:
    """Return the circles with a module of a package, one per line."""
    prefix = f"quantal.{package}"
    inside = [c for c in found if any(n == prefix or n.startswith(f"{prefix}.") for n in c)]
    return "\n".join(", ".join(circle) for circle in inside)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_passes_through_a_package(package: str) -> None:
    assert not through(package, all_circles())


@pytest.mark.parametrize("package", ["container", "eval", "media"])
def test_no_circle_is_hidden_from_the_interpreter(package: str) -> None:
    """Imports under `if TYPE_CHECKING:` count too."""
    assert not through(package, all_circles(types=True))


def test_no_circle_passes_through_the_root() -> None:
    assert not [circle for circle in all_circles() if "quantal" in circle]


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}) == [["b", "c"], ["d"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_every_kind_of_import_counts() -> None:
    source = (
        "from typing import TYPE_CHECKING\n"
        "import quantal.errors\n"
        "from quantal import container\n"
        "from quantal.media import read\n"
        "from ._rows import x\n"
        "from .metrics import registry\n"
        "if TYPE_CHECKING:\n"
        "    import quantal.layers\n"
        "else:\n"
        "    import quantal.markdown\n"
        "def f():\n"
        "    from quantal.eval.rows import Row\n"
    )
    assert imported_by("quantal.eval.some", source) == {
        "quantal.errors",
        "quantal.container",
        "quantal.media",
        "quantal.eval.metrics.registry",
        "quantal.markdown",
        "quantal.eval.rows",
    }
    found = imported_by("quantal.eval.some", source, types=True)
    assert "quantal.layers" in found
