"""`quantal compress` and `quantal decompress` on real pictures, with the codec that ships."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantal import container

KEYS = {
    "input", "output", "codec", "width", "height", "frames", "bytes_in", "bytes_out", "bpp",
    "seconds",
}  # fmt: skip


def psnr(one: Image.Image, other: Image.Image) -> float:
    a, b = (np.asarray(image.convert("RGB"), dtype=np.float64) for image in (one, other))
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.part")]


def test_a_picture_there_and_back_beside_itself(quantal, photo) -> None:
    assert quantal("compress", photo).status == 0
    coded = photo.with_suffix(".qtl")
    original = photo.rename(photo.with_name("original.png"))
    assert quantal("decompress", coded).status == 0
    assert coded.stat().st_size < original.stat().st_size / 4
    with Image.open(original) as before, Image.open(photo) as after:
        assert after.size == before.size
        assert psnr(before, after) > 25
    assert not leftovers(photo.parent)


def test_json_has_the_contract_s_keys(quantal, photo) -> None:
    call = quantal("compress", photo, "--json")
    (entry,) = call.document
    assert set(entry) >= KEYS
    assert entry["input"] == str(photo)
    assert entry["output"] == str(photo.with_suffix(".qtl"))
    assert (entry["width"], entry["height"], entry["frames"]) == (97, 71, 1)
    assert entry["bytes_in"] == photo.stat().st_size
    assert entry["bytes_out"] == photo.with_suffix(".qtl").stat().st_size
    assert entry["bpp"] == pytest.approx(8 * entry["bytes_out"] / (97 * 71), rel=1e-3)
    back = quantal("decompress", entry["output"], "-o", photo.with_name("back.png"), "--json")
    assert set(back.document[0]) >= KEYS
    assert back.document[0]["bytes_in"] == entry["bytes_out"]


def test_damage_to_a_resilient_file_can_be_concealed(quantal, photo) -> None:
    coded, small = photo.with_name("sturdy.qtl"), photo.with_name("small.qtl")
    assert quantal("compress", photo, "--codec", "vq", "--resilient", "-o", coded).status == 0
    assert quantal("compress", photo, "--codec", "vq", "-o", small).status == 0
    for file in (coded, small):
        file.write_bytes(file.read_bytes()[:-12])
    call = quantal("decompress", coded)
    assert call.status == 1 and "--conceal" in call.err and not coded.with_suffix(".png").exists()
    call = quantal("decompress", coded, "--conceal")
    assert call.status == 0 and "lines 64 to 70 of the picture are made up" in call.err
    with Image.open(coded.with_suffix(".png")) as image:
        assert image.size == (97, 71)
    assert "--conceal" not in quantal("decompress", small).err
    assert "--resilient" in quantal("decompress", small, "--conceal").err


def test_quality_changes_size(quantal, photo) -> None:
    sizes = []
    for quality in (10, 50, 90):
        out = photo.with_name(f"{quality}.qtl")
        assert quantal("compress", photo, "-q", quality, "-o", out).status == 0
        sizes.append(out.stat().st_size)
    assert sizes == sorted(set(sizes))


def test_max_bytes_is_never_exceeded(quantal, photo) -> None:
    out = photo.with_suffix(".qtl")
    assert quantal("compress", photo, "--max-bytes", 900).status == 0
    assert 500 < out.stat().st_size <= 900


def test_bytes_that_cannot_be_reached_fail_and_write_nothing(quantal, photo) -> None:
    call = quantal("compress", photo, "--max-bytes", 20)
    assert call.status == 1
    assert not photo.with_suffix(".qtl").exists()


def test_standard_input_to_standard_output(quantal, photo) -> None:
    coded = quantal("compress", "-", stdin=photo.read_bytes())
    assert coded.status == 0
    assert coded.raw.startswith(container.MAGIC)
    drawn = quantal("decompress", "-", "-o", "-", "--format", "webp", stdin=coded.raw)
    with Image.open(io.BytesIO(drawn.raw)) as image:
        assert (image.format, image.size) == ("WEBP", (97, 71))


@pytest.mark.parametrize(("suffix", "format"), [("jpg", "JPEG"), ("webp", "WEBP"), ("png", "PNG")])
def test_the_name_of_the_output_chooses_its_format(quantal, photo, suffix, format) -> None:
    coded, out = photo.with_suffix(".qtl"), photo.with_name(f"back.{suffix}")
    quantal("compress", photo)
    assert quantal("decompress", coded, "-o", out).status == 0
    with Image.open(out) as image:
        assert image.format == format


def test_a_tree_is_kept_below_the_output_folder(quantal, photo, tmp_path) -> None:
    folder = tmp_path / "in"
    (folder / "deep" / "deeper").mkdir(parents=True)
    for place in ("a.png", "deep/b.png", "deep/deeper/c.png", ".hidden.png"):
        (folder / place).write_bytes(photo.read_bytes())
    (folder / "notes.txt").write_text("not a picture")
    assert quantal("compress", folder, "-r", "-o", tmp_path / "out").status == 0
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.qtl"))
    assert made == ["a.qtl", os.path.join("deep", "b.qtl"), os.path.join("deep", "deeper", "c.qtl")]
    assert quantal("compress", folder, "-o", tmp_path / "flat").status == 0
    assert [path.name for path in (tmp_path / "flat").iterdir()] == ["a.qtl"]


@pytest.mark.slow
def test_jobs_give_the_same_files(quantal, photo, tmp_path) -> None:
    for name in ("one.png", "two.png", "three.png"):
        (tmp_path / name).write_bytes(photo.read_bytes())
    names = [tmp_path / "one.png", tmp_path / "two.png", tmp_path / "three.png"]
    assert quantal("compress", *names, "-o", tmp_path / "alone").status == 0
    call = quantal("compress", *names, "-o", tmp_path / "many", "--jobs", 2, "--json")
    assert call.status == 0
    assert [entry["input"] for entry in call.document] == [str(name) for name in names]
    for name in names:
        file = name.with_suffix(".qtl").name
        assert (tmp_path / "alone" / file).read_bytes() == (tmp_path / "many" / file).read_bytes()


def test_what_was_lost_is_said(quantal, tmp_path, small_photograph) -> None:
    path = tmp_path / "cmyk.jpg"
    small_photograph.convert("CMYK").save(path)
    call = quantal("compress", path, "--json")
    assert call.status == 0
    assert "CMYK" in call.err
    assert any("CMYK" in warning for warning in call.document[0]["warnings"])


def test_verify_parses_every_symbol(quantal, photo) -> None:
    quantal("compress", photo)
    assert quantal("verify", photo.with_suffix(".qtl")).status == 0


def test_codecs_are_listed(quantal) -> None:
    (entry, *_) = [e for e in quantal("codecs", "--json").document if e["name"] == "hyperprior"]
    assert entry["media"] == "picture"
    assert entry["weights"] is True
    assert entry["parameters"] > 0
    assert "hyperprior" in quantal("codecs").out


def test_nothing_is_made_up_of_a_codec_without_weights(quantal, monkeypatch, tmp_path) -> None:
    from quantal.codecs import CodecEntry, Family, catalogue, registry

    family = Family("none", "quantal.codecs:None", (CodecEntry("none", "", tmp_path / "none"),))
    monkeypatch.setattr(catalogue, "_own_families", lambda: iter([family]))
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())
    out = quantal("codecs").out
    assert "missing; name yours with --weights" in out
    assert "parameters" not in out and "training" not in out


def test_latents_are_written_as_safetensors(quantal, photo) -> None:
    from safetensors.numpy import load_file

    out = photo.with_suffix(".safetensors")
    quantal("compress", photo)
    assert quantal("latents", photo.with_suffix(".qtl"), "-o", out).status == 0
    assert load_file(out)


def test_a_result_is_as_readable_as_any_new_file_and_not_executable(quantal, photo) -> None:
    assert quantal("compress", photo).status == 0
    ordinary = photo.with_name("ordinary")
    ordinary.touch()
    assert photo.with_suffix(".qtl").stat().st_mode == ordinary.stat().st_mode


def test_metadata_is_stripped_and_targets_name_it(quantal, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x927C] = bytes(range(256)) * 80
    path = tmp_path / "laden.jpg"
    Image.new("RGB", (64, 48), "teal").save(path, exif=exif.tobytes(), comment=b"a comment")
    call = quantal("compress", path, "--codec", "hyperprior", "--max-bytes", 8000)
    assert call.status == 1
    assert "metadata takes 20," in call.err and ": --strip all" in call.err
    call = quantal("compress", path, "--codec", "hyperprior", "--strip", "exif", "--json")
    assert call.status == 0
    parts = [part.name for part in container.probe(path.with_suffix(".qtl").read_bytes()).parts]
    assert parts == ["image", "xmp"]
    call = quantal("compress", path, "-f", "--codec", "hyperprior", "--strip", "all")
    assert [p.name for p in container.probe(path.with_suffix(".qtl").read_bytes()).parts] == [
        "image"
    ]
    call = quantal("compress", path, "--strip", "exif,gps")
    assert call.status == 2 and "strip must be one of exif, xmp, icc, all, not 'gps'" in call.err
