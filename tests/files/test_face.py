"""quantal.read, write and the others: paths, open files, arguments that are wrong."""

from __future__ import annotations

import array
import mmap
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import quantal
from quantal import container, media
from quantal.errors import (
    ArgumentError,
    MediaError,
    ModelError,
    OutOfMemoryError,
    OutputError,
    QuantalWarning,
    TargetError,
)
from quantal.files import decode, verify
from quantal.files.encode import encode_picture, suited


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
    with pytest.raises(ArgumentError, match=rf"{type(wrong).__name__} is not a \.qtl file"):
        quantal.decompress(wrong)  # type: ignore[arg-type]


def test_codecs_of_8_bits_say_that_deeper_samples_were_reduced(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 1 << 16, (40, 30, 3)).astype(np.uint16)
    picture, codec = media.from_array(deep), quantal.load("hyperprior", "cpu")
    expected = quantal.compress(picture.pixels, codec)
    path = tmp_path / "a.png"
    path.write_bytes(media.write(picture, "png"))
    for image in (deep, path):
        with pytest.warns(QuantalWarning, match="16-bit samples were reduced to 8 bits"):
            assert quantal.compress(image, codec) == expected
    encoded = encode_picture(picture, codec)
    assert encoded.data == expected
    assert encoded.warnings == ("16-bit samples were reduced to 8 bits",)
    assert encode_picture(suited(picture, codec), codec).warnings == ()


def test_a_text_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    with path.open() as file, pytest.raises(ArgumentError, match="binary mode"):
        quantal.decompress(file)  # type: ignore[arg-type]


def test_paths_that_name_nothing(tmp_path: Path, small_photograph) -> None:
    with pytest.raises(MediaError, match=r"absent\.qtl can't be read"):
        quantal.read(tmp_path / "absent.qtl")
    with pytest.raises(ArgumentError, match="not a path"):
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
    with pytest.raises(ArgumentError, match="int is not a picture"):
        quantal.compress(3)  # type: ignore[arg-type]
    assert isinstance(Image.new("RGB", (1, 1)), Image.Image)


def test_buffers_of_any_kind_are_files(tmp_path: Path, small_photograph) -> None:
    data = quantal.compress(small_photograph, "hyperprior")
    expected = np.asarray(quantal.decompress(data))
    path = tmp_path / "a.qtl"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for source in (mapped, np.frombuffer(data, np.uint8), array.array("B", data)):
            assert np.array_equal(np.asarray(quantal.decompress(source)), expected)
            assert quantal.latents.read(source).width == small_photograph.width
    assert container.read(memoryview(data)) == container.read(data)  # type: ignore[arg-type]
    for wrong in (np.zeros(4), np.zeros((4, 4), np.uint8)[:, 1]):
        with pytest.raises(ArgumentError, match=r"ndarray is not a \.qtl file"):
            quantal.decompress(wrong)  # type: ignore[arg-type]


def test_pictures_are_taken_as_buffers_and_open_files(photo: Path, small_photograph) -> None:
    data = quantal.compress(small_photograph, "hyperprior")
    content = photo.read_bytes()
    with photo.open("rb") as file:
        for source in (content, bytearray(content), memoryview(content), BytesIO(content), file):
            assert quantal.compress(source, "hyperprior") == data
    with photo.open(encoding="latin-1") as text, pytest.raises(ArgumentError):
        quantal.compress(text, "hyperprior")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="empty path"):
        quantal.compress("", "hyperprior")


def test_weights_are_taken_as_buffers_and_open_files(small_photograph) -> None:
    path = Path(quantal.__file__).parent / "weights" / "hyperprior.safetensors"
    content = path.read_bytes()
    data = quantal.compress(small_photograph, "hyperprior")
    codec = quantal.load("hyperprior", "cpu", memoryview(content))
    assert codec.compress(small_photograph) == data
    with path.open("rb") as file:
        assert quantal.load("hyperprior", "cpu", file) is codec
    with pytest.raises(ModelError):
        quantal.load("hyperprior", "cpu", content[:1000])
    for wrong in (3, object()):
        with pytest.raises(ArgumentError, match="weights file"):
            quantal.load("hyperprior", "cpu", wrong)  # type: ignore[arg-type]
    for wrong in (3, None, object()):
        with pytest.raises(ArgumentError, match="is not a codec"):
            quantal.compress(small_photograph, wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="str is not a codec"):
        quantal.decompress(data, codec="hyperprior")  # type: ignore[arg-type]
    for options in ({"name": 3}, {"device": "gpu"}, {"device": 0}, {"weights": ""}):
        with pytest.raises(ArgumentError):
            quantal.load(**{"name": "hyperprior", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"max_parts": "2"}, {"max_parts": True}, {"max_parts": 0}, {"conceal": 1}]
)
def test_options_of_decompress_are_checked(options: dict[str, Any], small_photograph) -> None:
    data = quantal.compress(small_photograph, "hyperprior")
    with pytest.raises(ArgumentError, match=next(iter(options))):
        quantal.decompress(data, **options)


