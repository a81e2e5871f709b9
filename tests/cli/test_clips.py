"""Clips on the command line: there and back, parts, mixtures with pictures, and wrong calls."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from quantal import clips, container
from quantal.cli import _clips
from quantal.files import ClipProgress
from tests.cli.conftest import Quantal

pytestmark = pytest.mark.usefixtures("little_video")


@pytest.fixture(scope="module")
def film_bytes(tmp_path_factory: pytest.TempPathFactory, filmed: Callable[..., list[Any]]) -> bytes:
    """A clip of 30 frames, 25 a second."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    given = clips.Properties(96, 64, Fraction(1, 25), rate=Fraction(25))
    with clips.write(path, given) as writer:
        for number, pixels in enumerate(filmed(30)):
            writer.write(clips.Frame(number, pixels))
    return path.read_bytes()


@pytest.fixture
def film(tmp_path: Path, film_bytes: bytes) -> Path:
    """That clip in a folder of its own."""
    path = tmp_path / "film.mkv"
    path.write_bytes(film_bytes)
    return path


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """What the first test that needs it codes for all: the codec is known to one test at a time."""
    return {}


@pytest.fixture
def coded(film: Path, quantal: Quantal, kept: dict[str, bytes]) -> Path:
    """The clip's file beside it."""
    path = film.with_suffix(".qtl")
    if "film" not in kept:
        assert quantal("compress", film, "-q", 60, "--intra-period", 10).status == 0
        kept["film"] = path.read_bytes()
    path.write_bytes(kept["film"])
    return path


def test_a_clip_goes_there_and_back(film: Path, quantal: Quantal) -> None:
    call = quantal("compress", film, "-q", 70, "--json")
    (entry,) = call.document
    assert (entry["frames"], entry["codec"], entry["width"]) == (30, "little-video", 96)
    assert entry["bytes_out"] == film.with_suffix(".qtl").stat().st_size
    call = quantal("decompress", film.with_suffix(".qtl"), "-o", film.with_name("back.mkv"))
    assert call.status == 0, call.err
    with clips.read(film.with_name("back.mkv")) as back, clips.read(film) as given:
        assert [f.time for f in back] == [f.time for f in given]


@pytest.mark.parametrize(
    ("out", "found"),
    [("a.mp4", "a.mp4"), ("a.y4m", "a.y4m"), ("pictures", "pictures/000029.png")],
)
def test_formats_follow_from_the_name(coded: Path, quantal: Quantal, out: str, found: str) -> None:
    assert quantal("decompress", coded, "-o", coded.with_name(out)).status == 0
    assert (coded.parent / found).is_file()


def test_the_default_is_mp4_beside_the_input(coded: Path, quantal: Quantal) -> None:
    assert quantal("decompress", coded, "--option", "crf=30").status == 0
    assert coded.with_suffix(".mp4").is_file()
    call = quantal("decompress", coded)
    assert (call.status, "exists already" in call.err) == (1, True)


@pytest.mark.parametrize(
    ("begin", "end", "frames"),
    [("0.2", "0.6", 10), ("00:00.2", "0:00:00.6", 10), ("1", None, 5), (None, "0.4", 10)],
)
def test_a_part_is_decoded(
    coded: Path, quantal: Quantal, begin: str | None, end: str | None, frames: int
) -> None:
    options = [*(["--from", begin] if begin else []), *(["--to", end] if end else [])]
    call = quantal("decompress", coded, "-o", coded.with_name("part.mkv"), *options, "--json")
    assert call.document[0]["frames"] == frames


def test_numbered_pictures_are_one_clip(
    coded: Path, quantal: Quantal, filmed: Callable[..., list[Any]]
) -> None:
    folder = coded.with_name("shots")
    folder.mkdir()
    for number, pixels in enumerate(filmed(4)):
        Image.fromarray(pixels).save(folder / f"shot{number:04d}.png")
    Image.new("RGB", (5, 5)).save(folder / "other7.png")
    call = quantal("compress", folder / "shot%04d.png", "--rate", "30000/1001", "--json")
    assert call.document[0]["frames"] == 4
    info = quantal("info", folder.with_suffix(".qtl"), "--json").document
    assert info["frame_rate"] == pytest.approx(29.97, abs=0.001)
    assert quantal("compress", folder / "no%04d.png").status == 1


def test_pictures_and_clips_in_one_call(
    film: Path, photo: Path, quantal: Quantal, tmp_path: Path
) -> None:
    (film.parent / "text.txt").write_text("no clip")
    call = quantal("compress", tmp_path, "-o", tmp_path / "out", "--json")
    assert [e["frames"] for e in call.document] == [30, 1]
    assert "1 file that is not a picture, clip or cube: 1 .txt" in call.err
    call = quantal("decompress", tmp_path / "out", "--json", "--jobs", 2)
    assert [Path(e["output"]).name for e in call.document] == ["film.mp4", "photo.png"]


def test_streams_go_in_and_out(film: Path, quantal: Quantal) -> None:
    call = quantal("compress", "-", "-o", "-", stdin=film.read_bytes())
    assert container.probe_clip(io.BytesIO(call.raw)).frames == 30
    back = quantal("decompress", "-", "-o", "-", "--format", "y4m", stdin=call.raw)
    assert back.raw.startswith(b"YUV4MPEG2")


