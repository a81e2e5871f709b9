"""Damaged files of CompressAI's models: a picture or an error of ours comes of them, soon."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import quantal
from quantal import container, media
from quantal.errors import BitstreamError, MediaError, ModelError
from quantal.files import Target, decode_picture, encode_picture

from . import fuzz


@pytest.mark.parametrize(
    "architecture", ["bmshj2018-factorized-relu", "mbt2018-mean", "cheng2020-anchor"]
)
def test_300_damaged_files(architecture: str, zoo_weights: Callable[[str], Path]) -> None:
    codec = quantal.load(f"compressai/{architecture}", "cpu", zoo_weights(architecture))
    pictures = [media.from_array(fuzz.scene(*size)) for size in ((97, 71), (64, 64), (1, 1))]
    files = [encode_picture(picture, codec, Target(quality=3)).data for picture in pictures]
    outcomes: Counter[str] = Counter()
    for done, data in itertools.islice(fuzz.cases(1, files), 300):
        start = time.process_time()
        try:
            picture = decode_picture(data, codec=codec)
            header = container.probe(data).header
            assert picture.pixels.shape == (header.height, header.width, 3), done
            outcomes["picture"] += 1
        except (BitstreamError, ModelError, MediaError) as error:
            outcomes[type(error).__name__] += 1
        # No measure of speed: what damage could make endless.
        assert time.process_time() - start < 60, done
    assert len(outcomes) > 3
