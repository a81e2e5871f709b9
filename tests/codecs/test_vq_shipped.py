"""Codec `vq` with the weights that ship, on photographs of scikit-image."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from skimage import data

import quantal
from quantal.codecs import available
from quantal.codecs.contract import Encoding
from quantal.codecs.vq.codec import Vq
from quantal.codecs.vq.stream import unpack
from quantal.entropy.indices import ABSENT
from quantal.entropy.quantisers import Use
from quantal.errors import QuantalWarning

pytestmark = pytest.mark.skipif(
    not any(info.name == "vq" and info.weights for info in available()),
    reason="the weights of vq are not here",
)


@pytest.fixture(scope="module")
def codec() -> Vq:
    loaded = quantal.load("vq", "cpu")
    assert isinstance(loaded, Vq)
    return loaded


NAMES = ("astronaut", "coffee", "chelsea")
WANTED = (0.012, 0.02, 0.03, 0.045, 0.08)
#: Every run aims at each of the rates once, and with each photograph; `make test-all` at all.
USUAL = {
    ("astronaut", 0.012),
    ("astronaut", 0.08),
    ("coffee", 0.03),
    ("chelsea", 0.02),
    ("chelsea", 0.045),
}


@pytest.fixture(scope="module")
def encodings(codec: Vq) -> dict[str, Encoding]:
    """Photographs whose features are known, by name."""
    return {name: codec.encoding(getattr(data, name)()) for name in NAMES}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        pytest.param(n, w, marks=() if (n, w) in USUAL else pytest.mark.thorough)
        for n in NAMES
        for w in WANTED
    ],
)
def test_bits_per_pixel_are_kept_to_within_five_per_cent(name, wanted, codec) -> None:
    pixels = getattr(data, name)()
    with warnings.catch_warnings():
        # a target missed by more than 2 % gives a warning
        warnings.simplefilter("ignore", QuantalWarning)
        coded = codec.compress(pixels, bpp=wanted)
    assert 8 * len(coded) / (pixels.shape[0] * pixels.shape[1]) == pytest.approx(wanted, rel=0.05)


def test_bytes_rise_with_the_quality(codec, encodings) -> None:
    sizes = [len(encodings["astronaut"].at(codec.rate_of(quality))) for quality in range(1, 101, 9)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] / 10


def test_bytes_follow_on_where_codebooks_change(codec, encodings) -> None:
    """The ladder's steps join; where all cells are coarse nothing but codebooks can change."""
    segments = codec.ladder.segments
    for before, after in pairwise(segments):
        if before.first == before.last:
            continue
        rate = math.floor(252 * before.until)
        under, over = (sum(len(one.at(r)) for one in encodings.values()) for r in (rate, rate + 1))
        assert 0.9 < over / under < 1.15, (before.books, after.books)


def test_cells_of_detail_get_more_indices_than_flat_ones(codec) -> None:
    flat = np.full((256, 512, 3), 120, np.uint8)
    flat[:, 256:] = data.astronaut()[:256, 100:356]
    maps = codec.painter.describe(codec.painter.analyse(flat), codec.ladder.at(126))
    assert maps.depth[:, :7].mean() + 0.5 < maps.depth[:, 9:].mean()


def test_it_looks_nearer_than_avif_scaled_down_would(codec) -> None:
    """A coarse guard against broken weights; the figures are in docs/results."""
    pixels = data.astronaut()
    coded = codec.compress(pixels, bpp=0.05)
    drawn = np.asarray(codec.decompress(coded)).astype(float)
    psnr = 10 * np.log10(255**2 / np.square(drawn - pixels).mean())
    assert psnr > 20.0


def test_entries_of_every_large_codebook_are_used(codec, encodings) -> None:
    """On three photographs; over whole sets of pictures it is above 80 %."""
    seen: list[list[np.ndarray]] = [[], [], []]
    for name, encoding in encodings.items():
        pixels = getattr(data, name)()
        maps = unpack(codec.priors, encoding.at(252), pixels.shape[1], pixels.shape[0])
        for rung, plane in enumerate(maps.indices):
            seen[rung].append(plane[plane != ABSENT])
    for rung, least in ((1, 0.5), (2, 0.8)):
        counts = np.bincount(np.concatenate(seen[rung]), minlength=1024)
        assert Use.of(torch.from_numpy(counts)).share > least
