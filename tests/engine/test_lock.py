"""One call at a time in a target, whatever became of the one before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quantal.engine import lock
from quantal.engine.lock import locked
from quantal.engine.places import Place
from quantal.errors import OutputError


def write(target: Path, **what: object) -> Path:
    path = target / ".quantal/lock/1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"token": "other", "host": "elsewhere", "pid": 1, "began": "1", "seen": time.time()}
    path.write_text(json.dumps({**about, **what}))
    return path


def test_a_second_call_is_refused_and_a_later_one_is_not(tmp_path) -> None:
    place = Place(str(tmp_path))
    with (
        locked(place),
        pytest.raises(OutputError, match=f"in use: process {os.getpid()} on"),
        locked(place),
    ):
        pass
    with locked(place):
        pass
    assert not list((tmp_path / ".quantal/lock").iterdir())


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path) -> None:
    code = (
        "import os, sys\n"
        "from quantal.engine.lock import locked\n"
        "from quantal.engine.places import Place\n"
        f"with locked(Place({str(tmp_path)!r})):\n"
        "    os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert len(list((tmp_path / ".quantal/lock").iterdir())) == 1
    with locked(Place(str(tmp_path))):
        assert [path.name for path in (tmp_path / ".quantal/lock").iterdir()] == ["2.json"]


@pytest.mark.parametrize(("age", "alive"), [(0, True), (1e6, False)])
def test_another_machine_counts_as_dead_once_it_is_silent(tmp_path, age, alive) -> None:
    write(tmp_path, seen=time.time() - age)
    if alive:
        with (
            pytest.raises(OutputError, match="process 1 on elsewhere"),
            locked(Place(str(tmp_path))),
        ):
            pass
    else:
        with locked(Place(str(tmp_path))):
            pass


def test_a_lock_that_was_never_written_to_its_end_holds_nobody(tmp_path) -> None:
    write(tmp_path).write_text("{")
    with locked(Place(str(tmp_path))):
        pass


def test_of_two_that_begin_at_once_one_gives_way(tmp_path, monkeypatch) -> None:
    """Another creates its lock between our look and ours."""
    create = Place.create

    def late(self: Place, path: str, data: bytes) -> bool:
        other = {**json.loads(data), "token": "other"}
        (tmp_path / ".quantal/lock").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".quantal/lock/7.json").write_text(json.dumps(other))
        return create(self, path, data)

    monkeypatch.setattr(Place, "create", late)
    with pytest.raises(OutputError, match="in use"), locked(Place(str(tmp_path))):
        pass
    assert [path.name for path in (tmp_path / ".quantal/lock").iterdir()] == ["7.json"]


def test_a_sign_of_life_is_given(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(lock, "_BEAT", 0.01)
    with locked(Place(str(tmp_path))):
        path = next((tmp_path / ".quantal/lock").iterdir())
        before = json.loads(path.read_text())["seen"]
        deadline = time.monotonic() + 30
        while json.loads(path.read_text())["seen"] == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