# -- metadata and targets --------------------------------------------------------------------


@pytest.fixture
def laden(small_photograph) -> Image.Image:
    """A picture with much more metadata than pixels need."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = bytes(range(256)) * 150
    image = small_photograph.copy()
    image.info |= {"exif": exif.tobytes(), "xmp": b"<x/>" * 300}
    return image


def test_a_limit_of_bytes_names_the_metadata(laden: Image.Image) -> None:
    with pytest.raises(TargetError, match=r"metadata takes 39,.*EXIF 38,.*XMP 1,200") as caught:
        quantal.compress(laden, "hyperprior", max_bytes=8000)
    assert caught.value.code == "metadata"
    with pytest.warns(QuantalWarning, match="the quality is higher without it"):
        assert len(quantal.compress(laden, "hyperprior", max_bytes=44_000)) <= 44_000
    stripped = quantal.compress(laden, "hyperprior", max_bytes=8000, strip="all")
    assert len(stripped) <= 8000


def test_bits_per_pixel_are_those_of_the_picture(laden: Image.Image, small_photograph) -> None:
    plain = container.probe(quantal.compress(small_photograph, "hyperprior", bpp=1.0))
    with pytest.warns(QuantalWarning, match="metadata comes on top of 1 bits per pixel"):
        data = quantal.compress(laden, "hyperprior", bpp=1.0)
    assert abs(container.probe(data).header.rate - plain.header.rate) <= 1


def test_strip_leaves_out_what_it_names(laden: Image.Image) -> None:
    kinds = lambda data: [part.name for part in container.probe(data).parts]  # noqa: E731
    assert kinds(quantal.compress(laden, "hyperprior")) == ["image", "exif", "xmp"]
    assert kinds(quantal.compress(laden, "hyperprior", strip="exif")) == ["image", "xmp"]
    assert kinds(quantal.compress(laden, "hyperprior", strip=["exif", "xmp"])) == ["image"]
    for wrong in ("gps", 3, ["exif", None]):
        with pytest.raises(ArgumentError, match="strip must be"):
            quantal.compress(laden, "hyperprior", strip=wrong)  # type: ignore[arg-type]


# -- processes -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_can_code() -> None:
    code = """
import multiprocessing, sys
import numpy as np, torch
import quantal
torch.set_num_threads(2)
pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
def work(_):
    data = quantal.compress(pixels, "hyperprior")
    return quantal.decompress(data).size
work(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(2)))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[(300, 200), (300, 200)]", done.stderr


def test_out_of_memory_says_what_was_needed(monkeypatch, small_photograph) -> None:
    codec = quantal.load("hyperprior", "cpu")
    data = quantal.compress(small_photograph, codec)

    def fail(*_: object) -> object:
        return torch.empty(10**15)

    for name in ("encoding", "synthesise", "parse", "read"):
        monkeypatch.setattr(codec, name, fail, raising=False)
    size = f"{small_photograph.width}x{small_photograph.height}"
    for call in (
        lambda: quantal.compress(small_photograph, codec),
        lambda: quantal.decompress(data, codec=codec),
        lambda: quantal.latents.read(data, codec=codec),
        lambda: verify(data, codec=codec),
    ):
        with pytest.raises(OutOfMemoryError, match=rf"{size} pixels \(about \d\.\d GB\)"):
            call()


@pytest.mark.parametrize("codec", ["hyperprior", "context-s"])
def test_smaller_windows_code_the_same_picture(monkeypatch, codec: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    whole = quantal.compress(pixels, codec, quality=30)
    monkeypatch.setenv("QUANTAL_WINDOW", "128")
    parts = quantal.compress(pixels, codec, quality=30)
    assert abs(len(parts) - len(whole)) < 0.01 * len(whole)
    drawn = np.asarray(quantal.decompress(whole)).astype(int)
    assert np.abs(drawn - np.asarray(quantal.decompress(parts))).mean() < 1
    for wrong in ("63", "small", "-1"):
        monkeypatch.setenv("QUANTAL_WINDOW", wrong)
        with pytest.raises(ArgumentError, match="QUANTAL_WINDOW must be"):
            quantal.compress(pixels, codec)
