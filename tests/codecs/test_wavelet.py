"""Codec `wavelet`: a decoder written from its page alone, sizes, windows, damage."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from skimage import data

import quantal
from quantal import container
from quantal.codecs import Codec
from quantal.codecs.wavelet.net import WaveletConfig, WaveletNet
from quantal.entropy import TableSet
from quantal.errors import ArgumentError, BitstreamError

sys.path.insert(0, str(Path(__file__).parents[1] / "entropy"))
sys.path.insert(0, str(Path(__file__).parent))

from pages import page_hash
from small import write_untrained
from test_specification import Stack, batch


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained codec of 24 channels and 5 classes."""
    torch.manual_seed(7)
    net = WaveletNet(WaveletConfig(24, 32, 1, 16, (1, 1), 5))
    photograph = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    net.initialise(photograph)
    path = tmp_path_factory.mktemp("wavelet") / "wavelet.safetensors"
    write_untrained(path, net)
    return path


@pytest.fixture(scope="module")
def codec(weights: Path) -> Codec:
    found = quantal.load("wavelet", "cpu", weights=weights)
    assert isinstance(found, Codec)
    return found


def parse(payload: bytes, path: Path, width: int, height: int, rate: int) -> list[np.ndarray]:
    """ "The image part" of docs/codecs/wavelet.md, paragraph after paragraph."""
    with safe_open(path, framework="np") as file:
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118

    def tables(prefix: str) -> TableSet:
        return TableSet(*(tensors[f"{prefix}.{n}"] for n in ("first", "offsets", "cumulative")))

    rows, columns, rate_index = -(-height // 16), -(-width // 16), rate // 4
    stack = Stack(payload)
    places = rows * columns
    classes = batch(stack, [rate_index // 4] * places, tables("tables.classes"))
    scales = tensors["exact.scales"][rate_index]
    index = [int(scales[classes[at], c]) for c in range(scales.shape[1]) for at in range(places)]
    y = batch(stack, index, tables("tables.y"))
    assert stack.state == 0x0151544C and not stack.words
    return [
        np.reshape(classes, (1, rows, columns)),
        np.reshape(y, (scales.shape[1], rows, columns)),
    ]


@pytest.mark.parametrize("size, quality", [((50, 41), 80), ((16, 16), 20), ((1, 1), 50)])
def test_a_decoder_made_from_the_page_reads_the_same_symbols(codec, weights, size, quality) -> None:
    pixels = data.astronaut()[100 : 100 + size[0], 150 : 150 + size[1]]
    coded = codec.compress(pixels, quality=quality)
    file = container.read(coded)
    with safe_open(weights, framework="np") as opened:
        names = [n for n in opened.keys() if not n.startswith("net.")]  # noqa: SIM118
        integers = {name: opened.get_tensor(name) for name in names}
        assert file.header.model_hash == page_hash(opened.metadata()["format"], integers)
    header = file.header
    found = parse(file.part("image") or b"", weights, header.width, header.height, header.rate)
    latents = codec.latents(coded)
    for one, other in zip(found, latents.symbols, strict=True):
        assert np.array_equal(one, other.numpy())
    # What is coded as differences is added up: along the first column, then along rows.
    slow = integers["exact.slow"]
    assert len(slow)
    level = found[1][slow].copy()
    level[:, :, 0] = level[:, :, 0].cumsum(1)
    ungain = codec.networks().entropy.ungain(torch.tensor([header.rate / 4]))[0].detach().numpy()
    np.testing.assert_allclose(
        latents.y_hat.numpy()[slow], level.cumsum(2) * ungain[slow], rtol=1e-5
    )


def test_more_quality_is_more_bytes_and_a_better_picture(codec) -> None:
    pixels = data.astronaut()[:200, 100:333]
    sizes, errors = [], []
    for quality in (5, 40, 80):
        coded = codec.compress(pixels, quality=quality)
        sizes.append(len(coded))
        drawn = np.asarray(codec.decompress(coded), float)
        errors.append(np.square(drawn - pixels).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_windows_leave_no_seams(codec, monkeypatch) -> None:
    pixels = np.tile(data.astronaut(), (2, 1, 1))[:700, :330]
    whole = codec.encoding(pixels).y
    monkeypatch.setenv("QUANTAL_WINDOW", "128")
    np.testing.assert_allclose(codec.encoding(pixels).y, whole, atol=1e-4)


def test_classes_beyond_those_that_there_are_are_damage(codec) -> None:
    from quantal.entropy import Writing

    model = codec.entropy
    classes = np.full((1, 3, 3), 5, np.int32)
    writing = Writing([classes])
    writing.begin(classes.shape)
    writing.code(..., model.class_tables, lambda: np.zeros(classes.shape, np.uint8))
    with pytest.raises(BitstreamError, match=r"not within 0\.\.4"):
        codec.parse(writing.finish(), 48, 48, 0)


def test_sizes_that_make_no_network_are_refused() -> None:
    with pytest.raises(ArgumentError, match="as wide as its latents"):
        WaveletConfig(channels=64, analysis_width=32)
