"""Folders, links, pipes and names that are given to a command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")
CHEAP = ("--codec", "hyperprior")


@pytest.fixture
def tree(tmp_path: Path, qtl: Path) -> Path:
    """Two folders, each with a .qtl file."""
    for name in ("one", "two"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        shutil.copy(qtl, tmp_path / "tree" / name / f"{name}.qtl")
    return tmp_path / "tree"


@pytest.fixture
def closed(monkeypatch, tree) -> Path:
    """A folder that can't be listed, as root's lost+found; permissions don't bind root."""
    folder = tree / "lost+found"
    folder.mkdir()
    scan = os.scandir

    def refuse(path: os.PathLike[str]):
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return folder


@pytest.mark.parametrize("words", [["info"], ["verify", "--checksums"]])
def test_a_folder_that_cannot_be_listed_is_one_failure(quantal, tree, closed, words) -> None:
    call = quantal(*words, "-r", tree)
    assert call.status == 1
    assert call.err == f"{closed}: this folder can't be listed: Permission denied\n"
    assert "one.qtl" in call.out and "two.qtl" in call.out
    alone = quantal(*words, closed, tree / "one" / "one.qtl")
    assert alone.status == 1 and "one.qtl" in alone.out and "can't be listed" in alone.err


def test_pictures_beside_a_folder_that_cannot_be_listed_are_done(
    quantal, tree, closed, photo, tmp_path
) -> None:
    shutil.copy(photo, tree / "one" / "a.png")
    call = quantal("compress", "-r", tree, "-o", tmp_path / "out", *CHEAP)
    assert call.status == 1 and "can't be listed" in call.err
    call = quantal("decompress", "-r", tmp_path / "out", closed, "-o", tmp_path / "back")
    assert call.status == 1 and "can't be listed" in call.err
    assert (tmp_path / "back" / "one" / "a.png").is_file()


@posix
def test_linked_folders_are_followed_once(quantal, tree, tmp_path) -> None:
    (tree / "a-link").symlink_to(tree / "one")
    (tree / "one" / "up").symlink_to(tree)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(tree / "one" / "one.qtl", elsewhere / "three.qtl")
    (tree / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(tree)
    call = quantal("verify", "--checksums", "-r", tree, "--json")
    assert call.status == 0
    names = [entry["file"] for entry in call.document]
    assert names == [
        str(tree / name) for name in ("one/one.qtl", "two/two.qtl", "linked/three.qtl")
    ]


@posix
def test_links_that_lead_nowhere_and_pipes_in_folders_are_named(quantal, tree) -> None:
    (tree / "one" / "broken.qtl").symlink_to("nothing")
    (tree / "one" / "loop.qtl").symlink_to("loop.qtl")
    os.mkfifo(tree / "one" / "pipe.qtl")
    call = quantal("verify", "--checksums", "-r", tree)
    assert call.status == 1
    assert "one.qtl: ok" in call.out and "two.qtl: ok" in call.out
    lines = sorted(call.err.splitlines())
    assert [line.partition(": ")[0] for line in lines] == [
        str(tree / "one" / name) for name in ("broken.qtl", "loop.qtl", "pipe.qtl")
    ]
    assert "No such file" in lines[0] and "symbolic links" in lines[1] and "pipe" in lines[2]


def test_what_a_folder_held_besides_is_counted(quantal, photo, tmp_path) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    shutil.copy(photo, folder)
    for name in ("a.txt", "b.TXT", "c.mov", ".hidden", "done.qtl"):
        (folder / name).touch()
    call = quantal("compress", folder, "-o", tmp_path / "out", "--json", *CHEAP)
    assert (call.status, len(call.document)) == (0, 1)
    assert call.err == f"{folder}: skipped 3 files that are not pictures: 2 .txt, 1 .mov\n"
    (folder / "b.TXT").unlink()
    (folder / "c.mov").unlink()
    call = quantal("compress", folder, "-o", tmp_path / "out2", *CHEAP)
    assert call.err == f"{folder}: skipped 1 file that is not a picture: 1 .txt\n"
    (folder / "done.qtl").unlink()
    call = quantal("verify", folder)
    assert call.status == 1
    assert "no file to take (.qcube, .qtl); it holds 1 .txt, 1 .png;" in call.err


def feeding(path: Path, data: bytes) -> Callable[[], None]:
    """Write to a named pipe as soon as it is read; the function waits for that."""
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(data,), daemon=True)
    thread.start()
    return lambda: thread.join(60)


@posix
@pytest.mark.parametrize(
    "words", [["info"], ["verify"], ["decompress", "-o", "x.png"], ["latents", "-o", "x.st"]]
)
def test_a_named_pipe_is_read_once(quantal, tmp_path, monkeypatch, coded, words) -> None:
    monkeypatch.chdir(tmp_path)
    done = feeding(tmp_path / "pipe.qtl", coded)
    call = quantal(words[0], "pipe.qtl", *words[1:])
    done()
    assert (call.status, call.err) == (0, "")
    assert "pipe.qtl" in call.out


