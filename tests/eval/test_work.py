"""Tasks in worker processes: a crash, a hang or an exception affects one task only."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quantal.errors import EvaluationError
from quantal.eval.journal import Journal
from quantal.eval.work import Failure, spread


def failing(task: str) -> str:
    if task == "raises":
        raise ValueError("no\nsuch thing")
    if task == "ours":
        raise EvaluationError("the whole message")
    if task == "crashes":
        os._exit(7)
    if task == "hangs":
        time.sleep(600)
    return task.upper()


def test_a_failing_task_does_not_affect_others() -> None:
    tasks = ["a", "raises", "crashes", "b", "hangs", "c", "ours", "d"]
    results = dict(spread(failing, tasks, jobs=2, timeout=8))
    assert [results[t] for t in "abcd"] == ["A", "B", "C", "D"]
    assert results["raises"] == Failure("ValueError: no such thing")
    assert results["ours"] == Failure("the whole message")
    assert results["crashes"] == Failure("its process died (exit status 7)")
    assert results["hangs"] == Failure("gave no answer within 8 s and was stopped")


def run(script: Path) -> subprocess.CompletedProcess[str]:
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | here
    )


def test_a_script_without_a_guard(tmp_path: Path) -> None:
    """Each worker imports the script, which would start workers; an error explains it."""
    script = tmp_path / "script.py"
    script.write_text(
        "from quantal.eval.work import spread\n"
        "def double(n): return 2 * n\n"
        "print(dict(spread(double, [1, 2], jobs=1)))\n"
    )
    done = run(script)
    assert done.returncode != 0
    assert "no worker process starts" in done.stderr
    script.write_text(
        "from quantal.eval.work import spread\n"
        "def double(n): return 2 * n\n"
        "if __name__ == '__main__': print(dict(spread(double, [1, 2], jobs=1)))\n"
    )
    done = run(script)
    assert done.stdout.strip() == "{1: 2, 2: 4}"


def test_a_process_that_never_starts_raises_an_error(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from quantal.eval import work\n"
        "work._START_SECONDS = 3.0\n"
        "def double(n): return 2 * n\n"
        "if __name__ == '__main__': print(dict(work.spread(double, [1, 2], jobs=1)))\n"
        "else: time.sleep(1000)\n"
    )
    done = run(script)
    assert done.returncode != 0
    assert "no worker process starts" in done.stderr


def test_repeated_immediate_crashes() -> None:
    tasks = [*["crashes"] * 3, "a", "b"]
    results = list(spread(failing, tasks, jobs=1))
    assert sorted(r for _, r in results if isinstance(r, str)) == ["A", "B"]
    assert sum(isinstance(r, Failure) and "died" in r.reason for _, r in results) == 3


def test_in_this_process() -> None:
    results = list(spread(failing, ["a", "raises", "b"], jobs=0))
    assert results == [("a", "A"), ("raises", Failure("ValueError: no such thing")), ("b", "B")]


def test_nothing_to_do() -> None:
    assert list(spread(failing, [], jobs=2)) == []


def test_a_journal_drops_an_incomplete_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    journal = Journal(path)
    journal.append({"n": 1})
    journal.append({"n": 2, "x": float("inf")})
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    again = Journal(path)
    assert again.entries == [{"n": 1}]
    again.append({"n": 3})
    assert [e["n"] for e in Journal(path).entries] == [1, 3]


@pytest.mark.parametrize("content", [b"codec,bpp\njpeg,1\n", b"[1]\n", b"\xff\xfe\n"])
def test_other_files_are_not_journals(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match="line 1 is not a JSON object"):
        Journal(path)
    assert path.read_bytes() == content


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals are those of POSIX systems")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys, time\n"
        "from quantal.eval.work import spread\n"
        "def work(task):\n"
        "    pathlib.Path(sys.argv[1], str(os.getpid())).touch()\n"
        "    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    list(spread(work, ['a', 'b'], jobs=2))\n"
    )
    folder = tmp_path / "workers"
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(folder)])
    try:
        workers = wait_for(lambda: [int(p.name) for p in folder.iterdir()], 2)
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: [pid for pid in workers if not is_running(pid)], 2)


def wait_for(found: Callable[[], list[int]], count: int) -> list[int]:
    """Return what a function finds once it finds so many."""
    for _ in range(600):
        if len(found()) == count:
            return found()
        time.sleep(0.1)
    raise AssertionError(f"{found()} found, {count} expected")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
