"""Killed workers, memory that runs out, a disk that is full: the rest is measured, or kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from quantal.errors import OutputError, QuantalError
from quantal.eval import measure
from quantal.eval.classical.still import Jpeg
from quantal.eval.journal import Journal
from quantal.eval.rd import JOURNAL, Plan, measure_rd
from quantal.eval.work import Failure, spread

HOME = Path(__file__).parents[2]

#: A measurement whose JPEG encoder gets its process killed by pictures that are mostly blue.
DEADLY = """
import json, os, signal, sys
from quantal.eval.classical.still import Jpeg

encode = Jpeg.encode

def deadly(self, image, quality):
    red, _, blue = image.reshape(-1, 3).mean(0)
    if blue > red + 30 and quality == 60:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(self, image, quality)

Jpeg.encode = deadly
GRID = {"": (20.0, 60.0, 80.0)}
"""
RD = """
if __name__ == "__main__":
    from quantal.eval.rd import Plan, measure_rd
    data, out = sys.argv[1:]
    found = measure_rd(Plan(("jpeg",), data, out, metrics=("psnr",), qualities=GRID, jobs=2))
    print(json.dumps([[row.picture, row.quality, row.error] for row in found.failures]))
"""
#: A disk that is full after some measurements.
FULL = """
import resource, sys
from quantal.cli import app
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
app(sys.argv[2:])
"""


def run(script: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


@pytest.fixture
def pictures(tmp_path: Path, photograph: Image.Image) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(2):
        photograph.crop((60 * i, 0, 60 * i + 80, 70)).save(folder / f"{i}.png")
    Image.new("RGB", (64, 48), "blue").save(folder / "blue.png")
    return folder


def killed(task: str) -> str:
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return task.upper()


def test_a_killed_process_names_memory() -> None:
    results = dict(spread(killed, ["a", "killed", "b"], jobs=1))
    assert (results["a"], results["b"]) == ("A", "B")
    assert results["killed"] == Failure(
        "its process was killed (SIGKILL), most likely because memory ran out: use fewer jobs, or "
        "smaller pictures"
    )


def test_a_killed_worker_of_rd_costs_its_own_row(pictures: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(DEADLY + RD)
    done = run(script, pictures, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    ((picture, quality, reason),) = json.loads(done.stdout)
    assert (picture, quality) == ("blue.png", 60) and "because memory ran out" in reason
    assert len(Journal(tmp_path / "out" / JOURNAL).entries) == 9


@pytest.mark.parametrize(
    "raised", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_codec_without_memory(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    encode = Jpeg.encode

    def hungry(self: Jpeg, image: np.ndarray, quality: float) -> bytes:
        if quality == 60 and image.shape[1] == 80:
            raise raised
        return encode(self, image, quality)

    monkeypatch.setattr(Jpeg, "encode", hungry)
    plan = Plan(("jpeg",), pictures, tmp_path / "o", ("psnr",), {"": (20.0, 60.0)}, jobs=0)
    rows = measure_rd(plan).failures
    assert [(row.picture, row.quality) for row in rows] == [("0.png", 60), ("1.png", 60)]
    assert all((row.error or "").startswith("coding 80x70 pixels needs more") for row in rows)


def test_a_metric_without_memory_costs_one_row(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vast(original: np.ndarray, decoded: np.ndarray) -> float:
        return float(torch.empty(1 << 50)[0])  # a real error of torch's allocator

    monkeypatch.setattr(measure, "metric", lambda name, weights: vast)
    plan = Plan(("jpeg",), pictures, tmp_path / "o", ("psnr",), {"": (20.0,)}, jobs=0)
    rows = measure_rd(plan).failures
    assert len(rows) == 3
    assert (rows[0].error or "").startswith("measuring psnr of 80x70 pixels needs more memory")


def test_a_disk_that_is_full_keeps_what_is_measured(pictures: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "full.py", tmp_path / "out"
    script.write_text(FULL)
    words = (
        "eval", "rd", "--codecs", "jpeg,webp", "--data", pictures, "--out", out, "--metrics",
        "psnr", "--qualities", "20,60,80", "--jobs", "0", "--no-report",
    )  # fmt: skip
    done = run(script, 2000, *words)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{out / JOURNAL} can't be written" in done.stderr
    whole = (out / JOURNAL).read_bytes()
    assert len(whole) == 2000 and not whole.endswith(b"\n")  # half a line
    known = whole.count(b"\n")
    done = run(script, 1 << 40, *words)
    assert done.returncode == 0
    assert len(Journal(out / JOURNAL).entries) == 18
    assert (out / JOURNAL).read_bytes().startswith(whole[: whole.rindex(b"\n") + 1]) and known > 2
    # The journal fits now, the tables don't.
    for path in ("rows.csv", "rows.parquet", "results.json"):
        (out / path).unlink()
    done = run(script, 900, *words)
    assert done.returncode == 1 and f"{out / 'rows.csv'} can't be written" in done.stderr
    assert not list(out.glob("*rows.csv*"))  # no half file either


def test_a_journal_on_a_full_device(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"rows\.jsonl can't be written: No space left"):
        Journal(path).append({"a": 1})


def test_a_closed_standard_error(pictures: Path, tmp_path: Path) -> None:
    words = (
        "eval", "rd", "--codecs", "jpeg", "--data", pictures, "--out", tmp_path / "out",
        "--metrics", "psnr", "--qualities", "20,60,80", "--jobs", "0", "--no-report",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "quantal", *map(str, words)],
        stdout=subprocess.DEVNULL,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.close(2),
    )
    assert done.returncode == 0 and (tmp_path / "out" / "results.json").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
def test_a_link_to_itself_is_no_folder(pictures: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for data, out in ((pictures, loop), (loop, tmp_path / "out")):
        with pytest.raises(QuantalError, match="loop"):
            measure_rd(Plan(codecs=("hyperprior",), data=data, out=out, jobs=0))
