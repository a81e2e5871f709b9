"""What goes wrong gets a reason and the right exit status, and nothing of the user's is lost."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from quantal.cli import _targets


@pytest.fixture
def made(coded, tmp_path):
    """The small photograph, coded."""
    path = tmp_path / "photo.qtl"
    path.write_bytes(coded)
    return path


def fails(call, *words: str) -> None:
    assert call.status == 1
    for word in words:
        assert word in call.err
    assert "Traceback" not in call.err


@pytest.mark.parametrize("content", [b"", b"no picture at all", bytes(5000)])
def test_what_is_no_picture_is_refused(quantal, tmp_path, content) -> None:
    path = tmp_path / "odd.jpg"
    path.write_bytes(content)
    fails(quantal("compress", path), str(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("command", ["compress", "decompress", "info", "verify"])
@pytest.mark.parametrize("content", [None, b"", b"no file of ours"])
@pytest.mark.parametrize("before", ["", "./"])
def test_a_file_that_fails_is_named_once(
    quantal, tmp_path, monkeypatch, command, content, before
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "odd.bin").write_bytes(content)
    call = quantal(command, f"{before}odd.bin")
    assert call.err.startswith(f"{before}odd.bin: ")
    assert call.err.count("odd.bin") == 1
    assert (call.status, call.err.count("\n")) == (1, 1)


def test_a_truncated_png_is_refused(quantal, photo) -> None:
    photo.write_bytes(photo.read_bytes()[:-2000])
    fails(quantal("compress", photo), str(photo))
    assert list(photo.parent.iterdir()) == [photo]


def test_one_bad_file_does_not_stop_the_others(quantal, photo, tmp_path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"bad")
    call = quantal("compress", bad, tmp_path / "absent.png", photo, "--json")
    fails(call, "bad.png", "absent.png")
    assert [entry["input"] for entry in call.document] == [str(photo)]


@pytest.mark.parametrize("keep", [0, 2, 9, 20, 60, -1])
def test_a_cut_qtl_gives_no_picture(quantal, made, keep) -> None:
    made.write_bytes(made.read_bytes()[:keep])
    out = made.with_name("out.png")
    fails(quantal("decompress", made, "-o", out), str(made))
    assert not out.exists()


def test_a_picture_is_no_qtl(quantal, photo) -> None:
    fails(quantal("decompress", photo, "-o", photo.with_name("out.png")), "not a .qtl")


def test_an_existing_output_is_kept_without_force(quantal, photo) -> None:
    out = photo.with_suffix(".qtl")
    out.write_bytes(b"precious")
    fails(quantal("compress", photo), "--force")
    assert out.read_bytes() == b"precious"
    assert quantal("compress", photo, "--force").status == 0
    assert out.read_bytes() != b"precious"


def test_an_input_is_never_its_own_output(quantal, photo) -> None:
    before = photo.read_bytes()
    fails(quantal("compress", photo, "-o", photo, "--force"), "is an input")
    link = photo.with_name("link.qtl")
    link.symlink_to(photo)
    fails(quantal("compress", photo, "-o", link, "--force"), "is an input")
    assert photo.read_bytes() == before


def test_two_inputs_never_share_an_output(quantal, photo, tmp_path) -> None:
    other = tmp_path / "photo.bmp"
    with Image.open(photo) as image:
        image.save(other)
    call = quantal("compress", photo, other, "--json")
    fails(call, str(photo), str(other))
    assert [entry["input"] for entry in call.document] == [str(photo)]


def test_a_file_named_twice_is_done_once(quantal, photo) -> None:
    call = quantal("compress", photo, photo, "--json")
    assert (call.status, len(call.document)) == (0, 1)


@pytest.mark.parametrize(
    "options",
    [
        ["-q", "50", "--bpp", "1"],
        ["--psnr", "30", "--max-bytes", "1000"],
        ["-q", "0"],
        ["-q", "101"],
        ["-q", "high"],
        ["--bpp", "-1"],
        ["--bpp", "nan"],
        ["--max-bytes", "0"],
        ["--codec", "no-such-codec"],
        ["--device", "abacus"],
        ["--jobs", "0"],
        ["--strip", ","],
        ["--json", "-o", "-"],
        ["--no-such-option"],
    ],
)
def test_a_wrong_call_is_status_2_and_does_nothing(quantal, photo, options) -> None:
    call = quantal("compress", photo, *options)
    assert call.status == 2
    assert call.err
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.parametrize("options", [["-o", "x.tiff"], ["--format", "jpg", "-o", "x.png"]])
def test_a_picture_is_not_written_as_what_it_is_not(quantal, made, options) -> None:
    assert quantal("decompress", made, *options).status == 2


@pytest.mark.parametrize("options", [["--format", "mp4"], ["-o", "x.mkv"]])
def test_a_picture_is_not_written_as_a_clip(quantal, made, options) -> None:
    fails(quantal("decompress", made, *options), "a picture can't be written as")


def test_several_results_need_a_folder(quantal, photo, tmp_path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(photo.read_bytes())
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert quantal("compress", photo, other, "-o", file).status == 2
    assert quantal("compress", photo, other, "-o", "-").status == 2


@pytest.mark.parametrize(
    ("command", "name"),
    [("compress", "one.qtl"), ("compress", "ONE.QTL"), ("decompress", "one.png"),
     ("decompress", "one.jpeg")],
)  # fmt: skip
def test_a_name_of_one_file_is_no_folder_for_several(
    quantal, photo, made, tmp_path, command, name
) -> None:
    inputs = [photo, photo.parent] if command == "compress" else [made, made.parent]
    out = tmp_path / "new" / name
    call = quantal(command, *inputs, "-o", out)
    assert call.status == 2
    for words in (f"{out} is the name of a file", "need a folder", f"{out}/"):
        assert words in call.err
    assert quantal(command, inputs[1], "-o", out).status == 2
    assert not out.parent.exists()


def test_a_folder_may_be_called_like_a_file(quantal, photo, tmp_path) -> None:
    for out in (f"{tmp_path / 'asked.qtl'}/", tmp_path / "there.qtl", tmp_path / "kodak.2024"):
        if "there" in str(out):
            out.mkdir()
        assert quantal("compress", photo.parent, "-o", out, "--json").status == 0
        assert os.listdir(out) == [photo.with_suffix(".qtl").name]


@pytest.mark.parametrize("arguments", [["absent.yaml"], [__file__, "no-equals-sign"], []])
def test_train_checks_its_call_first(quantal, arguments) -> None:
    assert quantal("train", *arguments).status == 2


def test_latents_are_those_of_one_file(quantal, tmp_path) -> None:
    assert quantal("latents", tmp_path, "-o", tmp_path / "out.safetensors").status == 2


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")]
)
def test_a_failing_disk_leaves_nothing_behind(quantal, photo, monkeypatch, code, words) -> None:
    class Failing(io.BufferedWriter):
        def write(self, data) -> int:
            super().write(data[: len(data) // 2])
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(_targets, "_open_new", lambda path: Failing(io.FileIO(path, "w")))
    fails(quantal("compress", photo), words)
    assert list(photo.parent.iterdir()) == [photo]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 16 KiB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    linux = sys.platform.startswith("linux")
    if not linux or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_behind(quantal, photo, tiny_disk) -> None:
    (tiny_disk / "filler").write_bytes(bytes(16384))
    fails(quantal("compress", photo, "-o", tiny_disk / "out.qtl"), "disk is full")
    assert [path.name for path in tiny_disk.iterdir()] == ["filler"]


def test_a_read_only_file_system_is_said_to_be_one(quantal, photo, tiny_disk) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    fails(quantal("compress", photo, "-o", tiny_disk / "out.qtl"), "read-only")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission(quantal, photo) -> None:
    photo.parent.chmod(0o500)
    try:
        fails(quantal("compress", photo), "permission")
    finally:
        photo.parent.chmod(0o700)


def test_an_output_below_a_file_is_refused(quantal, photo) -> None:
    fails(quantal("compress", photo, "-o", photo / "out.qtl"), "is a file; remove it")


def test_devices_are_written_to_not_replaced(quantal, photo) -> None:
    assert quantal("compress", photo, "-o", os.devnull).status == 0
    assert not os.path.isfile(os.devnull)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_in_a_batch_leaves_whole_files_only(quantal, photograph, tmp_path, jobs) -> None:
    for index in range(40):
        photograph.save(tmp_path / f"{index:02}.png", compress_level=1)
    options = ["-o", str(tmp_path / "o"), "--jobs", str(jobs), "--codec", "hyperprior"]
    process = subprocess.Popen(
        [sys.executable, "-m", "quantal", "compress", str(tmp_path), *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "o").glob("*.qtl")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted" in err
    assert b"Traceback" not in err
    done = list((tmp_path / "o").iterdir())
    assert 0 < len(done) < 40
    assert all(path.suffix == ".qtl" for path in done)
    assert quantal("verify", tmp_path / "o").status == 0
