"""Training pictures come from files as every other picture does, and errors name the file."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from skimage import data

from quantal.errors import ArgumentError, MediaError
from quantal.train.data import as_pictures, read_pictures

NOBODY = 65534


def shard(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return path


def png(size: tuple[int, int] = (80, 70), **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(data.chelsea()).resize(size).save(file, "PNG", **options)
    return file.getvalue()


@pytest.fixture
def another() -> Iterator[Path]:
    """A folder, while this process has no rights but those of nobody."""
    with tempfile.TemporaryDirectory() as folder:
        own = os.geteuid()
        if own == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(own)


def test_16_bits_a_long_text_and_a_turned_picture(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 80).reshape(64, 80).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "x" * 5000)
    (tmp_path / "b.png").write_bytes(png(pnginfo=texts))
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "c.jpg", exif=turned)
    deep, _, upright = read_pictures([tmp_path])
    np.testing.assert_allclose(deep[0].numpy(), ramp / 257, atol=0.51)
    assert upright.shape == (3, 60, 40)


def test_a_picture_that_pillow_alone_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large.png").write_bytes(png((400, 300)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_pictures([tmp_path])[0].shape == (3, 300, 400)


@pytest.mark.parametrize("content", [b"", b"just a text", png()[:2000]])
def test_one_bad_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(MediaError, match=r"training picture .*bad\.png: "):
        read_pictures([tmp_path])
    made = shard(tmp_path / "s.tar", ("a.png", png()), ("in/bad.png", content))
    with pytest.raises(MediaError, match=r"training picture .*s\.tar: in/bad\.png: "):
        read_pictures([made])


def test_damaged_shards_are_named(tmp_path: Path) -> None:
    made = shard(tmp_path / "s.tar", ("a.png", png()), ("b.png", png()))
    whole = made.read_bytes()
    second = whole.index(b"b.png")
    for content in (
        b"",
        b"no tar at all" * 100,
        whole[: len(whole) // 3],
        whole[:second],
        whole[: second + 100],
        whole[: second + 3] + b"?" + whole[second + 4 :],  # a header of another checksum
    ):
        made.write_bytes(content)
        with pytest.raises(MediaError, match=r"s\.tar is not a tar shard, or a damaged or cut one"):
            read_pictures([made])


def test_a_link_to_nothing_and_a_pipe_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").symlink_to("gone.png")
    with pytest.raises(MediaError, match=r"b\.png can't be read: No such file"):
        read_pictures([tmp_path])
    (tmp_path / "b.png").unlink()
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(MediaError, match=r"b\.png is not a file"):
        read_pictures([tmp_path])


def test_what_may_not_be_read_is_named(another: Path) -> None:
    (another / "a.png").write_bytes(png())
    (another / "closed").mkdir()
    (another / "closed" / "b.png").write_bytes(png())
    (another / "closed").chmod(0)
    with pytest.raises(MediaError, match=r"closed can't be read: Permission denied"):
        read_pictures([another])
    with pytest.raises(MediaError, match=r"can't be read: Permission denied"):
        read_pictures([another / "closed" / "b.png"])
    (another / "closed").chmod(0o700)
    (another / "closed" / "b.png").chmod(0)
    with pytest.raises(MediaError, match=r"b\.png can't be read: Permission denied"):
        read_pictures([another])


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"caf\\xe9\.png: ") as caught:
        read_pictures([tmp_path])
    str(caught.value).encode()


def test_an_empty_path_is_no_folder() -> None:
    with pytest.raises(ArgumentError, match="empty path"):
        read_pictures([""])


def test_pictures_of_pillow_and_arrays() -> None:
    deep = Image.fromarray(np.full((4, 5), 40000, np.uint16))
    grey = np.full((4, 5), 7, np.uint8)
    with_alpha = np.dstack([np.full((4, 5, 3), 9, np.uint8), np.zeros((4, 5), np.uint8)])
    found = as_pictures([deep, grey, with_alpha, torch.zeros(3, 4, 5, dtype=torch.uint8)])
    assert [p.shape for p in found] == [(3, 4, 5)] * 4
    assert [int(p.max()) for p in found] == [156, 7, 9, 0]
    with pytest.raises(ArgumentError, match="picture 2 of those given: array float64"):
        as_pictures([grey, np.zeros((4, 5, 3))])  # type: ignore[list-item]
