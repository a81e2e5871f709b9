"""Names of pictures, classes, models and codecs as text, which tables and pages can hold.

A file's name that is not UTF-8 stays true in its path; its text is only shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from quantal.names import shown

__all__ = ["as_text", "brief", "by_name", "distinct"]


def as_text(name: object) -> str:
    r"""Return a name, a path or a message as text that can be encoded.

    >>> as_text("caf\udce9.png")
    'caf\\xe9.png'
    """
    return shown(str(name))


def brief(label: str) -> str:
    """Return the label of a codec with its files' names in place of their paths, for legends.

    >>> brief("wavelet:latents=runs/stem/stem.safetensors,effort=1")
    'wavelet:latents=stem.safetensors,effort=1'
    """
    return re.sub(r"=[^,=]*[/\\\\]", "=", label)


def distinct(names: Iterable[str]) -> list[str]:
    r"""Return names as texts that differ where the names do; equal names are numbered.

    >>> distinct(["caf\udce9.png", "caf\\xe9.png", "a.png"])
    ['caf\\xe9.png (2)', 'caf\\xe9.png', 'a.png']
    """
    given = list(names)
    texts = [as_text(name) for name in given]
    taken: set[str] = set()
    found: dict[int, str] = {}
    # Names that are texts already keep theirs.
    for place in sorted(range(len(given)), key=lambda place: given[place] != texts[place]):
        text, count = texts[place], 1
        while text in taken:
            count += 1
            text = f"{texts[place]} ({count})"
        taken.add(text)
        found[place] = text
    return [found[place] for place in range(len(given))]


def by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Return files by their names as distinct texts, in the same order."""
    files = list(paths)
    return dict(zip(distinct(path.name for path in files), files, strict=True))
