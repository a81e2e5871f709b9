"""One function over very many files, by worker processes or by a cluster that is there already.

Rows are paths, never pixels: workers read, compute and write by themselves, and return what came of
each row. A manifest beside the results lists what is finished. Names are looked up on
first use: the pool behind `--jobs` needs nothing of the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantal.engine.pool import Death
    from quantal.engine.processes import Processes
    from quantal.engine.ray import Ray
    from quantal.engine.rows import Job, Order, Product, Result
    from quantal.engine.running import Engine, Summary, Watch, run

__all__ = [
    "Death",
    "Engine",
    "Job",
    "Order",
    "Processes",
    "Product",
    "Ray",
    "Result",
    "Summary",
    "Watch",
    "run",
]

_HOMES = {
    "Death": "pool",
    "Engine": "running",
    "Job": "rows",
    "Order": "rows",
    "Processes": "processes",
    "Product": "rows",
    "Ray": "ray",
    "Result": "rows",
    "Summary": "running",
    "Watch": "running",
    "run": "running",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"quantal.engine.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'quantal.engine' has no attribute {name!r}")
