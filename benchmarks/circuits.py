"""Probabilistic circuits: bits per sample and symbols per second, beside other coders.

    python benchmarks/circuits.py digits
    python benchmarks/circuits.py pictures TRAINING_FOLDER TEST_FOLDER [--states 32] [--epochs 3]

`digits` are scikit-learn's, 8x8 samples of 17 values, four fifths for training (`pip install
scikit-learn`). `pictures` codes the green plane of each test picture: the errors of a predictor
(MED of JPEG-LS, Weinberger et al., 2000) in blocks of 8x8. PNG and JPEG XL code the same samples,
all digits as one sheet. Tables of order 0 and of contexts come from the training samples; their
bits are ideal, those of circuits are of real bytes; up to four pictures are read back.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from quantal import media
from quantal.entropy.circuits import Circuit, decode_blocks, encode_blocks, fit_circuit
from quantal.markdown import table

Plane = npt.NDArray[np.uint8]
SIDE = 8
_READ_BACK = 4


def packed_bits(plane: Plane) -> dict[str, int]:
    """Return the bits of a plane as PNG and as lossless JPEG XL, if it can be written."""
    found = {}
    image = Image.fromarray(plane)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    found["PNG"] = 8 * len(file.getvalue())
    try:
        import pillow_jxl  # noqa: F401 - registers the format
    except ImportError:
        return found
    file = io.BytesIO()
    image.save(file, "JXL", lossless=True, effort=9)
    found["JPEG XL, effort 9"] = 8 * len(file.getvalue())
    return found


def blocks(plane: Plane) -> Plane:
    """Return the blocks of a plane [n, 64], whose sides are whole multiples."""
    height, width = plane.shape
    parts = plane.reshape(height // SIDE, SIDE, width // SIDE, SIDE).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(-1, SIDE * SIDE))


def sheet(samples: Plane) -> Plane:
    """Return blocks [n, 64] as one plane, some in a row."""
    count = len(samples)
    across = max(n for n in range(1, int(count**0.5) + 1) if count % n == 0)
    parts = samples.reshape(count // across, across, SIDE, SIDE).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(count // across * SIDE, across * SIDE))


def shifted(plane: Plane, down: int, right: int) -> npt.NDArray[np.int64]:
    """Return the samples so far above and left of each place; 0 outside of the plane."""
    wide = np.pad(plane.astype(np.int64), ((down, 0), (right, 0)))
    return wide[: plane.shape[0], : plane.shape[1]]


def errors(plane: Plane) -> Plane:
    """Return what MED leaves of a plane, modulo 256, with 128 for none."""
    left, above, corner = shifted(plane, 0, 1), shifted(plane, 1, 0), shifted(plane, 1, 1)
    low, high = np.minimum(left, above), np.maximum(left, above)
    guess = np.clip(left + above - corner, low, high)
    return ((plane - guess + 128) & 255).astype(np.uint8)


def contexts_of_digits(samples: Plane) -> npt.NDArray[np.int64]:
    """Return a context of each sample by its neighbours on the left and above [n, 64]."""
    grid = samples.reshape(-1, SIDE, SIDE).astype(np.int64)
    wide = np.pad(grid, ((0, 0), (1, 0), (1, 0)))
    return (17 * wide[:, 1:, :-1] + wide[:, :-1, 1:]).reshape(len(samples), -1)


def contexts_of_errors(plane: Plane) -> npt.NDArray[np.int64]:
    """Return a context of each error by the magnitudes of four before it, 0..31 [H, W]."""
    away = abs(plane.astype(np.int64) - 128).astype(np.uint8)
    activity = sum(shifted(away, *place) for place in ((0, 1), (1, 0), (1, 1), (0, 2)))
    return np.minimum(4 * np.log2(np.asarray(activity) + 1), 31).astype(np.int64)


def ideal_bits(
    training: npt.NDArray[np.int64], test: npt.NDArray[np.int64], values: int, contexts: int
) -> float:
    """Return the bits of test samples by tables of training ones; both are context x V + value."""
    counts = np.bincount(training.ravel(), minlength=contexts * values).reshape(contexts, values)
    shared = (counts.sum(0) + 1) / (counts.sum() + values)
    tables = (counts + 4 * shared) / (counts.sum(1, keepdims=True) + 4)
    return float(-np.log2(tables.ravel()[test.ravel()]).sum())


def measure(circuit: Circuit, samples: list[Plane]) -> tuple[int, str]:
    """Return bits, and symbols per second there and back, of blocks."""
    start = time.perf_counter()
    coded = [encode_blocks(circuit, part) for part in samples]
    middle = time.perf_counter()
    few = samples[:_READ_BACK]
    for data, part in zip(coded, few, strict=False):
        if not np.array_equal(decode_blocks(circuit, data, len(part)), part):
            raise SystemExit("blocks came back as others")
    end = time.perf_counter()
    written, read = (sum(part.size for part in parts) / 1000 for parts in (samples, few))
    speed = f"{written / (middle - start):,.0f} / {read / (end - middle):,.0f}"
    return 8 * sum(map(len, coded)), speed


def fitted(samples: Plane, values: int, arguments: argparse.Namespace, smoothing: float) -> Circuit:
    start = time.perf_counter()
    circuit = fit_circuit(
        samples,
        values,
        arguments.states,
        arguments.epochs,
        arguments.batch,
        smoothing,
        report=lambda epoch, bits: print(f"epoch {epoch}: {bits:.3f} bits", flush=True),
    )
    print(f"{len(samples):,} blocks, {time.perf_counter() - start:.0f} s of training\n")
    return circuit


def print_table(bits: dict[str, float], speed: str, samples: int, name: str) -> None:
    rows = [
        [coder, f"{count / samples:.3f}", speed if coder == name else ""]
        for coder, count in bits.items()
    ]
    print(table(["coder", "bits per sample", "thousand symbols per second, write / read"], rows))


def digits(arguments: argparse.Namespace) -> None:
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise SystemExit("pip install scikit-learn, which brings the digits")
    file = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    samples = np.loadtxt(file, delimiter=",")[:, : SIDE * SIDE].astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(samples))
    training, test = samples[order[: len(order) * 4 // 5]], samples[order[len(order) * 4 // 5 :]]
    bits: dict[str, float] = dict(packed_bits(sheet(test)))
    bits["order 0"] = ideal_bits(training.astype(np.int64), test.astype(np.int64), 17, 1)
    with_contexts = [17 * contexts_of_digits(part) + part for part in (training, test)]
    bits["left and above"] = ideal_bits(*with_contexts, 17, 17 * 17)
    circuit = fitted(training, 17, arguments, smoothing=0.5)
    name = f"circuit, {circuit.states} states"
    bits[name], speed = measure(circuit, [test])
    print_table(bits, speed, test.size, name)


def green(path: Path) -> Plane:
    """Return the green plane of a picture, cut to whole blocks."""
    plane = media.read(path).pixels[:, :, 1]
    height, width = (side // SIDE * SIDE for side in plane.shape)
    return np.ascontiguousarray(plane[:height, :width])


def pictures(arguments: argparse.Namespace) -> None:
    training = [errors(green(path)) for path in sorted(arguments.training.glob("*.png"))]
    test = [green(path) for path in sorted(arguments.test.glob("*.png"))]
    bits: dict[str, float] = {}
    for plane in test:
        for coder, count in packed_bits(plane).items():
            bits[coder] = bits.get(coder, 0) + count
    left = [errors(plane) for plane in test]
    for name, contexts in (("MED, order 0", 1), ("MED, contexts of four errors", 32)):
        pairs = [
            np.concatenate(
                [
                    (256 * contexts_of_errors(plane) * (contexts > 1) + plane).ravel()
                    for plane in planes
                ]
            )
            for planes in (training, left)
        ]
        bits[name] = ideal_bits(pairs[0], pairs[1], 256, contexts)
    samples = np.concatenate([blocks(plane) for plane in training])
    circuit = fitted(samples, 256, arguments, smoothing=0.1)
    name = f"MED, circuit of {circuit.states} states"
    bits[name], speed = measure(circuit, [blocks(plane) for plane in left])
    print_table(bits, speed, sum(plane.size for plane in test), name)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    kinds = parser.add_subparsers(required=True)
    one = kinds.add_parser("digits")
    one.set_defaults(run=digits, epochs=30, batch=256)
    other = kinds.add_parser("pictures")
    other.add_argument("training", type=Path)
    other.add_argument("test", type=Path)
    other.set_defaults(run=pictures, epochs=3, batch=1024)
    for kind in (one, other):
        kind.add_argument("--states", type=int, default=32)
        kind.add_argument("--epochs", type=int, default=kind.get_default("epochs"))
        kind.add_argument("--batch", type=int, default=kind.get_default("batch"))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