@posix
@pytest.mark.slow
def test_pipes_are_compressed_by_one_process_or_several(quantal, photo, tmp_path) -> None:
    quantal("compress", photo, *CHEAP)
    waits = [feeding(tmp_path / name, photo.read_bytes()) for name in ("a.png", "b.png", "c.png")]
    one = quantal("compress", tmp_path / "a.png", *CHEAP, "--json")
    several = quantal("compress", tmp_path / "b.png", tmp_path / "c.png", "--jobs", 2, *CHEAP)
    for done in waits:
        done()
    assert (one.status, several.status) == (0, 0)
    assert one.document[0]["bytes_in"] == photo.stat().st_size
    for name in "abc":
        made = (tmp_path / name).with_suffix(".qtl").read_bytes()
        assert made == photo.with_suffix(".qtl").read_bytes()


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="needs /dev/fd")
def test_what_a_shell_substitutes_for_a_process_is_read(quantal, qtl, photo, tmp_path) -> None:
    command = [sys.executable, "-m", "quantal", "info", "--json"]
    reading, writing = os.pipe()
    os.write(writing, qtl.read_bytes())
    os.close(writing)
    done = subprocess.run(
        [*command, f"/dev/fd/{reading}"], pass_fds=[reading], capture_output=True, timeout=60
    )
    os.close(reading)
    assert done.returncode == 0 and f'"bytes": {qtl.stat().st_size}' in done.stdout.decode()
    done = subprocess.run(
        [*command, "/dev/stdin"], input=qtl.read_bytes(), capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@posix
def test_a_device_that_cannot_be_read_is_named(quantal, qtl, tmp_path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.qtl"))
        call = quantal("info", tmp_path / "socket.qtl", os.devnull, qtl)
    assert call.status == 1
    assert "socket.qtl: " in call.err and f"{os.devnull}: " in call.err
    assert "640 x 480" in call.out


@posix
def test_an_endless_stream_is_refused(quantal, monkeypatch) -> None:
    from quantal.cli import _sources

    monkeypatch.setattr(_sources, "STREAM_LIMIT", 1 << 22)
    call = quantal("compress", "/dev/zero", "-o", "x.qtl")
    assert call.status == 1 and "/dev/zero: more than" in call.err


ODD = [b"caf\xe9", b"two\nlines", b"esc\x1b[31mred", "ü€".encode()]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_any_name_is_done_and_shown(quantal, photo, tmp_path, jobs) -> None:
    pictures, out, back = (os.fsencode(tmp_path / name) for name in ("in", "out", "back"))
    os.mkdir(pictures)
    for name in ODD:
        shutil.copy(photo, os.path.join(pictures, name + b".png"))
    options = ("--jobs", jobs)
    call = quantal("compress", tmp_path / "in", "-o", tmp_path / "out", *options, *CHEAP)
    assert call.status == 0 and not call.err
    for shown in (r"caf\xe9.png", r"two\nlines.png", r"esc\x1b[31mred.png", "ü€.png"):
        assert f"{shown} -> " in call.out
    assert call.out.count("\n") == len(ODD)
    call = quantal("decompress", tmp_path / "out", "-o", tmp_path / "back", "--json", *options)
    assert sorted(os.path.basename(entry["input"]) for entry in call.document) == sorted(
        ["caf\\xe9.qtl", "two\nlines.qtl", "esc\x1b[31mred.qtl", "ü€.qtl"]
    )
    assert sorted(os.listdir(out)) == sorted(name + b".qtl" for name in ODD)
    assert sorted(os.listdir(back)) == sorted(name + b".png" for name in ODD)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "utf-8:strict"},
    ],
)
def test_no_name_stops_a_terminal_of_any_encoding(qtl, tmp_path, environment) -> None:
    folder = os.fsencode(tmp_path / "in")
    os.mkdir(folder)
    for name in ODD:
        shutil.copy(qtl, os.path.join(folder, name + b".qtl"))
        with open(os.path.join(folder, name + b"-bad.qtl"), "wb") as file:
            file.write(b"bad")
    for words in (["info"], ["info", "--json"], ["verify", "--checksums"]):
        done = subprocess.run(
            [sys.executable, "-m", "quantal", *words, folder],
            env={**os.environ, **environment},
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr and b"unexpected" not in done.stderr
        assert done.stderr.count(b"\n") == len(ODD)
        assert done.stdout.count(b"\\xe9.qtl") == 1 and b"\x1b" not in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_names_in_errors_are_shown(tmp_path) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9"
    calls = [
        [b"compress", odd + b".png"],
        [b"train", odd + b".yaml"],
        [b"eval", b"bdrate", odd + b".csv", odd + b".csv"],
        [b"latents", odd + b".qtl", b"-o", odd],
        [b"decompress", b"a.qtl", b"-o", odd + b".xyz"],
        [b"info", odd + b".qtl", b"--bogus" + odd],
    ]
    for words in calls:
        done = subprocess.run(
            [sys.executable, "-m", "quantal", *words], capture_output=True, timeout=60
        )
        assert done.returncode in (1, 2), words
        assert b"Traceback" not in done.stderr, words
