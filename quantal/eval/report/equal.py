"""The search for equal bytes: which codecs and pictures are compared, at how many bytes.

The quality of a codec is found by bisection: the highest one whose file does not exceed the target.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence, Sized
from typing import TypeVar

from quantal.errors import EvaluationError
from quantal.eval.codecs import EvaluatedCodec
from quantal.eval.rd import RDResult
from quantal.eval.report.digest import Digest
from quantal.eval.work import Failure

__all__ = ["bracket", "common_target", "compared", "largest_within", "sizes_of", "telling"]

#: Codecs with a higher rate at their lowest quality are left out.
HIGHEST_BPP = 1.0

Code = TypeVar("Code", bound=Sized)


def largest_within(
    encode: Callable[[int], Code], target: int, low: int, high: int
) -> tuple[int, Code]:
    """Find the highest quality whose file has at most `target` bytes, by bisection.

    Sizes are assumed to increase with quality.

    Args:
        encode: Encodes at a quality.
        target: Maximum size in bytes.
        low: Lowest quality, a whole number.
        high: Highest quality, a whole number.

    Returns:
        The quality and the file.

    Raises:
        EvaluationError: The file of `low` is larger than the target.
    """
    best = low, encode(low)
    if len(best[1]) > target:
        raise EvaluationError(
            f"needs {len(best[1]):,} bytes at quality {low}, expected at most {target:,}"
        )
    while low < high:
        middle = (low + high + 1) // 2
        data = encode(middle)
        if len(data) <= target:
            best = middle, data
            low = middle
        else:
            high = middle - 1
    return best


def compared(result: RDResult, summed: Digest, coders: Collection[str]) -> list[str]:
    """Return the anchor and the other codecs that have several qualities.

    Args:
        result: The result of a measurement.
        summed: Its digest.
        coders: Labels of codecs with several qualities.
    """
    names = [name for name in result.sheets if name in result.curves and name in coders]
    return sorted(names, key=lambda name: name != summed.picture_anchor)


def telling(result: RDResult, summed: Digest, most: int) -> list[tuple[str, str]]:
    """Return names of pictures and notes: the best codec's best, median and worst picture.

    Args:
        result: The result of a measurement.
        summed: Its digest.
        most: Their number at most; of the three above, the last ones.
    """
    metric_name = summed.axes[0].about.name if summed.axes else ""
    by_codec = {
        name: sorted((c.bd.percent, picture) for picture, c in own.items() if c.bd)
        for name, own in summed.per_picture.get(metric_name, {}).items()
    }
    by_codec = {name: order for name, order in by_codec.items() if order}
    if not by_codec:
        return [(name, "") for name in summed.pictures[:most]]
    best = min(by_codec, key=lambda name: by_codec[name][len(by_codec[name]) // 2])
    order = by_codec[best]
    usual = len(order) // 2
    places = {len(order) - 1: "worst", usual: "middle", 0: "best"}
    notes = {}
    for place, what in places.items():
        percent, picture = order[place]
        shown = f"{percent:+.1f} %".replace("-", "\N{MINUS SIGN}")
        against = f"of {best} against {summed.picture_anchor}"
        notes[picture] = f"{what} {summed.called} {against}, BD-rate {shown}"
    return list(reversed(notes.items()))[-most:]


def sizes_of(result: RDResult) -> dict[tuple[str, str], dict[float, int]]:
    """Return (codec, picture) -> quality -> measured bytes."""
    sizes: dict[tuple[str, str], dict[float, int]] = {
        (name, picture): {} for name in result.sheets for picture in result.names
    }
    for row in result.rows:
        if row.bytes is not None:
            sizes[row.codec, row.picture][row.quality] = row.bytes
    return sizes


def common_target(pixels: int, sizes: Sequence[dict[float, int]], usual_bpp: float) -> int:
    """Return the target of a picture in bytes: the usual rate, or the lowest rate of some codec.

    Args:
        pixels: Number of its pixels.
        sizes: Quality -> measured bytes of each codec.
        usual_bpp: Bits per pixel to aim at.
    """
    least = [min(own.values()) for own in sizes if own]
    usual = round(usual_bpp * pixels / 8)
    return max([usual, *(size for size in least if size <= HIGHEST_BPP * pixels / 8)])


def bracket(
    coder: EvaluatedCodec, sizes: dict[float, int], target: int
) -> tuple[int, int] | Failure:
    """Return the lowest and highest possible quality of the largest file within the target."""
    known = {q: size for q, size in sizes.items() if q == int(q)}
    fitting = [int(q) for q, size in known.items() if size <= target]
    if not fitting:
        least = min(known.values(), default=0)
        reason = f"its smallest file here has {least:,} bytes" if least else "it was not measured"
        return Failure(reason)
    above = [int(q) - 1 for q, size in known.items() if size > target and q > max(fitting)]
    return max(fitting), min([int(coder.limits[1]), *above])
