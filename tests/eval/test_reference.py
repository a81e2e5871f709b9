"""Measured curves against published curves of the same codec on the same pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantal.eval.rd import Plan, measure_rd

SHARED = Path(__file__).parents[3] / "shared"
KODAK = SHARED / "data" / "kodak"
PUBLISHED = SHARED / "reference" / "compressai" / "image" / "kodak"

pytestmark = pytest.mark.skipif(
    not (KODAK.is_dir() and PUBLISHED.is_dir()),
    reason="Kodak's pictures and the published curves are not part of the repository",
)


@pytest.mark.slow
def test_webp_lands_on_the_published_curve(tmp_path: Path) -> None:
    plan = Plan(
        codecs=("webp:method=4",),  # Pillow's default, which theirs was made with
        data=KODAK,
        out=tmp_path,
        metrics=("psnr",),
        qualities={"": (5, 20, 40, 60, 80, 95)},
        references=(PUBLISHED / "webp.json",),
    )
    found = measure_rd(plan).compare("webp:method=4", "published/webp", "psnr")
    assert not isinstance(found, str), found
    assert abs(found.percent) < 3
    assert found.overlap > 0.9
