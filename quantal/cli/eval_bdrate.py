"""`quantal eval bdrate`: one figure from two curves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from quantal.cli._eval_options import Interpolation, MinOverlap, Pareto
from quantal.cli._options import JsonFlag
from quantal.cli._report import print_json
from quantal.cli._streams import say

__all__ = ["bdrate"]


def bdrate(
    test: Annotated[
        Path, typer.Argument(metavar="TEST.csv", help="The tested curve; .csv, .parquet or .json.")
    ],
    anchor: Annotated[
        Path,
        typer.Argument(
            metavar="ANCHOR.csv", help="The curve to compare with; .csv, .parquet or .json."
        ),
    ],
    metric: Annotated[
        str, typer.Option(help="A column beside `bpp`; an unknown name prints the list.")
    ] = "psnr",
    test_codec: Annotated[
        str | None, typer.Option(metavar="NAME", help="Codec to use, if TEST holds several.")
    ] = None,
    anchor_codec: Annotated[
        str | None, typer.Option(metavar="NAME", help="Codec to use, if ANCHOR holds several.")
    ] = None,
    method: Annotated[
        Interpolation, typer.Option(help="Interpolation of curves.")
    ] = Interpolation.pchip,
    mean: Annotated[
        str, typer.Option(help="picture: mean of PSNRs; mse: PSNR of the mean squared error.")
    ] = "picture",
    min_overlap: MinOverlap = 0.5,
    pareto: Pareto = False,
    as_json: JsonFlag = False,
) -> int:
    """Print how much more rate TEST needs than ANCHOR at equal quality, in percent.

    Tables are those of `quantal eval rd`, which give confidence intervals over pictures, or any CSV
    with columns bpp and psnr, or JSON in CompressAI's layout.
    """
    from quantal.eval.bdrate import compare
    from quantal.eval.curves import Sheet
    from quantal.eval.infinite import note_on
    from quantal.eval.metrics import about
    from quantal.eval.sides import read_side

    sides = (
        read_side(test, metric, test_codec, mean),
        read_side(anchor, metric, anchor_codec, mean),
    )
    found = compare(
        *sides,
        metric,
        method=method.value,
        mean=mean,
        min_overlap=min_overlap,
        pareto=pareto,
    )
    left_out = note_on(metric, (side.left_out for side in sides if isinstance(side, Sheet)))
    notes = [note for note in (found.note, left_out) if note]
    for note in notes:
        say(f"warning: {note}", err=True)
    if as_json:
        quality = found.quality if math.isfinite(found.quality) else None
        print_json(
            {
                "metric": metric,
                "method": method.value,
                "bd_rate": found.percent,
                "bd_quality": quality,
                "interval": found.interval,
                "range": [found.low, found.high],
                "overlap": found.overlap,
                "images": found.pictures,
                "note": "; ".join(notes) or None,
            }
        )
        return 0
    title = about(metric).title
    interval = found.interval
    spread = f", 95 % between {interval[0]:+.2f} and {interval[1]:+.2f} %" if interval else ""
    over = f", and over {found.pictures} pictures" if found.pictures else ""
    say(f"BD-rate ({title}, {method.value}): {found.percent:+.2f} %{spread}")
    if math.isfinite(found.quality):
        say(f"BD-quality at equal rate: {found.quality:+.3f}")
    say(
        f"computed over quality {found.low:.2f} to {found.high:.2f}, {100 * found.overlap:.0f} % "
        f"of the shorter curve{over}"
    )
    return 0
