"""quantal.read, write and the others: paths, open files, arguments that are wrong."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import quantal
from quantal import container
from quantal.errors import ArgumentError, MediaError, OutputError
from quantal.files import decode, verify


def test_a_picture_is_written_and_read_by_path(tmp_path: Path, small_photograph) -> None:
    path = tmp_path / "a.qtl"
    size = quantal.write(path, small_photograph, "hyperprior", quality=50)
    assert size == path.stat().st_size
    assert path.read_bytes() == quantal.compress(small_photograph, "hyperprior", quality=50)
    assert quantal.read(str(path)).size == small_photograph.size
    assert list(tmp_path.iterdir()) == [path]  # nothing half written stays
    other = quantal.write(path, small_photograph, "hyperprior", quality=20)
    assert other < size


def test_pictures_are_taken_by_path(photo: Path, small_photograph) -> None:
    data = quantal.compress(small_photograph, "hyperprior")
    assert quantal.compress(photo, "hyperprior") == data
    assert quantal.compress(str(photo), "hyperprior") == data
    with pytest.raises(MediaError):
        quantal.compress(photo.with_name("absent.png"), "hyperprior")


def test_files_are_taken_as_bytes_buffers_paths_and_open_files(tmp_path, small_photograph) -> None:
    data = quantal.compress(small_photograph, "hyperprior")
    path = tmp_path / "a.qtl"
    path.write_bytes(data)
    expected = np.asarray(quantal.decompress(data))
    with path.open("rb") as file:
        for source in (bytearray(data), memoryview(data), path, str(path), BytesIO(data), file):
            assert np.array_equal(np.asarray(quantal.decompress(source)), expected)
    codec = quantal.load("hyperprior", "cpu")
    assert np.array_equal(np.asarray(codec.decompress(path)), expected)
    assert codec.latents(path).width == small_photograph.width


@pytest.mark.parametrize("wrong", [None, 3, 1.5, ["a.qtl"], object()])
def test_anything_else_is_named(wrong: object) -> None:
    with pytest.raises(ArgumentError, match=rf"{type(wrong).__name__} is no \.qtl file"):
        quantal.decompress(wrong)  # type: ignore[arg-type]


def test_a_text_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    with path.open() as file, pytest.raises(ArgumentError, match="binary mode"):
        quantal.decompress(file)  # type: ignore[arg-type]


def test_paths_that_name_nothing(tmp_path: Path, small_photograph) -> None:
    with pytest.raises(MediaError, match=r"absent\.qtl can't be read"):
        quantal.read(tmp_path / "absent.qtl")
    with pytest.raises(ArgumentError, match="no path"):
        quantal.read(b"bytes")  # type: ignore[arg-type]
    for empty in (quantal.read, quantal.decompress):
        with pytest.raises(ArgumentError):
            empty("")
    with pytest.raises(OutputError, match="can't be written"):
        quantal.write(tmp_path / "no" / "folder" / "a.qtl", small_photograph, "hyperprior")


@pytest.mark.parametrize(
    "options",
    [
        {"bpp": "1"},
        {"psnr": "30"},
        {"quality": "60"},
        {"quality": 60.0},
        {"quality": True},
        {"max_bytes": "1000"},
        {"max_bytes": 1000.5},
        {"effort": "1"},
        {"bpp": [1]},
    ],
)
def test_numbers_of_a_wrong_type_are_named(options: dict[str, object], small_photograph) -> None:
    (name,) = options
    with pytest.raises(ArgumentError, match=f"{name} must be a (whole )?number"):
        quantal.compress(small_photograph, "hyperprior", **options)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_taken(small_photograph) -> None:
    plain = quantal.compress(small_photograph, "hyperprior", quality=40)
    assert quantal.compress(small_photograph, "hyperprior", quality=np.int64(40)) == plain
    aimed = quantal.compress(small_photograph, "hyperprior", bpp=np.float32(1.0))
    assert aimed == quantal.compress(small_photograph, "hyperprior", bpp=1.0)


def test_verifying_checks_a_file_once(monkeypatch, small_photograph) -> None:
    data = quantal.compress(small_photograph, "hyperprior")
    calls = []
    read = container.read
    monkeypatch.setattr(container, "read", lambda *a, **k: calls.append(1) or read(*a, **k))
    monkeypatch.setattr(decode.container, "read", container.read)
    file = container.read(data)
    assert verify(file) is None
    assert len(calls) == 1


def test_an_image_of_another_type_is_named() -> None:
    with pytest.raises(ArgumentError, match="int is no picture"):
        quantal.compress(3)  # type: ignore[arg-type]
    assert isinstance(Image.new("RGB", (1, 1)), Image.Image)
