"""No modules of the package import one another in a circle, not even inside functions.

A circle means that neither module can be read, tested or moved without the other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "quantal"
FILES = {
    ".".join(("quantal", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
ROOMS = sorted({name.split(".")[1] for name in FILES if name.count(".")})


def is_for_types(node: ast.AST) -> bool:
    """Whether a node is `if TYPE_CHECKING:`, which never runs."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import statement below a node that can run."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node
    skipped = node.body if is_for_types(node) else []  # type: ignore[attr-defined]
    for child in ast.iter_child_nodes(node):
        if child not in skipped:
            yield from imports(child)


def imported_by(name: str, source: str, is_package: bool = False) -> set[str]:
    """The modules of the package that a module imports."""
    found: set[str] = set()
    for statement in imports(ast.parse(source)):
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
    """The strongly connected components of more than one module (Tarjan, 1972)."""
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


@pytest.fixture(scope="module")
def all_circles() -> list[list[str]]:
    return circles(
        {
            name: imported_by(name, path.read_text(encoding="utf-8"), path.stem == "__init__")
            for name, path in FILES.items()
        }
    )


@pytest.mark.parametrize("room", ["", *ROOMS], ids=lambda room: room or "quantal")
def test_no_circle_passes_through_a_room(room: str, all_circles: list[list[str]]) -> None:
    """The empty room is the package itself, `quantal/__init__.py`."""
    prefix = f"quantal.{room}" if room else "quantal"
    inside = [
        circle
        for circle in all_circles
        if any(name == prefix or (room and name.startswith(f"{prefix}.")) for name in circle)
    ]
    assert not inside, "\n".join(", ".join(circle) for circle in inside)


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
