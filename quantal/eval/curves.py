"""Sheets of measurements, curves of their means, and published curves.

A Sheet holds the values of every picture, for the bootstrap and for comparisons on common
pictures. A Curve holds means over pictures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantal.errors import EvaluationError
from quantal.eval import plans
from quantal.eval.infinite import to_leave_out
from quantal.eval.metrics import about
from quantal.eval.metrics import mean as mean_over
from quantal.eval.rows import column, missing
from quantal.eval.texts import as_text

__all__ = ["COSTS", "Curve", "Sheet", "published", "sheets"]

#: Columns of costs: wall-clock seconds, and memory in MB (10^6 bytes).
COSTS = ("encode_s", "decode_s", "encode_mb", "decode_mb")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Means over pictures, one point per quality, in the order of rate.

    Attributes:
        name: Label of the codec, or `published/NAME`.
        quality: Qualities [N]; NaN for published curves.
        bpp: Bits per pixel [N].
        values: Metric -> means [N]; NaN where the metric is undefined.
        pictures: Number of pictures in the means; 0 for published curves.
        costs: Column of COSTS -> means [N]; empty if unknown.
        source: Origin of a published curve.
    """

    name: str
    quality: tuple[float, ...]
    bpp: tuple[float, ...]
    values: Mapping[str, tuple[float, ...]]
    pictures: int
    costs: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    source: str = "measured"


@dataclass(frozen=True, eq=False)
class Sheet:
    """The measurements of one codec: arrays [pictures, qualities].

    Attributes:
        codec: Label of the codec.
        version: Its version.
        pictures: Names of the pictures.
        digests: Digests of the pictures' files; "" if unknown.
        quality: Qualities, in ascending order.
        bpp: Bits per pixel.
        values: Metric -> values.
        costs: Column of COSTS -> values; NaN if unknown.
        left_out: Excluded picture -> reason: it failed at some quality, lacks a metric that other
            pictures have, or has an infinite value of one.
    """

    codec: str
    version: str
    pictures: tuple[str, ...]
    digests: tuple[str, ...]
    quality: tuple[float, ...]
    bpp: Array
    values: Mapping[str, Array]
    costs: Mapping[str, Array]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def at(self, index: Sequence[int] | npt.NDArray[np.intp]) -> Sheet:
        """Return the sheet of some of the pictures, by index; repetitions are allowed."""
        chosen = np.asarray(index, np.intp)
        return Sheet(
            self.codec,
            self.version,
            tuple(self.pictures[i] for i in chosen),
            tuple(self.digests[i] for i in chosen),
            self.quality,
            self.bpp[chosen],
            {name: array[chosen] for name, array in self.values.items()},
            {name: array[chosen] for name, array in self.costs.items()},
            self.left_out,
        )

    def only(self, pictures: Iterable[str]) -> Sheet:
        """Return the sheet of the named pictures, in the given order."""
        place = {name: i for i, name in enumerate(self.pictures)}
        return self.at([place[name] for name in pictures])

    def curve(self, mean: str = "picture") -> Curve:
        """Return the means over the pictures; `mean` is one of `quantal.eval.metrics.MEANS`."""
        bpp = self.bpp.mean(axis=0)
        order = np.argsort(bpp, kind="stable")

        def sorted_(values: Array) -> tuple[float, ...]:
            return tuple(float(v) for v in values[order])

        return Curve(
            name=self.codec,
            quality=tuple(self.quality[i] for i in order),
            bpp=sorted_(bpp),
            values={m: sorted_(_means(m, array, mean)) for m, array in self.values.items()},
            pictures=len(self.pictures),
            costs={
                name: sorted_(array.mean(axis=0))
                for name, array in self.costs.items()
                if np.isfinite(array).all()
            },
        )


def _means(metric: str, values: Array, kind: str) -> Array:
    """Return means [qualities] of [pictures, qualities]; NaN where no picture has a value."""
    return np.array(
        [
            math.nan if np.isnan(own).all() else mean_over(metric, own.tolist(), kind).value
            for own in values.T
        ],
        np.float64,
    )


def sheets(
    rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], mean: str = "picture"
) -> dict[str, Sheet]:
    """Make a sheet for every codec.

    A codec that failed on every picture has a sheet without pictures.

    Args:
        rows: Rows of a table, see `quantal.eval.rows`.
        metrics: Names of the metrics to read.
        mean: How values will be averaged over pictures, one of `quantal.eval.metrics.MEANS`.

    Returns:
        Label of the codec -> sheet.
    """
    by_codec: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_codec.setdefault(row["codec"], []).append(row)
    infinite: dict[str, str] = {}
    for own in by_codec.values():
        infinite |= to_leave_out(own, metrics, mean)
    return {codec: _sheet(codec, own, metrics, infinite) for codec, own in by_codec.items()}


