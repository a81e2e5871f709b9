"""How near flipped latents are to those of the flipped picture, and to what coding it gives.

    python benchmarks/flips.py FOLDER [--codecs hyperprior,context-s,context-m] [--every 20]

An error is the square root of a ratio of energies: that of the difference to that of the exact
latents of the flipped picture. Every picture's sides have to be multiples of the codec's stride.
Half of the pictures that are taken serve to fit signs and a second matrix, the other half is
measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import quantal
from quantal.codecs import Codec
from quantal.latents import Flip, read

SUFFIXES = {".png", ".jpg", ".jpeg"}


def joined(planes: list[np.ndarray]) -> np.ndarray:
    """Return latents [C, h, w] of several pictures as [C, n]."""
    return np.concatenate([plane.reshape(len(plane), -1) for plane in planes], axis=1)


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(((found - exact) ** 2).sum() / (exact**2).sum()))


def coded(codec: Codec, pixels: np.ndarray, quality: int) -> np.ndarray:
    """Return the latents of a file."""
    return read(codec.compress(pixels, quality=quality), codec=codec).y_hat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--codecs", default="hyperprior,context-s,context-m")
    parser.add_argument("--every", type=int, default=1, help="take every so many pictures")
    parser.add_argument("--qualities", default="20,40,60,80")
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(p for p in options.folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    pictures = [np.asarray(Image.open(p).convert("RGB")) for p in paths[:: options.every]]
    fitted, tried = pictures[::2], pictures[1::2]
    print(f"fitted on {len(fitted)} pictures, measured on {len(tried)}")
    for name in options.codecs.split(","):
        codec = quantal.load(name, "cpu")
        flip = Flip(codec, "horizontal")
        own = Flip(codec, "horizontal", pictures=fitted)
        turned = [np.ascontiguousarray(each[:, ::-1]) for each in pictures]
        grids = [codec.analyse(each)[..., ::-1] for each in pictures]
        exact = [codec.analyse(each) for each in turned]
        signs = np.sign((joined(grids[::2]) * joined(exact[::2])).sum(1))[:, None]
        before, after = joined(grids[1::2]), joined(exact[1::2])
        errors = {
            "grid alone": error(before, after),
            "signs": error(signs * before, after),
            "matrix, drawn scenes": error(flip.matrix.numpy() @ before, after),
            "matrix, photographs": error(own.matrix.numpy() @ before, after),
        }
        print(
            name, *(f"{what} {value:.3f}" for what, value in errors.items()), sep=" | ", flush=True
        )
        for quality in map(int, options.qualities.split(",")):
            late = joined([coded(codec, each, quality) for each in turned[1::2]])
            early = flip.matrix.numpy() @ joined(
                [coded(codec, each, quality)[..., ::-1] for each in tried]
            )
            print(
                f"  quality {quality}: coded after the flip {error(late, after):.3f}, flipped by "
                f"the matrix {error(early, after):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
