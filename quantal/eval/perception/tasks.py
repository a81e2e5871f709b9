"""The registry of tasks."""

from __future__ import annotations

from quantal.eval._optional import unknown
from quantal.eval.perception.base import Task
from quantal.eval.perception.classify import Classify
from quantal.eval.perception.detect import Detect
from quantal.eval.perception.segment import Segment
from quantal.eval.perception.text import Read

__all__ = ["TASKS", "task"]

TASKS: dict[str, Task] = {one.name: one for one in (Classify(), Detect(), Segment(), Read())}


def task(name: str) -> Task:
    """Return a task by name; ArgumentError for an unknown name."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]
