"""Clips as tokens: a codebook of a clip's own features, and what a classifier still answers.

    python benchmarks/clip_tokens.py --clips DIR --weights mobilenet_v2-b0353104.pth [--fit DIR]
                                     [--model mobilenet_v2] [--layer 14] [--frames 32]
                                     [--entries 16,64,256,1024] [--markdown FILE]

The classifier's first layers run on each frame. A features.Codebook is fitted to all frames of a
clip (after Zhang et al., "VQToken", 2025), or once to the pictures of --fit; all frames of a clip
are one file of indices. The other layers answer from the vectors that indices name.

Columns: entries of the codebook; bytes of its file, which travels once with each clip if it is the
clip's own; bytes of a frame's indices; frames whose answer is the same as without coding.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from features import FITTED, batches, spread
from PIL import Image
from torch import Tensor, nn

from quantal import clips as video
from quantal.latents import features
from quantal.latents.adapters import replace_stem
from quantal.markdown import table

SUFFIXES = {".mp4", ".mkv", ".webm", ".mov"}


def frames(path: Path, count: int) -> list[Image.Image]:
    """Return the first frames of a clip."""
    found = []
    with video.read(path) as clip:
        for frame in clip:
            found.append(Image.fromarray(frame.pixels))
            if len(found) == count:
                break
    return found


def file_bytes(codebook: features.Codebook) -> int:
    with TemporaryDirectory() as folder:
        codebook.write(Path(folder) / "codebook.safetensors")
        return (Path(folder) / "codebook.safetensors").stat().st_size


def measured(
    clips: Sequence[Tensor], others: Sequence[Tensor], late: nn.Module, entries: Sequence[int]
) -> Iterator[list[str]]:
    answers = [late(clip).argmax(1) for clip in clips]
    for count in entries:
        shared = features.Codebook.fit(others, count) if others else None
        for kind in ("the clip's own", "of other pictures")[: 1 + bool(others)]:
            books, sizes, same, total = 0, 0, 0, 0
            for clip, known in zip(clips, answers, strict=True):
                own = features.Codebook.fit([clip], count) if kind[0] == "t" else shared
                assert own is not None
                data = features.encode(clip, basis=own)
                decoded = features.decode(data, basis=own)
                assert isinstance(decoded, Tensor)
                same += int((late(decoded).argmax(1) == known).sum())
                books, sizes, total = books + file_bytes(own), sizes + len(data), total + len(clip)
            yield [
                f"{count}",
                kind,
                f"{books / len(clips):,.0f}",
                f"{sizes / total:.0f}",
                f"{100 * same / total:.1f}",
            ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--fit", type=Path)
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--layer", type=int, default=14)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--entries", default="16,64,256,1024")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    from torchvision import models

    network: nn.Module = models.get_model(options.model)
    network.load_state_dict(torch.load(options.weights, map_location="cpu", weights_only=True))
    network.eval()
    transform = models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    early: Any = network.features[: options.layer]  # type: ignore[index]
    late = replace_stem(network, nn.Identity(), options.layer)
    paths = sorted(path for path in options.clips.iterdir() if path.suffix in SUFFIXES)
    entries = [int(each) for each in options.entries.split(",")]
    rows = []
    with torch.inference_mode():
        clips = [
            early(torch.stack([transform(frame) for frame in frames(path, options.frames)]))
            for path in paths
        ]
        fitted = spread(options.fit, FITTED) if options.fit else []
        others = [early(batch) for batch in batches(fitted, transform)]
        for row in measured(clips, others, late, entries):
            rows.append(row)
            print("  ".join(row), flush=True)
    head = ("entries", "codebook", "bytes of it", "bytes a frame", "unchanged, %")
    if options.markdown:
        options.markdown.write_text(table(head, rows, compact=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
