"""Lossless codecs side by side: bits per sample, pictures below a peer, and speed, as a table.

    python benchmarks/lossless.py FOLDER [--codecs lossless,png,...] [--peer jxl-lossless] [--list]

Each picture is coded as RGB of 8 bits, decoded again and compared. Times are of whole files in
memory, by the wall clock; classical codecs use one thread, `lossless` those that there are.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from quantal import media
from quantal.eval.codecs import ImageCodec, codec
from quantal.markdown import table

_CODECS = "lossless,jxl-lossless,jxl-lossless:effort=9,webp-lossless,png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--codecs", default=_CODECS)
    parser.add_argument("--peer", default="jxl-lossless", help="which others are compared with")
    parser.add_argument("--list", action="store_true", help="bytes of every picture too")
    given = parser.parse_args()
    paths = sorted(p for p in given.folder.iterdir() if p.suffix.lower() in media.PICTURE_SUFFIXES)
    pictures = {path.stem: media.read(path).pixels for path in paths}
    coders = [codec(name) for name in given.codecs.split(",")]
    sizes: dict[str, dict[str, int]] = {}
    rows = []
    pixels = sum(picture.shape[0] * picture.shape[1] for picture in pictures.values())
    for coder in coders:
        assert isinstance(coder, ImageCodec)
        coder.decode(coder.encode(next(iter(pictures.values()))[:64, :64], coder.qualities[0]))
        own = sizes[coder.label] = {}
        encode = decode = 0.0
        for name, picture in pictures.items():
            began = time.perf_counter()
            data = coder.encode(picture, coder.qualities[0])
            middle = time.perf_counter()
            found = coder.decode(data)
            decode += time.perf_counter() - middle
            encode += middle - began
            if not np.array_equal(found, picture):
                raise SystemExit(f"{coder.label} changed {name}")
            own[name] = len(data)
        total = sum(own.values())
        peer = sizes.get(given.peer)
        beside = ("", "")
        if peer is not None and coder.label != given.peer:
            fewer = sum(own[name] < peer[name] for name in own)
            beside = (f"{100 * total / sum(peer.values()) - 100:+.1f} %", f"{fewer} of {len(own)}")
        speeds = (f"{pixels / 1e6 / seconds:.2f}" for seconds in (encode, decode))
        rows.append((f"`{coder.label}`", f"{8 * total / (3 * pixels):.3f}", *beside, *speeds))
        print(rows[-1], flush=True)
    heads = ("codec", "bits per sample", f"versus {given.peer}", "smaller", "encode MP/s", "decode")
    print(table(heads, rows))
    if given.list:
        listed = [(name, *(f"{own[name]:,}" for own in sizes.values())) for name in pictures]
        print(table(("picture", *(f"`{label}`" for label in sizes)), listed))


if __name__ == "__main__":
    main()
