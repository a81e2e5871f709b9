"""Probability tables: those that CompressAI made, as long as they fit their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import quantal
from quantal import container
from quantal.codecs.compressai.codec import CompressaiCodec
from quantal.codecs.compressai.tables import table_sets
from quantal.codecs.compressai.weights import read

from .conftest import HYPER, Weights


def test_tables_are_compressais_to_the_last_count(zoo_weights: Weights) -> None:
    network = read(zoo_weights(HYPER)).network
    model = network.gaussian_conditional
    (tables,) = table_sets(model)
    for table in (0, 30, 63):
        length = int(model.cdf_length[table])
        counts = model.quantized_cdf[table, :length].numpy()
        assert np.array_equal(tables.weights(table), np.diff(counts) * 256)
        assert tables.first[table] == int(model.offset[table])


def test_tables_stay_but_for_those_that_weights_have_outgrown(
    zoo_weights: Weights, tmp_path: Path
) -> None:
    network = read(zoo_weights(HYPER)).network
    fresh = {key: value.clone() for key, value in network.state_dict().items()}
    name = "gaussian_conditional._quantized_cdf"
    rounded, stale = dict(fresh), dict(fresh)
    rounded[name] = fresh[name].clone()
    rounded[name][40, 90] += 1
    stale[name] = fresh[name].clone()
    stale[name][40, 80:100] += 200
    hashes = []
    for state in (fresh, rounded, stale):
        torch.save(state, tmp_path / "these.pth")
        codec = CompressaiCodec("compressai", tmp_path / "these.pth", torch.device("cpu"))
        hashes.append(codec.model_hash)
    assert hashes[0] == hashes[2] != hashes[1]


def test_more_channels_than_tables_in_a_set(tmp_path: Path, zoo_weights: Weights) -> None:
    zoo_weights(HYPER)  # skips where there is no CompressAI
    from compressai.models import FactorizedPrior

    file = tmp_path / "bmshj2018-factorized-8.pth"
    torch.save(FactorizedPrior(4, 320).state_dict(), file)
    codec = quantal.load("compressai/bmshj2018-factorized", "cpu", file)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = codec.compress(pixels)
    latents = codec.latents(data)
    assert latents.symbols[0].shape[0] == 320
    assert container.probe(data).quality == 8
