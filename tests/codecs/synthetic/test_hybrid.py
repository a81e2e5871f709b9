"""Hybrid pictures: files of screens are smaller, of photographs the same; all ways to read them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from typer.testing import CliRunner

import quantal
import quantal.pillow
from quantal import container
from quantal.cli import app
from quantal.codecs.context.codec import Context
from quantal.codecs.synthetic.parts import holds_layer, join, split
from quantal.codecs.transform import TransformCodec
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    QuantalWarning,
    TruncatedError,
)
from quantal.files.matching import coded_part
from quantal.files.targets import check_content

sys.path.insert(0, str(Path(__file__).parents[1]))

from small import write_small

Bytes = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Context:
    path = tmp_path_factory.mktemp("hybrid") / "small.safetensors"
    write_small(path, "core", True)
    loaded = quantal.load("context-s", "cpu", weights=path)
    assert isinstance(loaded, Context)
    return loaded


def _screen(noise: int = 0) -> Bytes:
    """Text of few colours on paper; noise in the columns to the right."""
    rng = np.random.default_rng(0)
    page = np.full((130, 200, 3), 250, np.uint8)
    glyph = np.array([[20, 60, 20], [60, 20, 250], [20, 60, 20]], np.uint8)
    for row in range(4, 124, 10):
        for column in range(4, 196, 7):
            if rng.integers(0, 3):
                page[row : row + 3, column : column + 3] = glyph[..., None]
    if noise:
        page[:, -noise:] = rng.integers(0, 256, (130, noise, 3))
    return page


@pytest.fixture(scope="module")
def whole(codec: Context) -> bytes:
    return codec.compress(_screen(), quality=70)


@pytest.fixture(scope="module")
def mixed(codec: Context) -> bytes:
    return codec.compress(_screen(48), quality=5)


def _payload(data: bytes) -> bytes:
    return coded_part(container.read(data))[0]


def test_a_screen_comes_back_in_exact_colours(codec: Context, whole: bytes) -> None:
    assert holds_layer(_payload(whole))
    assert split(_payload(whole))[1] == b""
    drawn = np.asarray(codec.decompress(whole))
    assert (drawn == _screen()).mean() > 0.99
    assert len(whole) < len(codec.compress(_screen(), quality=70, content="photo"))


def test_tiles_that_are_none_of_a_screen_are_left_to_transforms(
    codec: Context, mixed: bytes
) -> None:
    latents = codec.latents(mixed)
    assert latents.synthetic is not None
    tiles = latents.synthetic.tiles
    assert tiles.any()
    assert not tiles[:, -2:].any()
    drawn = np.asarray(codec.decompress(mixed))
    inside = np.repeat(np.repeat(tiles, 16, 0), 16, 1)[:130, :200]
    assert (drawn[inside] == latents.synthetic.pixels[inside]).all()
    assert np.abs(codec.synthesise_unrounded(latents)[inside] - drawn[inside]).max() == 0
    assert "synthetic.tiles" in latents.to_safetensors()[:4096].decode("latin-1")


def test_photographs_are_coded_as_ever(codec: Context, small_photograph: Image.Image) -> None:
    data = codec.compress(small_photograph, quality=50)
    assert data == codec.compress(small_photograph, quality=50, content="photo")
    assert not holds_layer(_payload(data))


def test_a_prefix_shows_synthetic_tiles_and_the_parts_that_it_has(
    codec: Context, mixed: bytes, whole: bytes
) -> None:
    layer, stream = split(_payload(mixed))
    cut = mixed[: len(mixed) - len(stream) // 2]
    with pytest.warns(QuantalWarning, match="the file was cut"):
        assert codec.decompress(cut, max_parts=1).size == (200, 130)
    assert codec.decompress(whole, max_parts=1).size == (200, 130)
    with pytest.raises(TruncatedError):
        codec.decompress(mixed[: 40 + len(layer) // 2], max_parts=1)


def test_targets_and_the_plugin_take_content(codec: Context) -> None:
    assert len(codec.compress(_screen(), max_bytes=2000, content="screen")) <= 2000
    file = io.BytesIO()
    Image.fromarray(_screen()).save(file, "QTL", codec=codec, content="screen", quality=60)
    assert holds_layer(_payload(file.getvalue()))


def test_a_search_searches_for_what_transforms_code(codec: Context, mixed: bytes) -> None:
    data = codec.compress(_screen(48), quality=5, effort=1)
    assert holds_layer(_payload(data))
    assert split(_payload(data))[0] == split(_payload(mixed))[0]
    assert codec.decompress(data).size == (200, 130)


def test_latents_of_many_leave_hybrids_out(codec: Context, mixed: bytes, tmp_path: Path) -> None:
    part = coded_part(container.read(mixed))
    for read in (codec.parse_many, codec.read_many):
        (found,) = read([part[0]], *part[1:])
        assert isinstance(found, BitstreamError)
        assert "synthetic" in str(found)
    stacked = codec.read_stacked([part[0]], *part[1:])
    assert "synthetic" in str(stacked.errors[0])
    assert codec.parse(*part)


def test_damage_is_found(codec: Context, mixed: bytes, whole: bytes) -> None:
    payload, *size = coded_part(container.read(mixed))
    layer, stream = split(payload)
    wrong = [
        b"\0",
        payload[: len(layer) // 2],
        payload[:-1],
        join(layer, b""),
        join(layer, stream[1:]),
        join(b"", stream),
        join(layer[:-1], stream),
        _payload(whole) + b"\1",
        b"\0" + b"\xff" * 9,
        b"\0\x80\0" + payload,
    ]
    for each in wrong:
        with pytest.raises(BitstreamError):
            codec.read(each, *size)
        with pytest.raises(BitstreamError):
            codec.parse(each, *size)
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(payload), 12):
        flipped = bytearray(payload)
        flipped[place] ^= int(rng.integers(1, 256))
        try:
            assert codec.synthesise(codec.read(bytes(flipped), *size)).shape == (130, 200, 3)
        except BitstreamError:
            continue


@pytest.mark.parametrize("length", [0, 1, 127, 128, 20_000])
def test_parts_are_split_as_they_were_joined(length: int) -> None:
    layer = bytes(range(256)) * 80
    assert split(join(layer[:length], b"stream")) == (layer[:length], b"stream")


def test_a_length_that_is_padded_is_refused() -> None:
    with pytest.raises(CorruptError, match="length of a synthetic layer"):
        split(b"\0\x81\0abc")


def test_content_is_checked(codec: Context) -> None:
    class Plain(TransformCodec):
        name = "plain"

        def __init__(self) -> None:
            """Have no networks."""

    with pytest.raises(ArgumentError, match="content"):
        codec.compress(_screen(), content="drawing")
    with pytest.raises(ArgumentError, match="context codec"):
        check_content("screen", Plain())


def test_info_shows_the_share(codec: Context, whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "screen.qtl"
    path.write_bytes(whole)
    found = CliRunner().invoke(app, ["info", str(path)])
    assert found.exit_code == 0, found.output
    assert "100% of the tiles" in found.output
