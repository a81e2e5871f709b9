"""A decoder written from docs/reference/codecs/context.md alone reads what we write.

It is plain Python. The coder is that of tests/entropy/test_specification.py, which was written from
docs/reference/codecs/hyperprior.md;
networks are numpy's integers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import quantal
from quantal import container

sys.path.insert(0, str(Path(__file__).parents[1] / "entropy"))
sys.path.insert(0, str(Path(__file__).parent))

from pages import page_hash
from small import write_small
from test_specification import Stack, batch

from quantal.entropy import TableSet


class Weights:
    """The table "Integers from the weights file"."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, framework="np") as file:
            self.format = file.metadata()["format"]
            names = [n for n in file.keys() if not n.startswith("net.")]  # noqa: SIM118
            self.tensors = {name: file.get_tensor(name) for name in names}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.tensors[name]

    def tables(self, prefix: str) -> TableSet:
        return TableSet(*(self[f"{prefix}.{n}"] for n in ("first", "offsets", "cumulative")))

    def hash(self) -> bytes:
        return page_hash(self.format, self.tensors)


def layer(x: np.ndarray, weights: Weights, name: str, rate_index: int) -> np.ndarray:
    """The paragraph "Tables" of hyperprior.md on layers; x: int64 [C, h, w]."""
    weight = weights[f"{name}.weight"].astype(np.int64)
    bias = weights[f"{name}.bias"].astype(np.int64)
    shift, low, high, groups, shuffle = weights[f"{name}.fields"].tolist()
    outputs, inputs, side, _ = weight.shape
    padded = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    height, width = x.shape[1:]
    sums = np.zeros((outputs, height, width), np.int64)
    for out in range(outputs):
        first = out // (outputs // groups) * inputs
        for i in range(side):
            for j in range(side):
                part = padded[first : first + inputs, i : i + height, j : j + width]
                sums[out] += np.tensordot(weight[out, :, i, j], part, 1)
    half = 1 << shift - 1 if shift else 0
    row = bias[rate_index if len(bias) > 1 else 0]
    made = np.clip((sums + row[:, None, None] + half) >> shift, low, high)
    if shuffle > 1:
        made = made.reshape(-1, shuffle, shuffle, height, width).transpose(0, 3, 1, 4, 2)
        made = made.reshape(len(made), height * shuffle, width * shuffle)
    return made


def chain(x: np.ndarray, weights: Weights, name: str, rate_index: int) -> np.ndarray:
    place = 0
    while f"{name}.{place}.weight" in weights.tensors:
        x = layer(x, weights, f"{name}.{place}", rate_index)
        place += 1
    return x


def parse(data: bytes, weights: Weights, width: int, height: int, rate: int) -> list[np.ndarray]:
    """ "The image part", paragraph after paragraph."""
    stack = Stack(data[::-1])
    rate_index = rate // 4
    rows, columns = -(-height // 16), -(-width // 16)
    z_shape = (weights["exact.z_units"].shape[1], -(-rows // 4), -(-columns // 4))
    index = np.repeat(np.arange(z_shape[0]), z_shape[1] * z_shape[2]).tolist()
    z = np.array(batch(stack, index, weights.tables(f"tables.z.{rate_index // 4}")))
    z = z.reshape(z_shape)
    units = weights["exact.z_units"][rate_index][:, None, None].astype(np.int64)
    cell_rows, cell_columns = -(-rows // 2), -(-columns // 2)
    features = chain(z * units, weights, "exact.trunk", rate_index)
    features = features[:, :cell_rows, :cell_columns]
    y_tables = weights.tables("tables.y")
    elements = weights["exact.elements"]
    known = np.zeros((0, cell_rows, cell_columns), np.int64)
    steps: list[np.ndarray] = []
    while f"exact.step.{len(steps)}.0.weight" in weights.tensors:
        name = f"exact.step.{len(steps)}"
        magnitudes = weights["exact.magnitudes"][np.minimum(np.abs(known), 255)].astype(np.int64)
        seen = np.concatenate((features, magnitudes))
        if weights[f"{name}.0.weight"].shape[1] == len(features):
            seen = features
        scale = chain(seen, weights, name, rate_index)
        for place, element in enumerate(elements[len(known) : len(known) + len(scale)].tolist()):
            row, column = element % 4 // 2, element % 4 % 2
            inside_rows = np.arange(cell_rows) * 2 + row < rows
            inside_columns = np.arange(cell_columns) * 2 + column < columns
            scale[place] *= inside_rows[:, None] & inside_columns[None]
        step = np.zeros_like(scale)
        band = max(4096 // cell_columns // 2, 1) * 2
        for top in range(0, cell_rows, band):
            part = scale[:, top : top + band]
            step[:, top : top + band] = np.reshape(
                batch(stack, part.reshape(-1).tolist(), y_tables), part.shape
            )
        steps.append(step)
        known = np.concatenate((known, step))
    assert stack.state == 0x0151544C and not stack.words
    return [z, *steps]


@pytest.mark.parametrize(
    "order, adaptive, size, quality",
    [
        ("core", True, (50, 41), 80),
        ("core", True, (16, 16), 20),
        ("places", True, (70, 33), 60),
        ("slices", False, (33, 90), 95),
    ],
)
def test_a_decoder_made_from_the_page_reads_the_same_symbols(
    order, adaptive, size, quality, tmp_path
) -> None:
    path = write_small(tmp_path / "w.safetensors", order, adaptive)
    codec = quantal.load("context-s", "cpu", weights=path)
    weights = Weights(path)
    noise = np.random.default_rng(quality).integers(0, 256, (*size, 3), np.uint8)
    data = codec.compress(noise, quality=quality)
    file = container.read(data)
    assert file.header.model_hash == weights.hash()
    header = file.header
    found = parse(file.part("image") or b"", weights, header.width, header.height, header.rate)
    expected = codec.latents(data).symbols
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)
