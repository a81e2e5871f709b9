"""Files and folders take their name when they are complete."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from quantal.errors import OutputError
from quantal.outputs import replaced_whole, write_whole


def test_a_file_replaces_another_when_complete(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with replaced_whole(tmp_path / "a") as partial:
        partial.write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_folder_takes_its_name_when_complete(tmp_path: Path) -> None:
    with replaced_whole(tmp_path / "a") as partial:
        partial.mkdir()
        (partial / "1").write_text("x")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "1").read_text() == "x"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_is_left_after_an_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replaced_whole(tmp_path / "a") as partial:
        if kind == "file":
            partial.write_text("half")
        else:
            partial.mkdir()
            (partial / "1").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_names_may_have_255_bytes(tmp_path: Path) -> None:
    name = "ö" * 127
    write_whole(tmp_path / name, b"new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_links_are_followed_and_pipes_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "a").read_bytes() == b"new"
    os.mkfifo(tmp_path / "pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_whole(tmp_path / "pipe", b"through")
    reader.join(timeout=60)
    assert found == [b"through"] and not (tmp_path / "pipe").is_file()


def test_errors_of_the_system_are_ours(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "1").write_text("x")
    for path in (tmp_path / "missing" / "a", tmp_path / "folder", tmp_path / ("a" * 300)):
        with pytest.raises(OutputError, match="can't be written"):
            write_whole(path, b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
