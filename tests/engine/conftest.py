"""An engine in this process, and functions that need no codec."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from quantal.engine.pool import Death, plainly
from quantal.engine.rows import Job, Order, Product, Result
from quantal.engine.running import Summary, run
from quantal.errors import MediaError


class Inline:
    """An engine in this process; `dies` says over which tasks a worker would die."""

    name = "inline"

    def __init__(self, dies: Callable[[Any], bool] = lambda task: False, workers: int = 2) -> None:
        self.dies, self.workers = dies, workers
        self.tasks: list[Any] = []

    def spread(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], describe: object
    ) -> Generator[tuple[int, Any], None, None]:
        for number, task in enumerate(tasks):
            self.tasks.append(task)
            yield number, Death("it died") if self.dies(task) else function(task)

    def close(self) -> None:
        pass


@dataclass
class Watched:
    """What a Watch has seen."""

    total: int = 0
    results: list[Result] = field(default_factory=list)

    def begin(self, total: int) -> None:
        self.total = total

    def result(self, result: Result) -> None:
        self.results.append(result)


def doubled(name: str, content: bytes) -> Product:
    """A function that fails for files that begin with "bad"."""
    if content.startswith(b"bad"):
        raise MediaError("it is bad")
    return Product(content * 2, "c0de")


@dataclass
class Calls:
    """Makes calls of an engine, and keeps who did them."""

    engine: Inline = field(default_factory=Inline)
    watched: Watched = field(default_factory=Watched)

    def __call__(
        self,
        source: object,
        target: object,
        *,
        order: Order | None = None,
        engine: Inline | None = None,
        tar: bool = False,
        **options: object,
    ) -> Summary:
        self.engine, self.watched = engine or Inline(), Watched()
        job = Job(str(source), str(target), doubled, plainly, options, tar=tar)
        return run(job, order or Order({".txt"}, ".out", True), self.engine, self.watched)


@pytest.fixture
def call() -> Calls:
    return Calls()
