"""A cluster of two nodes, one of which is killed midway; what is refused needs no cluster."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from PIL import Image

from quantal.engine.ray import Ray
from quantal.errors import ArgumentError, QuantalError
from quantal.processes import kept_signals

pytest.importorskip("ray", reason="the extra ray is not installed")

#: Starts two nodes of two CPUs each, compresses by an engine on them, and kills one midway.
SCRIPT = """
import json, os, signal, subprocess, sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster

photos, out = Path(sys.argv[1]), Path(sys.argv[2])
node = dict(num_cpus=2, object_store_memory=100 << 20, include_dashboard=False)
cluster = Cluster(initialize_head=True, head_node_args=node)
second = cluster.add_node(num_cpus=2, object_store_memory=100 << 20)
os.environ["RAY_ADDRESS"] = cluster.address
seen = {}

def kill():
    parts = out / ".quantal/parts"
    while not (parts.is_dir() and len(os.listdir(parts)) > 2):
        time.sleep(0.01)
    raylet = second.all_processes["raylet"][0].process.pid
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(raylet)], capture_output=True)
    lines = [line.split(None, 1) for line in listed.stdout.decode().splitlines()]
    seen["actors"] = sum("_Actor" in line[1] for line in lines)
    for pid in [raylet, *(int(line[0]) for line in lines)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    seen["parts"] = len(os.listdir(parts))

killer = threading.Thread(target=kill, daemon=True)
killer.start()
words = ["quantal", "compress", str(photos), "-o", str(out), "--engine", "ray", "--json"]
words += ["--codec", "hyperprior"]
try:
    from quantal.cli._app import app
    for call in ("first", "second"):
        sys.argv = words
        try:
            app(prog_name="quantal")
        except SystemExit as end:
            seen[call] = end.code
        print("----", flush=True)
    sys.argv = ["quantal", "pack", str(out), "-o", str(out.parent / "shards"), "--engine", "ray"]
    try:
        app(prog_name="quantal")
    except SystemExit as end:
        seen["pack"] = end.code
    import math, time
    from quantal.eval import work
    numbers = work.spread(math.sqrt, [4, -1, 9], jobs=0, engine="ray")
    seen["roots"] = {task: getattr(found, "reason", found) for task, found in numbers}
    slow = work.spread(time.sleep, [60], jobs=1, engine="ray", timeout=1)
    seen["slow"] = [found.reason for _, found in slow]
finally:
    cluster.shutdown()
    print(json.dumps(seen))
"""


#: Ray gives its workers the lowest priority and ends those that take long to start, which on a busy
#: machine is all of them.
QUICK = {"RAY_worker_niceness": "0", "RAY_worker_register_timeout_seconds": "300"}

try:
    math.sqrt(-1)
except ValueError as error:  # whose words depend on Python's version
    REASON = str(error)


@pytest.fixture
def session_folder() -> Iterator[Path]:
    """A folder of its own for a cluster, whose sockets want a short name."""
    folder = Path(tempfile.mkdtemp(prefix="qray", dir="/tmp"))
    yield folder
    for pid in outlived(folder):  # where a test has failed
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def outlived(folder: Path) -> list[int]:
    """Return processes that a cluster has left."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.fsencode(folder) in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def ended(folder: Path) -> bool:
    """Wait until a cluster has left no process."""
    deadline = time.monotonic() + 60
    while outlived(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not outlived(folder)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_node_that_is_killed_costs_a_batch(photograph, tmp_path, session_folder) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for index in range(40):
        photograph.crop((index, 0, index + 256, 192)).save(folder / f"{index:02}.png")
    for name in ("cut", "empty"):
        (folder / f"{name}.png").write_bytes((folder / "00.png").read_bytes()[:99])
    Image.new("RGB", (1, 1)).save(folder / "small.png")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(out)],
        capture_output=True,
        timeout=300,
        env={**os.environ, **QUICK, "RAY_TMPDIR": str(session_folder)},
    )
    assert done.returncode == 0, done.stderr.decode()
    texts = done.stdout.decode().split("----\n")
    first, second, seen = *map(json.loads, texts[:2]), json.loads(texts[2].splitlines()[-1])
    assert seen["actors"] == 1 and 2 < seen["parts"] < 43
    assert (seen["first"], seen["second"]) == (1, 1)
    assert (first["workers"], first["done"], first["failed"]) == (2, 41, 2)
    assert (second["done"], second["finished_before"]) == (0, 41)
    assert {failure["input"] for failure in second["failures"]} == {"cut.png", "empty.png"}
    assert len(list(out.glob("*.qtl"))) == 41
    rows = pl.read_parquet(out / ".quantal/parts/*.parquet").filter(pl.col("status") == "done")
    assert rows["path"].n_unique() == rows.height == 41
    assert seen["pack"] == 0 and len(list(tmp_path.glob("shards/*.qshard"))) == 1
    assert seen["roots"] == {"4": 2.0, "-1": "ValueError: " + REASON, "9": 3.0}
    assert seen["slow"] == ["gave no answer within 1 s and was stopped"]
    assert ended(session_folder)


def test_a_cluster_that_does_not_answer_is_named(monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(
        QuantalError, match=r"Ray cluster at 127\.0\.0\.1:1 does not answer: Connection"
    ):
        Ray()


def places(asked: int | None, *cpus: int) -> list[str]:
    nodes = [
        {"NodeID": f"n{number}", "Alive": True, "Resources": {"CPU": float(count)} if count else {}}
        for number, count in enumerate(cpus)
    ]
    engine = Ray.__new__(Ray)
    engine._ray = SimpleNamespace(nodes=lambda: nodes)
    return engine._places(asked)


def test_a_node_keeps_a_cpu_for_itself() -> None:
    assert places(None, 4, 2, 1) == ["n0", "n0", "n0", "n1", "n2"]
    assert places(2, 4, 2) == ["n0", "n0"]
    assert places(6, 4, 2) == ["n0", "n0", "n0", "n1", "n0", "n1"]


def test_a_cluster_without_cpus_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no CPUs on 2 nodes"):
        places(None, 0, 0)
    with pytest.raises(ArgumentError, match="7 workers need as many CPUs, and the Ray cluster has"):
        places(7, 4, 2)


def test_signals_keep_what_handles_them() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with kept_signals():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before
