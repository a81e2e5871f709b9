"""Speed of entropy coding, beside CompressAI's rANS in the same run.

    python benchmarks/entropy.py [--symbols 4000000] [--repeats 5]

Zero-mean Gaussians of 64 log-spaced scales, one table index per symbol; best of the repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from quantal.entropy import SCALES, TableSet, decode, encode, freeze, index_to_scale


def gaussian_tables(scales: np.ndarray) -> TableSet:
    first, weights = [], []
    for scale in scales:
        half = int(np.ceil(6 * scale)) + 1
        edges = torch.arange(-half, half + 2, dtype=torch.float64) - 0.5
        law = torch.special.ndtr(edges / scale).diff().numpy()
        first.append(-half)
        weights.append(freeze(law))
    return TableSet.from_weights(first, weights)


def best(run: Callable[[], object], repeats: int) -> float:
    """Return the least seconds of several runs, after one that touches the memory."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def ours(symbols: np.ndarray, index: np.ndarray, tables: TableSet, repeats: int) -> list[float]:
    data = encode(symbols, index, tables)
    if not np.array_equal(decode(data, index, tables), symbols):
        raise SystemExit("decoded symbols differ")
    seconds = [
        best(lambda: encode(symbols, index, tables), repeats),
        best(lambda: decode(data, index, tables), repeats),
    ]
    return [*seconds, len(data)]


def compressai(symbols: np.ndarray, index: np.ndarray, scales: np.ndarray, repeats: int):
    """Measure CompressAI's own route: lists of ints in, a bytes object out."""
    from compressai.entropy_models import GaussianConditional

    model = GaussianConditional(scales.tolist())
    model.update()
    cdf, sizes, offsets = (
        getattr(model, name).tolist() for name in ("_quantized_cdf", "_cdf_length", "_offset")
    )
    coder = model.entropy_coder

    def run_encode() -> bytes:
        return coder.encode_with_indexes(
            symbols.tolist(), index.astype(np.int32).tolist(), cdf, sizes, offsets
        )

    data = run_encode()

    def run_decode() -> np.ndarray:
        values = coder.decode_with_indexes(
            data, index.astype(np.int32).tolist(), cdf, sizes, offsets
        )
        return np.asarray(values, dtype=np.int32)

    if not np.array_equal(run_decode(), symbols):
        raise SystemExit("CompressAI's decoded symbols differ")
    return [best(run_encode, repeats), best(run_decode, repeats), len(data)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=4_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    scales = index_to_scale(torch.arange(SCALES, dtype=torch.float64)).numpy()
    index = rng.integers(0, SCALES, options.symbols).astype(np.uint8)
    symbols = np.round(rng.normal(size=options.symbols) * scales[index]).astype(np.int32)

    rows = {"quantal": ours(symbols, index, gaussian_tables(scales), options.repeats)}
    try:
        rows["compressai rANS"] = compressai(symbols, index, scales, options.repeats)
    except ImportError:
        print("compressai is not installed: pip install 'quantal[compressai]'")
    table = Table(title=f"{options.symbols:,} symbols, {SCALES} scales")
    for column in ("coder", "encode Msymbol/s", "decode Msymbol/s", "bits/symbol"):
        table.add_column(column, justify="left" if column == "coder" else "right")
    for name, (encoding, decoding, size) in rows.items():
        speeds = [f"{options.symbols / s / 1e6:.1f}" for s in (encoding, decoding)]
        table.add_row(name, *speeds, f"{8 * size / options.symbols:.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
