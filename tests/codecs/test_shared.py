"""A codec is one object that many pictures and threads share: none may show in another's."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import quantal
from quantal.codecs.contract import Codec

sys.path.insert(0, str(Path(__file__).parent))

from small import write_small

SIZES = ((96, 80), (33, 130), (1, 1), (200, 64), (96, 80), (17, 16))


@pytest.fixture(scope="module", params=["hyperprior", "context"])
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Codec:
    if request.param == "hyperprior":
        return quantal.load("hyperprior", "cpu")
    path: Path = tmp_path_factory.mktemp("shared") / "small.safetensors"
    return quantal.load("context-s", "cpu", weights=write_small(path, "core", True))


@pytest.fixture(scope="module")
def pictures(photograph: Image.Image) -> list[np.ndarray]:
    """Of several sizes, two of the same size with other contents."""
    return [
        np.asarray(photograph.crop((40 * k, 30 * k, 40 * k + width, 30 * k + height)))
        for k, (width, height) in enumerate(SIZES)
    ]


@pytest.fixture(scope="module")
def files(codec: Codec, pictures: list[np.ndarray]) -> list[bytes]:
    """A file of each."""
    return [codec.compress(pixels) for pixels in pictures]


def test_a_picture_leaves_nothing_behind(codec, pictures, files) -> None:
    drawn = [np.asarray(codec.decompress(data)) for data in files]
    for place in (5, 0, 4, 2, 3, 1, 0):
        assert codec.compress(pictures[place]) == files[place]
        assert np.array_equal(np.asarray(codec.decompress(files[place])), drawn[place])


def test_latents_stay_when_others_are_read(codec, files) -> None:
    first = codec.latents(files[0])
    y_hat, symbols = first.y_hat.copy(), [part.copy() for part in first.symbols]
    for data in files:
        codec.decompress(data)
    assert np.array_equal(first.y_hat, y_hat)
    assert all(map(np.array_equal, first.symbols, symbols))


def test_threads_share_a_codec(codec, pictures, files) -> None:
    """There and back in four threads at once gives the pictures of one thread."""
    drawn = [np.asarray(codec.decompress(data)).astype(int) for data in files]

    def there_and_back(place: int) -> tuple[np.ndarray, np.ndarray]:
        anew = codec.compress(pictures[place])
        return np.asarray(codec.decompress(anew)), np.asarray(codec.decompress(files[place]))

    places = [place for _ in range(4) for place in range(len(pictures))]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(there_and_back, places)
        for place, (anew, again) in zip(places, found, strict=True):
            # Sums of floats may round otherwise in a thread that has fewer helpers: a decoder's
            # by a level of a pixel; an encoder's may take another symbol, once in a long while.
            assert np.abs(again - drawn[place]).max() <= 1
            assert np.abs(anew - drawn[place]).mean() <= 0.1
