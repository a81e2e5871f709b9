"""Worker processes that die cost the task in hand, nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes, functools, os, signal, sys, time
from quantal.engine.pool import Death, spread

def work(task):
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "crashed":
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "left":
        os._exit(3)
    if task == "large":
        return bytes(20_000_000)
    return os.getpid() if task == "pid" else task

def prepare(how):
    if how == "raises":
        raise ImportError("there is no such library")
    if how == "exits":
        os._exit(4)

if __name__ == "__main__":
    tasks, jobs, how = eval(sys.argv[1])
    for number, result in spread(work, tasks, jobs, functools.partial(prepare, how)):
        if isinstance(result, Death):
            result = "DEATH " + result.reason
        elif isinstance(result, bytes):
            result = len(result)
        print((number, result))
"""


def spread(tmp_path: Path, tasks: list[str], jobs: int, how: str = "") -> dict[int, object]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), repr((tasks, jobs, how))], capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    return dict(ast.literal_eval(line) for line in done.stdout.decode().splitlines())


def test_every_task_has_its_own_result(tmp_path) -> None:
    found = spread(tmp_path, [*"abcdef", "large"], 2)
    assert found == {**dict(enumerate("abcdef")), 6: 20_000_000}


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_a_dead_worker_costs_the_task_in_hand_alone(tmp_path) -> None:
    tasks = ["a", "killed", "b", "crashed", "c", "left", "killed", "killed", "killed", "d"]
    for jobs in (1, 2):
        found = spread(tmp_path, tasks, jobs)
        assert {found[number] for number in (0, 2, 4, 9)} == {"a", "b", "c", "d"}
        assert len(found) == len(tasks)
        for number in (1, 6, 7, 8):
            assert "was killed; out of memory is the likely cause: fewer --jobs" in found[number]
        assert "crashed (SIGSEGV)" in found[3]
        assert "exit status 3" in found[5]
        for number in (3, 5):
            assert "memory" in found[number] and "--jobs" in found[number]


@pytest.mark.parametrize(
    ("how", "reason"), [("raises", "there is no such library"), ("exits", "exit status 4")]
)
def test_workers_that_cannot_start_are_not_tried_for_ever(tmp_path, how, reason) -> None:
    found = spread(tmp_path, ["a", "b", "c"], 2, how)
    assert len(found) == 3
    for result in found.values():
        assert "no worker process starts" in result and reason in result


def test_no_more_workers_than_tasks_are_kept(tmp_path) -> None:
    assert len(set(spread(tmp_path, ["pid"] * 20, 2).values())) <= 2
