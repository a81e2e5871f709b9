"""The command as a real process, with workers that are killed."""

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

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")

CHEAP = ("--codec", "hyperprior")


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
        # Whoever runs the tests in the background hands down an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
