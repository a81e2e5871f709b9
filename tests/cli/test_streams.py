"""Standard streams that are closed, full, or without a reader."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full"),
    pytest.mark.skipif(not Path("/bin/sh").exists(), reason="needs a shell"),
]

CLOSED, FULL = ">&-", ">/dev/full"


def shell(line: str, *names: object) -> tuple[int, str, str]:
    """Run a line of a shell, in which Q is the command; return its status and what it said.

    Args:
        line: Line of a shell; $1, $2 … are `names`.
    """
    command = " ".join(map(shlex.quote, (sys.executable, "-m", "quantal")))
    done = subprocess.run(
        ["/bin/sh", "-c", line.replace("Q ", f"{command} "), "sh", *map(str, names)],
        capture_output=True,
        timeout=120,
        cwd=Path(str(names[0])).parent,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    for words in ("Traceback", "Exception ignored", "unexpected"):
        assert words not in err
    return done.returncode, out, err


@pytest.mark.parametrize("words", ["info", "info --json", "verify --checksums"])
@pytest.mark.parametrize("how", [CLOSED, FULL])
def test_a_lost_answer_is_a_failure_that_names_the_stream(qtl, words, how) -> None:
    status, _, err = shell(f'Q {words} "$1" {how}', qtl)
    assert status == 1
    assert err.startswith("quantal: standard output can't be written: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", ["--help", "codecs", "codecs --json", "--version"])
def test_every_command_names_a_lost_stream(qtl, words) -> None:
    status, _, err = shell(f"Q {words} {FULL}", qtl)
    assert status == 1 and err.startswith("quantal: standard output can't be written: ")


def test_an_answer_survives_the_other_streams(qtl) -> None:
    for how in ("2>&-", "2>/dev/full", "<&-"):
        status, out, _ = shell(f'Q info "$1" {how}', qtl)
        assert status == 0 and "640 x 480" in out
        status, out, _ = shell(f'Q info "$1" nothing.qtl {how}', qtl)
        assert status == 1 and "640 x 480" in out


def test_all_streams_closed(qtl) -> None:
    assert shell('Q info "$1" <&- >&- 2>&-', qtl)[0] == 1


def test_a_reader_that_is_gone_is_status_141(qtl) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for words in (["info", str(qtl)], ["info", "--json", str(qtl)], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "quantal", *words],
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (141, b"")
    os.close(writing)


@pytest.mark.parametrize("words", ["info a.qtl", "codecs --plugin a.py", "verify --plugin a.py a"])
def test_a_folder_that_is_gone_is_no_reason_for_a_traceback(qtl, words) -> None:
    status, _, err = shell(f"mkdir gone && cd gone && rmdir ../gone && Q {words}", qtl)
    assert status == 1 and err == "quantal: No such file or directory\n"


def test_standard_input_that_is_closed_is_named(qtl) -> None:
    for words in ("info -", "verify -", "compress - -o x.qtl", "decompress - -o x.png"):
        status, _, err = shell(f"Q {words} <&-", qtl)
        assert status == 1 and "standard input is closed" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jobs", "how", "status"),
    [
        (1, "2>&-", 0),
        (1, FULL, 1),
        (1, "--json >/dev/full", 1),
        (2, "<&- >&- 2>&-", 1),
        # Tests above lose these streams in calls that take less time.
        pytest.param(1, "2>/dev/full", 0, marks=pytest.mark.thorough),
        pytest.param(1, CLOSED, 1, marks=pytest.mark.thorough),
        pytest.param(2, "<&-", 0, marks=pytest.mark.thorough),
    ],
)
def test_files_are_written_whatever_the_streams_are(photo, tmp_path, jobs, how, status) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    options = f"--codec hyperprior --jobs {jobs} -o out"
    found, _, err = shell(f'Q compress "$1" "$2" {options} {how}', photo, other)
    assert found == status
    assert sorted(os.listdir(tmp_path / "out")) == ["other.qtl", "photo.qtl"]
    if status and "2>" not in how:
        assert "standard output can't be written" in err


@pytest.mark.slow
def test_a_result_that_standard_output_loses_is_a_failure(photo) -> None:
    for how in (CLOSED, FULL):
        status, _, err = shell(f'Q compress "$1" -o - --codec hyperprior {how}', photo)
        assert status == 1 and "photo.png: its result was lost" in err


def test_a_torch_that_cannot_be_imported_is_named(qtl, photo, tmp_path) -> None:
    (tmp_path / "broken" / "torch").mkdir(parents=True)
    module = tmp_path / "broken" / "torch" / "__init__.py"
    path = os.pathsep.join(filter(None, [str(module.parents[1]), os.environ.get("PYTHONPATH")]))
    recipe = tmp_path / "recipe.yaml"
    recipe.touch()
    calls = [
        ["compress", photo, "-o", "x.qtl"],
        ["decompress", qtl, "-o", "x.png"],
        ["verify", qtl],
        ["latents", qtl, "-o", "x.safetensors"],
        ["onnx", "vq", "-o", tmp_path],
        ["train", recipe],
    ]
    for number, words in enumerate(calls):
        error = ("ImportError", "OSError")[number % 2]
        module.write_text(f"raise {error}('libgone.so: cannot open shared object file')")
        done = subprocess.run(
            [sys.executable, "-m", "quantal", *map(str, words)],
            env={**os.environ, "PYTHONPATH": path, "QUANTAL_BACKEND": "torch"},
            capture_output=True,
            timeout=120,
            cwd=tmp_path,
        )
        assert done.returncode == 1, words
        assert b"torch can't be imported: libgone.so" in done.stderr, words
        assert done.stderr.endswith(b"; reinstall it\n") and done.stderr.count(b"\n") == 1


def test_json_of_one_file_is_null_where_it_is_no_file(qtl) -> None:
    assert shell("Q info --json - <&-", qtl)[:2] == (1, "null\n")
