"""Outputs through links, batches that are finished later, and times of files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from quantal import container

CHEAP = ("--codec", "hyperprior")
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


@posix
def test_force_writes_through_a_link(quantal, photo, tmp_path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "real.qtl").write_bytes(b"old")
    link = tmp_path / "link.qtl"
    link.symlink_to("kept/real.qtl")
    assert quantal("compress", photo, "-o", link, *CHEAP).status == 1
    assert (kept / "real.qtl").read_bytes() == b"old"
    assert quantal("compress", photo, "-o", link, "--force", *CHEAP).status == 0
    assert link.is_symlink() and os.readlink(link) == "kept/real.qtl"
    assert (kept / "real.qtl").read_bytes().startswith(container.MAGIC)
    assert os.listdir(kept) == ["real.qtl"]


@posix
def test_links_that_lead_nowhere_as_outputs(quantal, photo, tmp_path) -> None:
    broken, loop = tmp_path / "broken.qtl", tmp_path / "loop.qtl"
    broken.symlink_to("new.qtl")
    loop.symlink_to("loop.qtl")
    assert "exists already" in quantal("compress", photo, "-o", broken, *CHEAP).err
    assert quantal("compress", photo, "-o", broken, "--force", *CHEAP).status == 0
    assert broken.is_symlink() and (tmp_path / "new.qtl").is_file()
    call = quantal("compress", photo, "-o", loop, "--force", *CHEAP)
    assert call.status == 1 and "symbolic links" in call.err
    assert loop.is_symlink()


def test_a_folder_of_the_name_of_an_output_is_kept(quantal, photo, tmp_path) -> None:
    folder = tmp_path / "out" / "photo.qtl"
    folder.mkdir(parents=True)
    for options in ([], ["--force"], ["--skip-existing"]):
        call = quantal("compress", photo, "-o", tmp_path / "out", *options, *CHEAP)
        assert call.status == 1 and "is a folder" in call.err


def test_a_batch_is_finished_with_skip_existing(quantal, photo, tmp_path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(photo, tmp_path / name)
    photo.unlink()
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.qtl").write_bytes(b"mine")
    words = ("compress", tmp_path, "-o", out, "--skip-existing", "--json", *CHEAP)
    call = quantal(*words)
    assert call.status == 0
    assert [os.path.basename(entry["output"]) for entry in call.document] == ["a.qtl", "c.qtl"]
    assert call.err == "skipped 1 input whose output exists\n"
    assert (out / "b.qtl").read_bytes() == b"mine"
    call = quantal(*words)
    assert (call.status, call.document) == (0, [])
    assert call.err == "skipped 3 inputs whose outputs exist\n"
    (out / "b.qtl").unlink()
    assert quantal("decompress", out, "-o", tmp_path / "back").status == 0
    call = quantal("decompress", out, "-o", tmp_path / "back", "--skip-existing")
    assert (call.status, call.out) == (0, "")
    for command in ("compress", "decompress"):
        call = quantal(command, out / "a.qtl", "--skip-existing", "--force")
        assert call.status == 2 and "--skip-existing and --force" in call.err


def test_keep_time_gives_outputs_the_times_of_inputs(quantal, photo, tmp_path) -> None:
    times = (1_000_000_001_000_000_000, 1_100_000_001_000_000_000)
    os.utime(photo, ns=times)
    coded = photo.with_suffix(".qtl")
    assert quantal("compress", photo, *CHEAP).status == 0
    assert coded.stat().st_mtime_ns != times[1]
    os.utime(photo, ns=times)
    assert quantal("compress", photo, "--force", "--keep-time", *CHEAP).status == 0
    assert (coded.stat().st_atime_ns, coded.stat().st_mtime_ns) == times
    back = tmp_path / "back.png"
    assert quantal("decompress", coded, "-o", back, "--keep-time").status == 0
    assert back.stat().st_mtime_ns == times[1]
    piped = tmp_path / "piped.qtl"
    data = photo.read_bytes()
    assert quantal("compress", "-", "-o", piped, "--keep-time", *CHEAP, stdin=data).status == 0
    assert piped.stat().st_mtime_ns > times[1]


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="needs /dev/fd")
def test_two_streams_do_not_share_standard_output(photo) -> None:
    ends = []
    for _ in range(2):
        reading, writing = os.pipe()
        os.write(writing, photo.read_bytes())  # less than a pipe holds
        os.close(writing)
        ends.append(reading)
    names = [f"/dev/fd/{end}" for end in ends]
    done = subprocess.run(
        [sys.executable, "-m", "quantal", "compress", *names, *CHEAP],
        pass_fds=ends,
        capture_output=True,
        timeout=120,
    )
    for end in ends:
        os.close(end)
    assert done.returncode == 1
    assert f"{names[1]}: standard output takes the result".encode() in done.stderr
    assert done.stdout.startswith(container.MAGIC)


def test_a_slash_after_a_file_changes_no_name(quantal, photo, tmp_path) -> None:
    out = tmp_path / "out"
    call = quantal("compress", f"{photo}/", f"{tmp_path}/nothing/", "-o", out, *CHEAP)
    assert call.status == 1 and call.err.startswith(f"{tmp_path}/nothing/: ")
    assert os.listdir(out) == ["photo.qtl"]
    call = quantal("latents", f"{out}/photo.qtl/", "-o", f"{tmp_path}/latents/")
    assert call.status == 0 and os.listdir(tmp_path / "latents") == ["photo.safetensors"]


@posix
def test_what_is_in_the_way_of_a_folder_is_named(quantal, photo, tmp_path) -> None:
    broken, loop, file = tmp_path / "broken", tmp_path / "loop", tmp_path / "file"
    broken.symlink_to("nowhere")
    loop.symlink_to("loop")
    file.write_bytes(b"")
    nowhere = "a link that leads to no folder"
    for place, what in ((broken, nowhere), (loop, nowhere), (file, "a file")):
        for below in ("", "deeper/"):
            call = quantal("compress", photo, "-o", f"{place}/{below}", *CHEAP)
            assert call.status == 1 and f"{place} is {what}" in call.err
