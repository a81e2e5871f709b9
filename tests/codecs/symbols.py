"""Print a hash of every symbol in a .qtl file; run by test_exactness.py under many conditions.

python symbols.py FILE [--threads N] [--no-onednn] [--channels-last] [--batched]
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import torch

import quantal
from quantal.codecs.base import Latents
from quantal.entropy.exact import ExactNet


def digest(latents: Latents) -> str:
    """SHA-256 over all symbols, little endian, in coding order."""
    result = hashlib.sha256()
    for part in latents.symbols:
        result.update(part.contiguous().numpy().astype("<i4").tobytes())
    return result.hexdigest()


def disturb(options: argparse.Namespace) -> None:
    """Make the integer network run in another way than it would by itself."""
    plain = ExactNet.__call__

    def call(self: ExactNet, x: torch.Tensor, rate_index: int, dtype: Any = None) -> torch.Tensor:
        if options.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        if not options.batched:
            return plain(self, x, rate_index, dtype)
        others = torch.flip(x, (0, 1)), x, -x
        return plain(self, torch.cat(others), rate_index, dtype)[1:2]

    ExactNet.__call__ = call  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    for flag in ("--no-onednn", "--channels-last", "--batched", "--autocast"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.mkldnn.enabled = not options.no_onednn  # type: ignore[assignment]
    disturb(options)
    with torch.autocast("cpu", torch.bfloat16, enabled=options.autocast):
        print(digest(quantal.latents(options.file.read_bytes())))


if __name__ == "__main__":
    main()
