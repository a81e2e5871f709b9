"""Notes on a rate-distortion measurement: what its figures leave out, and what they mix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from quantal import media
from quantal.errors import MediaError
from quantal.eval.curves import Sheet
from quantal.eval.infinite import is_infinite, remedy
from quantal.eval.pictures import reason_unreadable, some
from quantal.eval.rows import Row

__all__ = ["notes"]


def notes(
    names: Mapping[str, Path], own: Mapping[str, Sheet], anchor: str, rows: Sequence[Row]
) -> Iterator[str]:
    """Yield sentences about what was not measured, or not counted.

    Args:
        names: The pictures by their names.
        own: Label of a codec -> its measurements.
        anchor: Name of the anchor.
        rows: All measurements.
    """
    yield from _alpha(names)
    yield from _uncounted(own, anchor)
    yield from _runs(rows)


def _alpha(names: Mapping[str, Path]) -> Iterator[str]:
    clear = []
    for name, path in names.items():
        try:
            alpha = None if reason_unreadable(path) else media.read(path).alpha
        except MediaError:  # the rows of all codecs report it
            continue
        if alpha is not None and (alpha < 255).any():
            clear.append(name)
    if clear:
        yield f"alpha is not measured, only the colours below it: {some(clear)}"


def _uncounted(own: Mapping[str, Sheet], anchor: str) -> Iterator[str]:
    """Yield notes about pictures without a metric that others have, and about a missing anchor."""
    reasons: dict[str, list[str]] = {}
    for sheet in own.values():
        for picture, reason in sheet.left_out.items():
            if reason.startswith("has no ") or is_infinite(reason):
                names = reasons.setdefault(reason, [])
                if picture not in names:
                    names.append(picture)
    for reason, names in reasons.items():
        yield f"a picture that {reason} is left out of all means{remedy(reason)}: {some(names)}"
    if anchor in own and not own[anchor].pictures:
        yield f"there is no BD-rate, for the anchor {anchor} failed on every picture"


def _runs(rows: Sequence[Row]) -> Iterator[str]:
    runs = list(dict.fromkeys(row.run for row in rows if row.run))
    if len(runs) > 1:
        yield f"measured in {len(runs)} runs, whose seconds may not compare: {'; '.join(runs)}"
