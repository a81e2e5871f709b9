"""Tables of figures in README, docs/reference/codecs and the model cards.

A page has marks, with the kind of table, the set of pictures and the codecs; tables are written
between them:

    <!-- figures: versus kodak context-m,context-s -->
    <!-- end of figures -->

`versus`: BD-rate by PSNR-RGB against every other codec; `rates`: bits per pixel at equal PSNR;
`qualities`: bits per pixel and PSNR at each quality. tests/test_figures.py checks all tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from _tables import delta, rate_at

from quantal.eval.rd import RDResult
from quantal.markdown import table

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/reference/codecs/*.md", "quantal/weights/*.md")
MARKS = re.compile(
    r"(<!-- figures: (?P<kind>\w+) (?P<set>\w+) (?P<codecs>\S+) -->\n).*?(<!-- end of figures -->)",
    re.DOTALL,
)
DECIBELS = (26, 28, 30, 32, 34, 36, 38, 40, 41.5)
#: Titles of codecs; others have their names as titles.
TITLES = {
    "jpeg": "JPEG (optimised, progressive, 4:2:0)",
    "jxl": "JPEG XL (effort 7)",
    "jpeg2000": "JPEG 2000",
    "webp": "WebP (method 6)",
    "heic": "HEIC (4:2:0)",
    "avif:speed=4": "AVIF (speed 4, 4:2:0)",
    "av1": "AV1 intra by SVT-AV1 (preset 4)",
    "hevc:subsampling=4:4:4,bits=10": "HEVC intra 4:4:4, 10 bits, x265 slow",
    "published/bpg_444_x265_ycbcr": "BPG 4:4:4, published",
    "published/vtm": "VTM, published",
    "published/compressai-bmshj2018-hyperprior_mse_cuda": (
        "CompressAI `bmshj2018-hyperprior`, published"
    ),
    "published/compressai-mbt2018-mean_mse_cuda": "CompressAI `mbt2018-mean`, published",
    "published/compressai-cheng2020-anchor_mse_cuda": "CompressAI `cheng2020-anchor`, published",
}


def quote(results: Mapping[str, RDResult]) -> None:
    """Update the tables of all pages.

    Args:
        results: Name of a set of pictures -> its result.
    """

    def figures(found: re.Match[str]) -> str:
        result = results.get(found["set"])
        if result is None:
            return found[0]
        text = KINDS[found["kind"]](result, found["codecs"].split(","))
        return f"{found[1]}\n{text}\n\n{found[5]}"

    for page in (page for pattern in PAGES for page in sorted(ROOT.glob(pattern))):
        before = page.read_text(encoding="utf-8")
        after = MARKS.sub(figures, before)
        if after != before:
            page.write_text(after, encoding="utf-8")


def _versus(result: RDResult, codecs: Sequence[str]) -> str:
    """Format BD-rates, sorted by those of the first codec; codecs without one are left out."""
    first, *others = codecs
    rivals = {}
    for name in result.curves:
        found = None if name == first else result.compare(first, name, "psnr", resamples=1000)
        if found is not None and not isinstance(found, str):
            rivals[name] = found
    rows = []
    for name in sorted(rivals, key=lambda name: rivals[name].percent):
        more = (
            "" if name == other else delta(result.compare(other, name, "psnr", resamples=1000))
            for other in others
        )
        rows.append((_title(name), delta(rivals[name]), *more))
    return table(("versus", *map(_title, codecs)), rows)


def _rates(result: RDResult, codecs: Sequence[str]) -> str:
    rows = [
        (f"{decibels:g}", *(rate_at(result.curves[name], decibels) for name in codecs))
        for decibels in DECIBELS
    ]
    names = (_title(name).partition(" (")[0] for name in codecs)
    return table(("PSNR-RGB, dB", *(f"{name}, bpp" for name in names)), rows)


def _qualities(result: RDResult, codecs: Sequence[str]) -> str:
    curves = [result.curves[name] for name in codecs]
    rows = []
    for place, quality in enumerate(curves[0].quality):
        pairs = ((f"{c.bpp[place]:.4f}", f"{c.values['psnr'][place]:.2f}") for c in curves)
        rows.append((f"{quality:g}", *(text for pair in pairs for text in pair)))
    heads = [(f"{_title(name)}, bpp", "PSNR-RGB, dB") for name in codecs]
    return table(("quality", *(text for pair in heads for text in pair)), rows)


def _title(name: str) -> str:
    return TITLES.get(name, f"`{name}`")


KINDS = {"versus": _versus, "rates": _rates, "qualities": _qualities}
