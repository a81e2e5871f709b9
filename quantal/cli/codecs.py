"""`quantal codecs`: lists codecs without loading them."""

from __future__ import annotations

from dataclasses import asdict

from quantal.cli._options import JsonFlag, Plugin
from quantal.cli._report import print_json
from quantal.cli._streams import say

__all__ = ["codecs"]


def codecs(plugin: Plugin = None, as_json: JsonFlag = False) -> int:
    """List codecs, with their size, work per pixel and training."""
    from quantal.codecs import DEFAULT_CODEC, available

    entries = available()
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return 0
    for entry in entries:
        default = " (default)" if entry.name == DEFAULT_CODEC else ""
        say(f"{entry.name}{default}: {entry.media}. {entry.description}")
        if not entry.weights:
            bring = f"pip install {entry.package}, or " if entry.package else ""
            say(f"  weights     missing; {bring}name yours with --weights FILE")
            continue
        if not entry.parameters:  # registered by a plugin, without a card
            continue
        say(f"  parameters  {entry.parameters:,}; weights here")
        say(
            f"  work        {entry.encode_kmac_per_pixel:.1f} kMAC/pixel to encode, "
            f"{entry.decode_kmac_per_pixel:.1f} to decode"
        )
        trained = (entry.training_data, f"{entry.training_steps:,} steps")
        say(f"  training    {', '.join(filter(None, trained))}")
    return 0