def _sheet(
    codec: str,
    rows: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    infinite: Mapping[str, str],
) -> Sheet:
    qualities = sorted({float(row["quality"]) for row in rows})
    at: dict[str, dict[float, Mapping[str, Any]]] = {}
    left_out: dict[str, str] = {}
    for row in rows:
        at.setdefault(row["picture"], {})[float(row["quality"])] = row
        if row.get("error"):
            left_out.setdefault(row["picture"], f"quality {row['quality']:g}: {row['error']}")
    for picture, points in at.items():
        if len(points) < len(qualities):
            left_out.setdefault(picture, "was not measured at every quality")
    whole = sorted(set(at) - set(left_out))
    # Rates and values of a curve must be means of the same pictures, so a picture is excluded if it
    # lacks a metric that others have. A metric that no picture has excludes none.
    for name in metrics:
        lacking = [p for p in whole if any(_lacks(at[p][q], name) for q in qualities)]
        if len(lacking) < len(whole):
            left_out |= {p: f"has no {about(name).title}, as others have" for p in lacking}
    for picture, reason in infinite.items():
        if picture in at:
            left_out.setdefault(picture, reason)
    whole = [p for p in whole if p not in left_out]

    def grid(name: str) -> Array:
        values = [missing(at[p][q].get(name) for q in qualities) for p in whole]
        return np.array(values, np.float64).reshape(len(whole), len(qualities))

    return Sheet(
        codec=codec,
        version=str(rows[0].get("version", "")),
        pictures=tuple(whole),
        digests=tuple(str(at[p][qualities[0]].get("digest") or "") for p in whole),
        quality=tuple(qualities),
        bpp=grid("bpp"),
        values={name: grid(column(name)) for name in metrics},
        costs={name: grid(name) for name in COSTS},
        left_out=left_out,
    )


def _lacks(row: Mapping[str, Any], metric: str) -> bool:
    value = row.get(column(metric))
    return value is None or math.isnan(value)


#: Names of metrics in CompressAI's result files.
_PUBLISHED_NAMES = {
    "psnr": ("psnr-rgb", "psnr_rgb", "psnr"),
    "ms-ssim": ("ms-ssim-rgb", "ms_ssim_rgb", "ms-ssim", "ms_ssim"),
}


def published(where: str | Path | Sequence[str | Path]) -> dict[str, Curve]:
    """Read published curves from result files in CompressAI's JSON layout.

    Args:
        where: Files, folders of .json files, or patterns such as `results/kodak/vtm*.json`.

    Returns:
        `published/FILE-STEM` -> curve.

    Raises:
        EvaluationError: A place holds no such file, a file is invalid, or two have one name.
    """
    curves: dict[str, Curve] = {}
    given = [where] if isinstance(where, (str, Path)) else where
    for place in (plans.place("a reference", one) for one in given):
        if place.is_dir():
            files = sorted(place.glob("*.json"))
        else:
            files = [place] if place.is_file() else sorted(place.parent.glob(place.name))
        if not files:
            raise EvaluationError(
                f"no published curves at {place}; expected .json files as CompressAI's results are"
            )
        for file in files:
            curve = _read_published(file)
            if curve.name in curves:
                raise EvaluationError(
                    f"two published curves are called {as_text(file.stem)!r}, the second in "
                    f"{as_text(file.parent)}; name one of them alone, or rename it"
                )
            curves[curve.name] = curve
    return curves


def _read_published(file: Path) -> Curve:
    try:
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        results = document["results"]
        bpp = np.array(results["bpp"], np.float64)
        values = {}
        for metric, keys in _PUBLISHED_NAMES.items():
            key = next((k for k in keys if k in results), None)
            if key is not None:
                values[metric] = np.array(results[key], np.float64)
        if bpp.ndim != 1 or not values or any(v.shape != bpp.shape for v in values.values()):
            raise ValueError("bpp and metrics are not lists of one length")
        if not bpp.size or not (np.isfinite(bpp) & (bpp > 0)).all():
            raise ValueError("bpp is empty, or has values that are not numbers above 0")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{file}: {error}; expected an object with `results` that has `bpp` and `psnr-rgb` or "
            "`ms-ssim-rgb`, lists of one length"
        ) from error
    order = np.argsort(bpp, kind="stable")
    return Curve(
        name=as_text(f"published/{file.stem}"),
        quality=(math.nan,) * len(bpp),
        bpp=tuple(float(b) for b in bpp[order]),
        values={m: tuple(float(x) for x in v[order]) for m, v in values.items()},
        pictures=0,
        source=as_text(document.get("description") or document.get("name") or file.stem),
    )
