"""`quantal info` and `quantal verify` on sound, broken and absent files."""

from __future__ import annotations

import json

import numpy as np
import pytest

import quantal as package


def test_info_prints_the_contract_s_keys(quantal, qtl) -> None:
    call = quantal("info", qtl, "--json")
    document = call.document
    assert call.status == 0
    assert document["codec"] == "hyperprior"
    assert document["model_hash"] == "00010203"
    assert (document["width"], document["height"], document["frames"]) == (640, 480, 1)
    assert document["media"] == "picture"
    assert document["format_version"] == 1
    assert document["bytes"] == qtl.stat().st_size
    assert document["bpp"] == pytest.approx(8 * qtl.stat().st_size / (640 * 480))
    assert 1 <= document["quality"] <= 100
    assert [part["name"] for part in document["parts"]] == ["image", "icc"]
    for part in document["parts"]:
        assert set(part) == {"name", "offset", "bytes"}
    image, icc = document["parts"]
    data = qtl.read_bytes()
    assert data[icc["offset"] : icc["offset"] + icc["bytes"]] == b"profile"
    assert image["bytes"] == 1000


def test_info_for_people_names_size_and_parts(quantal, qtl) -> None:
    call = quantal("info", qtl)
    assert call.status == 0
    assert "640 x 480" in call.out
    assert "icc" in call.out


def test_info_of_several_files_is_a_list(quantal, qtl) -> None:
    other = qtl.with_name("other.qtl")
    other.write_bytes(qtl.read_bytes())
    call = quantal("info", qtl, other, "--json")
    assert [entry["file"] for entry in call.document] == [str(qtl), str(other)]


def test_info_of_a_folder_is_a_list_even_of_one(quantal, qtl) -> None:
    assert [entry["file"] for entry in quantal("info", qtl.parent, "--json").document] == [str(qtl)]


def test_info_reads_standard_input(quantal, qtl) -> None:
    call = quantal("info", "-", "--json", stdin=qtl.read_bytes())
    assert call.document["width"] == 640


def test_info_of_a_bad_file_says_why_and_still_prints_one_document(quantal, tmp_path, qtl) -> None:
    bad = tmp_path / "bad.qtl"
    bad.write_bytes(b"GIF89a, really")
    call = quantal("info", bad, "--json")
    assert (call.status, call.document) == (1, None)
    assert str(bad) in call.err
    both = quantal("info", bad, qtl, "--json")
    assert (both.status, len(both.document)) == (1, 1)


def test_a_missing_file_is_a_failure_not_a_crash(quantal, tmp_path) -> None:
    call = quantal("info", tmp_path / "none.qtl")
    assert call.status == 1
    assert "No such file" in call.err


def test_a_folder_without_files_is_a_failure(quantal, tmp_path) -> None:
    call = quantal("verify", tmp_path)
    assert call.status == 1
    assert "holds no file" in call.err


def test_verify_accepts_sound_checksums(quantal, qtl) -> None:
    call = quantal("verify", "--checksums", qtl)
    assert (call.status, call.out) == (0, f"{qtl}: ok\n")


@pytest.mark.parametrize("place", [5, 20, 300, -1])
def test_verify_finds_a_flipped_bit(quantal, qtl, place) -> None:
    data = bytearray(qtl.read_bytes())
    data[place] ^= 4
    qtl.write_bytes(data)
    call = quantal("verify", "--checksums", qtl, "--json")
    assert call.status == 1
    assert [entry["ok"] for entry in call.document] == [False]
    assert call.document[0]["error"] in call.err


@pytest.mark.parametrize("keep", [0, 3, 10, 25, 500, -1])
def test_verify_finds_a_cut_file_and_still_checks_the_rest(quantal, qtl, keep) -> None:
    cut = qtl.with_name("cut.qtl")
    cut.write_bytes(qtl.read_bytes()[:keep])
    call = quantal("verify", "--checksums", cut, qtl, "--json")
    assert call.status == 1
    verdicts = {entry["file"]: entry["ok"] for entry in call.document}
    assert verdicts == {str(cut): False, str(qtl): True}


def test_json_is_the_only_thing_on_standard_output(quantal, qtl) -> None:
    for command in (["info", qtl], ["verify", "--checksums", qtl]):
        json.loads(quantal(*command, "--json").out)


@pytest.mark.parametrize("codec", ["lossless", "context-s"])
def test_info_shows_the_share_of_synthetic_tiles(quantal, tmp_path, codec) -> None:
    drawn = np.full((64, 128, 3), 255, np.uint8)
    drawn[8:56:8, 4:120:3] = 0
    path = tmp_path / "drawn.qtl"
    path.write_bytes(package.compress(drawn, codec))
    assert quantal("info", path, "--json").document["synthetic_share"] == 1
    assert "100% of the tiles" in quantal("info", path).out


def test_info_of_a_photograph_shows_no_share(quantal, tmp_path, coded) -> None:
    path = tmp_path / "photograph.qtl"
    path.write_bytes(coded)
    assert "synthetic_share" not in quantal("info", path, "--json").document
