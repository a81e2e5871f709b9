"""Pillow opens, shows and saves .qtl files once quantal.pillow is imported."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

import quantal.pillow
from quantal import container
from quantal.container import Header, Part
from quantal.errors import (
    ArgumentError,
    CorruptError,
    QuantalWarning,
    TruncatedError,
    UnsupportedVersionError,
)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def scene(mode: str = "RGB") -> Image.Image:
    """A smooth picture of 72x40 pixels."""
    x, y = np.meshgrid(np.linspace(0, 1, 72), np.linspace(0, 1, 40))
    samples = np.stack([x, y, 1 - x * y, np.ones_like(x) / 2], axis=-1)
    image = Image.fromarray((samples * 255).round().astype(np.uint8))
    return image if mode == "RGBA" else image.convert(mode)


def saved(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "QTL", **options)
    return file.getvalue()


def header_only(*kinds: str, grey: bool = False) -> bytes:
    """A file with a whole header whose image part no codec could read."""
    header = Header("nosuchcodec", bytes(4), width=640, height=480, rate=150, grey=grey)
    return container.write(header, [Part(kind, b"?") for kind in ("image", *kinds)])


@pytest.mark.parametrize(
    ("grey", "kinds", "mode"),
    [(False, (), "RGB"), (False, ("alpha",), "RGBA"), (True, (), "L"), (True, ("alpha",), "LA")],
)
def test_opening_reads_the_header_alone(grey: bool, kinds: tuple[str, ...], mode: str) -> None:
    image = Image.open(io.BytesIO(header_only(*kinds, grey=grey)))
    assert isinstance(image, quantal.pillow.QtlImageFile)
    assert (image.format, image.mode, image.size) == ("QTL", mode, (640, 480))
    assert (image.info["codec"], image.info["quality"]) == ("nosuchcodec", 60)
    assert image.get_format_mimetype() == "image/x-quantal"


def test_opening_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "a.qtl"
    path.write_bytes(header_only())
    code = (
        "import sys, quantal.pillow; from PIL import Image; "
        f"Image.open({str(path)!r}).verify(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_extension_is_known() -> None:
    assert Image.registered_extensions()[".qtl"] == "QTL"


def test_damage_that_opening_sees_is_an_error_of_ours() -> None:
    data = header_only()
    with pytest.raises(TruncatedError):
        Image.open(io.BytesIO(data[:-1]))
    with pytest.raises(CorruptError):
        Image.open(io.BytesIO(data + b"\0"))
    with pytest.raises(UnsupportedVersionError):
        Image.open(io.BytesIO(data[:4] + b"\x02" + data[5:]))
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"?" + data[1:]))


def test_verify_checks_the_checksums() -> None:
    data = header_only()
    Image.open(io.BytesIO(data)).verify()
    with pytest.raises(CorruptError, match="checksum"):
        Image.open(io.BytesIO(data[:-1] + bytes([data[-1] ^ 1]))).verify()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_saved_picture_comes_back(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.qtl"
    image = scene(mode)
    image.save(path, quality=80)
    with Image.open(path) as again:
        assert (again.mode, again.size) == (mode, image.size)
        pixels = np.asarray(again).astype(int)
        assert abs(pixels - np.asarray(image)).mean() < 25
        if mode.endswith("A"):
            assert np.array_equal(pixels[..., -1], np.asarray(image)[..., -1])


@pytest.mark.parametrize("loaded", [False, True], ids=["opened", "loaded"])
def test_metadata_travels_in_info(loaded: bool) -> None:
    image = scene()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    image.info |= {"icc_profile": SRGB, "exif": exif.tobytes(), "xmp": b"<x/>"}
    with Image.open(io.BytesIO(saved(image))) as again:
        if loaded:
            again.load()
        assert again.info["icc_profile"] == SRGB
        assert again.info["xmp"] == b"<x/>"
        assert again.getexif()[0x010F] == "Maker"


def test_metadata_that_is_given_counts() -> None:
    image = scene()
    image.info |= {"icc_profile": SRGB, "xmp": b"<x/>"}
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(io.BytesIO(saved(image, exif=exif, icc_profile=None))) as again:
        assert again.size == (40, 72)
        again.load()
        assert again.getexif().get(0x0112, 1) == 1
        assert "icc_profile" not in again.info
        assert again.info["xmp"] == b"<x/>"


def test_quality_and_max_bytes_are_heard() -> None:
    sizes = [len(saved(scene(), quality=quality)) for quality in (5, 95)]
    assert sizes[0] < sizes[1]
    assert len(saved(scene(), max_bytes=sizes[1])) <= sizes[1]


def test_what_is_lost_on_the_way_is_warned_about() -> None:
    with pytest.warns(QuantalWarning, match="CMYK was converted"):
        saved(scene().convert("CMYK"))


def test_a_loaded_picture_needs_its_file_no_more() -> None:
    file = io.BytesIO(saved(scene()))
    image = Image.open(file)
    image.load()
    file.close()
    assert image.convert("L").size == (72, 40)


def test_exif_that_was_looked_at_before_loading_stays() -> None:
    image = scene()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    image.info |= {"exif": exif.tobytes()}
    with Image.open(io.BytesIO(saved(image))) as again:
        assert again.getexif()[0x010F] == "Maker"
        again.load()
        assert again.getexif()[0x010F] == "Maker"


def test_damaged_metadata_is_found_on_opening() -> None:
    data = bytearray(header_only("exif"))
    data[-5] ^= 1  # the byte before the checksum
    with pytest.raises(CorruptError, match="exif"):
        Image.open(io.BytesIO(bytes(data)))


@pytest.mark.parametrize("cut", [3, 10, -1, -30])
def test_damage_is_an_error_of_the_operating_system_too(cut: int) -> None:
    data = saved(scene())
    with pytest.raises(OSError), Image.open(io.BytesIO(data[:cut])) as image:
        image.load()
    damaged = data[:60] + bytes([data[60] ^ 1]) + data[61:]
    with pytest.raises(OSError), Image.open(io.BytesIO(damaged)) as image:
        image.load()


def test_every_option_is_passed_on() -> None:
    plain = saved(scene(), codec="hyperprior", quality=30)
    assert saved(scene(), codec="hyperprior", quality=30, effort=1) != plain
    sturdy = saved(scene(), codec="vq", quality=30, resilient=True)
    assert sturdy != saved(scene(), codec="vq", quality=30)
    image = scene()
    image.info |= {"xmp": b"<x/>"}
    assert container.read(saved(image)).part("xmp") == b"<x/>"
    assert container.read(saved(image, strip="xmp")).part("xmp") is None


@pytest.mark.parametrize("options", [{"optimize": True}, {"qualty": 60}, {"dpi": (300, 300)}])
def test_unknown_options_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    (name,) = options
    with pytest.raises(ArgumentError, match=f"no option '{name}'"):
        scene().save(tmp_path / "a.qtl", **options)
    assert not list(tmp_path.iterdir())