def test_info_lists_a_clip_without_a_model(coded: Path, quantal: Quantal) -> None:
    document = quantal("info", coded, "--json").document
    for key in ("format_version", "codec", "model_hash", "media", "bytes", "bpp", "quality"):
        assert key in document
    assert (document["frames"], document["media"], document["cut"]) == (30, "video", False)
    assert [part["name"] for part in document["parts"]] == ["group"] * 3 + ["index"]
    text = quantal("info", coded).out
    assert "30 frames, 25 a second, 1.200 s" in text
    coded.write_bytes(coded.read_bytes()[:-40])
    assert "was cut" in quantal("info", coded).out


def test_verify_checks_clips(coded: Path, quantal: Quantal) -> None:
    assert quantal("verify", coded).status == 0
    assert quantal("verify", coded, "--checksums").status == 0
    data = bytearray(coded.read_bytes())
    data[len(data) // 2] ^= 4
    coded.write_bytes(data)
    for options in ([], ["--checksums"]):
        call = quantal("verify", coded, *options)
        assert (call.status, "checksum" in call.err) == (1, True)


def test_a_cut_clip_is_decoded_with_a_warning(coded: Path, quantal: Quantal) -> None:
    coded.write_bytes(coded.read_bytes()[:-60])
    call = quantal("decompress", coded, "-o", coded.with_name("cut.mkv"), "--json")
    assert (call.status, call.document[0]["frames"]) == (0, 20)
    assert "the file was cut: 20 frames were read" in call.err


def test_an_interrupt_keeps_what_was_coded(
    film: Path, quantal: Quantal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noting(_: object) -> Callable[[ClipProgress], None]:
        def show(progress: ClipProgress) -> None:
            if progress.frames == 7:
                raise KeyboardInterrupt

        return show

    monkeypatch.setattr(_clips, "_noting", noting)
    call = quantal("compress", film)
    assert call.status == 130
    assert "film.qtl has the first 7 frames, 0.28 s" in call.err
    assert quantal("verify", film.with_suffix(".qtl")).status == 0
    assert not list(film.parent.glob(".*"))


def test_what_could_be_read_of_a_clip_is_kept(film: Path, quantal: Quantal) -> None:
    folder = film.with_name("sizes")
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (32, 32 if number < 3 else 40)).save(folder / f"{number}.png")
    call = quantal("compress", folder / "%d.png")
    assert call.status == 1
    assert "32x40" in call.err
    assert "sizes.qtl has the first 3 frames" in call.err
    assert quantal("verify", folder.with_suffix(".qtl")).status == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--max-bytes", "100"], "--max-bytes does not apply to a clip"),
        (["--effort", "1"], "--effort"),
        (["--strip", "all"], "--strip"),
        (["--resilient"], "--resilient"),
        (["--rate", "25"], "--rate"),
        (["--kbps", "100", "--psnr", "30"], "give one of them"),
        (["--kbps", "-3"], "not a positive"),
        (["--from", "soon"], "not a time"),
        (["--from", "2", "--to", "1"], "empty"),
        (["--from", "99"], "the clip ends at"),
        (["--codec", "hyperprior"], "codes pictures"),
        (["--mode", "still"], "no codec 'little-video-still'"),
        (["--intra-period", "0"], "intra-period"),
    ],
)
def test_what_a_clip_can_not_take_is_named(
    film: Path, quantal: Quantal, options: list[str], why: str
) -> None:
    call = quantal("compress", film, *options)
    assert call.status in (1, 2)
    assert why in call.err
    assert not film.with_suffix(".qtl").exists()


@pytest.mark.parametrize(
    "options",
    [["--kbps", "9"], ["--from", "1"], ["--intra-period", "5"], ["--codec", "little-video"]],
)
def test_a_picture_takes_no_options_of_clips(
    photo: Path, quantal: Quantal, options: list[str]
) -> None:
    assert quantal("compress", photo, *options).status in (1, 2)
    assert not photo.with_suffix(".qtl").exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["-o", "a.jpg"], "can't be written as jpg"),
        (["--max-parts", "3"], "--max-parts"),
        (["--conceal"], "--conceal"),
        (["--option", "crf"], "NAME=VALUE"),
        (["--option", "nonesuch=3"], "nonesuch"),
    ],
)
def test_what_can_not_become_of_a_clip_is_named(
    coded: Path, quantal: Quantal, options: list[str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(coded.parent)
    call = quantal("decompress", coded, *options)
    assert call.status in (1, 2)
    assert why in call.err


def test_no_clip_is_named(tmp_path: Path, quantal: Quantal) -> None:
    (tmp_path / "text.mp4").write_text("no clip " * 99)
    (tmp_path / "empty.mkv").touch()
    call = quantal("compress", tmp_path / "text.mp4", tmp_path / "empty.mkv", "-o", tmp_path / "o")
    assert call.status == 1
    assert "empty" in call.err
    assert "text.mp4" in call.err
    assert not list(tmp_path.rglob("*.qtl"))


def test_a_full_disk_is_named(film: Path, quantal: Quantal) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is not here")
    call = quantal("compress", film, "-o", "/dev/full")
    assert (call.status, "the disk is full" in call.err) == (1, True)
