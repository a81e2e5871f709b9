"""The command as a real process, with workers that are killed and signals that stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc"),
    pytest.mark.usefixtures("usual_signals"),
]

CHEAP = ("--codec", "hyperprior")
#: Of what several signals meet in several places, every run tries each once.
OTHER = pytest.mark.thorough


@pytest.fixture
def batch(tmp_path: Path, photograph: Image.Image) -> Path:
    """A folder of 30 photographs."""
    folder = tmp_path / "batch"
    folder.mkdir()
    for index in range(30):
        photograph.save(folder / f"{index:02}.png", compress_level=1)
    return folder


def start(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "quantal", *map(str, arguments)]
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    )


def eventually(what: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [pid for pid, line in lines.items() if b"spawn_main" in line]


def catches(process: subprocess.Popen[bytes], number: int) -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.slow
def test_a_killed_worker_costs_one_picture(batch, tmp_path) -> None:
    out = tmp_path / "out"
    process = start("compress", batch, "-o", out, "--jobs", 2, *CHEAP)
    eventually(lambda: out.is_dir() and len(os.listdir(out)) > 2, process)
    os.kill(workers(process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    failed = err.decode().splitlines()
    assert len(failed) <= 1  # none if the worker's result was on its way already
    assert process.returncode == len(failed)
    assert len(os.listdir(out)) == 30 - len(failed)
    for line in failed:
        assert "worker process was killed; out of memory is the likely cause" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "jobs"),
    [
        ("SIGTERM", 2),
        ("SIGHUP", 1),
        pytest.param("SIGTERM", 1, marks=OTHER),
        pytest.param("SIGHUP", 2, marks=OTHER),
    ],
)
def test_a_signal_ends_everything_and_leaves_whole_files(batch, tmp_path, jobs, name) -> None:
    number = getattr(signal, name)
    out = tmp_path / "out"
    process = start("compress", batch, "-o", out, "--jobs", jobs, *CHEAP)
    eventually(lambda: out.is_dir() and len(os.listdir(out)) > 2, process)
    helpers = workers(process)
    assert len(helpers) == (jobs if jobs > 1 else 0)
    if jobs == 1:
        os.killpg(process.pid, number)  # as a terminal that closes and timeout do
    else:
        process.send_signal(number)
        process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err.decode().count("\n") == 1 and b"finished are kept" in err
    assert not any(map(alive, helpers))
    done = os.listdir(out)
    assert 0 < len(done) < 30 and all(file.endswith(".qtl") for file in done)


@pytest.mark.slow
def test_a_signal_to_the_whole_group_is_one_interruption(batch, tmp_path) -> None:
    out = tmp_path / "out"
    process = start("compress", batch, "-o", out, "--jobs", 2, *CHEAP)
    eventually(lambda: out.is_dir() and len(os.listdir(out)) > 2, process)
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.decode().count("\n")) == (143, 1)


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(batch, tmp_path) -> None:
    out = tmp_path / "out"
    process = start("compress", batch, "-o", out, "--jobs", 2, *CHEAP)
    eventually(lambda: out.is_dir() and len(os.listdir(out)) > 2, process)
    helpers = workers(process)
    process.kill()
    process.communicate(timeout=60)  # until nobody holds its streams any more
    deadline = time.monotonic() + 60
    while any(map(alive, helpers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_an_ignored_hangup_stays_ignored(batch, tmp_path) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "quantal", "compress", str(batch), "-o", str(out), *CHEAP]
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # as nohup does
    )
    eventually(lambda: out.is_dir() and len(os.listdir(out)) > 0, process)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err, len(os.listdir(out))) == (0, b"", 30)


def test_a_signal_stops_a_command_that_waits_for_input() -> None:
    process = start("info", "-", stdin=subprocess.PIPE)
    eventually(lambda: catches(process, signal.SIGTERM), process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and b"Traceback" not in err


SENDER = """
import os, signal, sys

class Sender:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Sender())
sys.argv = ["quantal", "eval", "bdrate", "a.csv", "b.csv"]
from quantal.cli import main
main()
"""


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IMPORTED = ("typer", "multiprocessing.resource_tracker", "quantal.eval")


@pytest.mark.parametrize(
    ("module", "number"),
    [
        pytest.param(module, number, marks=() if place == other else OTHER)
        for place, module in enumerate(IMPORTED)
        for other, number in enumerate(SIGNALS)
    ],
)
def test_a_signal_during_an_import_is_one_line(module, number) -> None:
    script = SENDER.format(module=module, number=int(number))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == 128 + number
    assert done.stderr.startswith(b"quantal: interrupted") and done.stderr.count(b"\n") == 1


DROPPED = """
import os, signal, time
class Collected:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0)
Collected()
time.sleep(120)
"""
LATE = """
import atexit, os, signal
atexit.register(os.kill, os.getpid(), signal.{name})
"""


@pytest.mark.parametrize(
    ("code", "interrupted", "name"),
    [
        (DROPPED, True, "SIGTERM"),
        (LATE, False, "SIGINT"),
        pytest.param(DROPPED, True, "SIGINT", marks=OTHER),
        pytest.param(LATE, False, "SIGTERM", marks=OTHER),
    ],
)
def test_a_signal_where_exceptions_are_dropped(code, interrupted, name, tmp_path) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(code.format(name=name))
    words = [sys.executable, "-m", "quantal", "codecs", "--plugin", str(plugin)]
    done = subprocess.run(words, capture_output=True, timeout=60)
    assert done.returncode == (128 + getattr(signal, name) if interrupted else 0)
    assert done.stderr.count(b"\n") == interrupted and b"Traceback" not in done.stderr
