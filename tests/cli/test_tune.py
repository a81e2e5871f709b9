"""--tune chooses among the weights of a codec; files open without it."""

from __future__ import annotations

import pytest
from PIL import Image

from quantal import codecs
from tests.moving import write_clip


@pytest.fixture
def picture(tmp_path, small_photograph: Image.Image):
    path = tmp_path / "photo.png"
    small_photograph.save(path)
    return path


@pytest.mark.parametrize(("tune", "name"), [("eyes", "context-m@eyes"), ("psnr", "context-m")])
def test_files_name_the_codec_and_the_hash_of_the_tune(quantal, picture, tune, name) -> None:
    coded = picture.with_suffix(".qtl")
    assert quantal("compress", picture, "--tune", tune).status == 0
    info = quantal("info", coded, "--json").document
    assert info["codec"] == "context-m"
    assert info["model_hash"] == codecs.load(name).model_hash.hex()
    assert quantal("decompress", coded, "-o", picture.with_name("back.png")).status == 0
    assert quantal("verify", coded).status == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--codec", "vq"], "codec 'vq' has no tune 'eyes'; those that have one: context-m"),
        (["--lossless"], "codec 'lossless' has no tune 'eyes'"),
        (["--weights", "mine.safetensors"], "--tune and --weights both choose weights"),
    ],
)
def test_a_tune_that_can_not_be_is_a_wrong_call(quantal, picture, options, said) -> None:
    call = quantal("compress", picture, "--tune", "eyes", *options)
    assert call.status == 2
    assert said in " ".join(call.err.split())
    assert not picture.with_suffix(".qtl").exists()


def test_clips_have_no_tune(quantal, tmp_path, photograph: Image.Image) -> None:
    write_clip(tmp_path / "clip.mp4", photograph, left=20)
    call = quantal("compress", tmp_path / "clip.mp4", "--tune", "eyes")
    assert call.status == 2
    assert "--tune" in call.err and "a clip" in call.err
    assert not (tmp_path / "clip.qtl").exists()
