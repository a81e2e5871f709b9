"""The decoder in TypeScript and WebAssembly, in Node: its own tests, and Python's streams."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import quantal
from quantal.codecs.packed import write_packed
from quantal.entropy import Encoder, TableSet, freeze

from .conftest import ROOT, WEB, npm


def _stream() -> dict[str, list[int]]:
    """Symbols of three tables, one of which is certain, some of them escaped; and their stream."""
    random = np.random.default_rng(5)
    law = np.exp(-np.abs(np.arange(-6, 7)) / 2.0)
    weights = [freeze(law), np.array([1 << 24], np.int32), freeze(law[:5], 2.0**-6)]
    tables = TableSet.from_weights([-6, 3, 0], weights)
    index = random.integers(0, 3, 5000).astype(np.uint8)
    symbols = random.integers(-6, 7, 5000).astype(np.int32)
    symbols[::97] = random.integers(-(2**31), 2**31, len(symbols[::97]))
    symbols[:5] = (-7, 7, 300, -(2**31), 2**31 - 1)
    symbols[index == 1] = 3
    encoder = Encoder()
    encoder.put(symbols, index, tables)
    arrays = {"first": tables.first, "offsets": tables.offsets, "cumulative": tables.cumulative}
    arrays |= {"index": index, "symbols": symbols}
    found = {name: array.tolist() for name, array in arrays.items()}
    return {**found, "stream": list(encoder.finish())}


def test_its_own_tests_pass_and_its_types_fit(
    node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stream.json"
    path.write_text(json.dumps(_stream()), encoding="utf-8")
    monkeypatch.setenv("QUANTAL_STREAM", str(path))
    npm("test")


def test_the_built_package_decodes_in_node(node: None, tmp_path: Path) -> None:
    npm("run", "kernel")
    npm("run", "build:lib")
    write_packed(tmp_path, ["context-s"])
    file, out = ROOT / "tests" / "golden" / "context-s" / "alpha.qtl", tmp_path / "alpha.png"
    words = ["node", "tests/package.mjs", str(tmp_path), str(file), str(out)]
    subprocess.run(words, cwd=WEB, check=True, timeout=300)
    found, expected = Image.open(out), quantal.decompress(file)
    assert found.mode == expected.mode == "RGBA"
    apart = np.abs(np.asarray(found, np.int16) - np.asarray(expected, np.int16))
    assert apart.max() <= 2 and (apart <= 1).mean() >= 0.999


def test_the_lock_file_names_no_host_but_npms() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    named = [each["resolved"] for each in lock["packages"].values() if "resolved" in each]
    assert [url for url in named if not url.startswith("https://registry.npmjs.org/")] == []


@pytest.mark.parametrize("folder", ["src", "page", "wasm", "tests"])
def test_files_stay_small(folder: str) -> None:
    sizes = {
        file.name: len(file.read_text(encoding="utf-8").splitlines())
        for file in (WEB / folder).rglob("*.ts")
    }
    assert {name: size for name, size in sizes.items() if size >= 400} == {}
