"""Rate-distortion measurements: rows, resumed runs, failures and invalid arguments."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quantal.errors import ArgumentError, EvaluationError, OutputError
from quantal.eval import rd
from quantal.eval.bdrate import compare
from quantal.eval.classical.still import Jpeg
from quantal.eval.codecs import codec
from quantal.eval.curves import sheets
from quantal.eval.metrics import metric
from quantal.eval.rd import Plan, find_pictures, measure_rd
from quantal.eval.rows import Row, read_table, write_tables
from quantal.eval.summary import document
from quantal.eval.work import Failure

GRID = {"": (20.0, 40.0, 60.0, 80.0)}


@pytest.fixture
def folder(tmp_path: Path, photograph: Image.Image) -> Path:
    """Three pictures of two sizes."""
    data = tmp_path / "pictures"
    data.mkdir()
    for i, box in enumerate([(0, 0, 180, 170), (100, 50, 280, 220), (200, 90, 297, 161)]):
        photograph.crop(box).save(data / f"{i}.png")
    return data


def plan(folder: Path, **changes: Any) -> Plan:
    settings: dict[str, Any] = {
        "codecs": ("jpeg", "webp"),
        "data": folder,
        "out": folder.parent / "out",
        "metrics": ("psnr",),
        "qualities": GRID,
        "jobs": 0,
    }
    return Plan(**(settings | changes))


def measured(plan: Plan) -> tuple[rd.RDResult, list[Row]]:
    """The result, and the rows that had to be measured for it."""
    new: list[Row] = []
    return measure_rd(plan, lambda done, total, row: new.append(row)), new


def test_rows_are_what_the_codec_does(folder: Path) -> None:
    result, new = measured(plan(folder))
    assert len(new) == len(result.rows) == 2 * 4 * 3
    row = next(r for r in result.rows if (r.codec, r.picture, r.quality) == ("webp", "1.png", 60))
    pixels = np.asarray(Image.open(folder / "1.png"))
    data = codec("webp").encode(pixels, 60)
    assert row.bytes == len(data)
    assert row.bpp == pytest.approx(8 * len(data) / (180 * 170))
    assert row.metrics == {"psnr": metric("psnr")(pixels, codec("webp").decode(data))}
    assert row.encode_s is not None and row.encode_s > 0
    curve = result.curves["webp"]
    bpps = [r.bpp for r in result.rows if r.codec == "webp" and r.quality == 60]
    assert curve.bpp[2] == pytest.approx(np.mean(bpps))  # type: ignore[arg-type]
    assert curve.pictures == 3 and curve.quality == (20, 40, 60, 80)
    assert result.anchor == "jpeg"


def test_over_processes_the_figures_are_the_same(folder: Path) -> None:
    alone = measure_rd(plan(folder))
    spread = measure_rd(plan(folder, jobs=2, out=folder.parent / "other"))
    assert [(r.codec, r.picture, r.quality, r.bytes, r.metrics) for r in alone.rows] == [
        (r.codec, r.picture, r.quality, r.bytes, r.metrics) for r in spread.rows
    ]


def test_an_interrupted_run_is_resumed(folder: Path) -> None:
    journal = folder.parent / "out" / rd.JOURNAL

    def stop(done: int, total: int, row: Row) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_rd(plan(folder), stop)
    kept = journal.read_bytes()
    assert kept.count(b"\n") == 10
    journal.write_bytes(kept[:-7])  # as after a power failure
    result, new = measured(plan(folder))
    assert len(new) == 24 - 9 and len(result.rows) == 24
    again, new = measured(plan(folder))
    assert new == [] and again.rows == result.rows


def test_only_what_changed_is_measured_again(folder: Path, small_photograph: Image.Image) -> None:
    measure_rd(plan(folder))
    assert len(measured(plan(folder, codecs=("jpeg", "webp", "png")))[1]) == 3
    assert len(measured(plan(folder, metrics=("psnr", "ssim")))[1]) == 24
    small_photograph.save(folder / "2.png")
    assert {row.picture for row in measured(plan(folder))[1]} == {"2.png"}


def test_a_codec_that_fails_on_one_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Jpeg.encode

    def failing(self: Jpeg, image: np.ndarray, quality: float) -> bytes:
        if image.shape[1] == 97 and quality == 40:
            raise RuntimeError("not that one")
        return encode(self, image, quality)

    monkeypatch.setattr(Jpeg, "encode", failing)
    result = measure_rd(plan(folder))
    (failure,) = result.failures
    assert (failure.codec, failure.picture, failure.quality) == ("jpeg", "2.png", 40)
    assert failure.error == "RuntimeError: not that one"
    # Means are over the same pictures at every quality.
    assert result.curves["jpeg"].pictures == 2 and result.curves["webp"].pictures == 3
    assert "not that one" in result.sheets["jpeg"].left_out["2.png"]
    both = result.compare("webp", "jpeg", "psnr")
    assert not isinstance(both, str) and both.pictures == 2
    monkeypatch.setattr(Jpeg, "encode", encode)
    assert len(measured(plan(folder))[1]) == 1  # failures are tried again


def test_a_codec_that_fails_on_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jpeg, "encode", lambda *_: 1 / 0)
    result = measure_rd(plan(folder))
    assert len(result.failures) == 12 and "jpeg" not in result.curves
    assert result.anchor is None  # it was the anchor
    assert document(result)["codecs"]["jpeg"]["points"] == []


def test_a_decoder_that_gives_another_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Jpeg, "decode", lambda *_: np.zeros((4, 5, 3), np.uint8))
    result = measure_rd(plan(folder, codecs=("jpeg",)))
    assert "decoded to 5x4, expected" in str(result.failures[0].error)


def test_a_crash_costs_one_quality_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a worker dies, its task is tried again quality by quality."""

    def dying(function: Any, tasks: list[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        for task in tasks:
            dies = task.codec == "webp" and task.name == "0.png" and 60 in task.qualities
            yield task, Failure("its process died") if dies else function(task)

    monkeypatch.setattr(rd, "spread", dying)
    result = measure_rd(plan(folder, jobs=2))
    assert [(r.picture, r.quality, r.error) for r in result.failures] == [
        ("0.png", 60, "its process died")
    ]


def test_pictures_that_codecs_or_metrics_reject(tmp_path: Path) -> None:
    data = tmp_path / "odd"
    data.mkdir()
    Image.new("RGB", (1, 1), (9, 200, 30)).save(data / "dot.png")
    random = np.random.default_rng(0).integers(0, 255, (170, 180, 4), np.uint8)
    Image.fromarray(random, "RGBA").save(data / "alpha.png")
    result = measure_rd(plan(data, metrics=("psnr", "ms-ssim")))
    assert not result.failures
    by_picture = {row.picture: row.metrics for row in result.rows if row.codec == "webp"}
    assert by_picture["dot.png"] is not None and by_picture["dot.png"]["ms-ssim"] is None
    assert by_picture["alpha.png"] is not None and by_picture["alpha.png"]["ms-ssim"] is not None
    assert result.notes == (
        "alpha is not measured, only the colours below it: alpha.png",
        "a picture that has no MS-SSIM, as others have is left out of all means: dot.png",
    )
    # Rate and quality are means over the same pictures: the one with every metric.
    curve = result.curves["webp"]
    own = [r for r in result.rows if (r.codec, r.picture) == ("webp", "alpha.png")]
    assert curve.pictures == 1
    assert curve.bpp == pytest.approx([r.bpp for r in own])  # type: ignore[arg-type]
    assert curve.values["ms-ssim"] == pytest.approx([r.metrics["ms-ssim"] for r in own])  # type: ignore[index]
    both = measure_rd(plan(data, metrics=("psnr",), out=data.parent / "psnr"))
    assert both.curves["webp"].pictures == 2


def test_a_metric_that_no_picture_has(tmp_path: Path, small_photograph: Image.Image) -> None:
    data = tmp_path / "small"
    data.mkdir()
    small_photograph.save(data / "small.png")
    result = measure_rd(plan(data, metrics=("psnr", "ms-ssim")))
    assert result.curves["webp"].pictures == 1
    assert "MS-SSIM is not defined" in str(result.compare("webp", "jpeg", "ms-ssim"))
    assert not isinstance(result.compare("webp", "jpeg", "psnr"), str)


def test_a_picture_that_was_replaced(folder: Path, photograph: Image.Image) -> None:
    """In one process and immediately: its pixels must not come from a cache."""
    before = measure_rd(plan(folder, codecs=("jpeg",)))
    photograph.crop((0, 0, 97, 71)).save(folder / "2.png")
    after = measure_rd(plan(folder, codecs=("jpeg",)))
    assert [r.bytes for r in before.rows[:8]] == [r.bytes for r in after.rows[:8]]
    assert [r.bytes for r in before.rows[8:]] != [r.bytes for r in after.rows[8:]]


def test_rows_describe_their_run(folder: Path) -> None:
    first = measure_rd(plan(folder, codecs=("jpeg",)))
    assert len({row.run for row in first.rows}) == 1 and first.notes == ()
    second = measure_rd(plan(folder, codecs=("jpeg", "webp"), threads=2))
    assert len(document(second)["provenance"]["runs"]) == 2
    assert "measured in 2 runs" in second.notes[0]


def test_names_in_any_form(folder: Path) -> None:
    spec = "webp:method=6"  # which is the default
    result = measure_rd(plan(folder, anchor=spec, qualities={spec: (20, 50, 80)}))
    assert result.anchor == "webp"
    assert result.curves["webp"].quality == (20, 50, 80)


def test_a_file_that_is_no_picture(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"nothing of the kind")
    result = measure_rd(plan(folder, codecs=("jpeg",)))
    assert {row.picture for row in result.failures} == {"broken.png"}
    assert result.curves["jpeg"].pictures == 3


def test_lossless_codecs_are_one_point(folder: Path) -> None:
    result = measure_rd(plan(folder, codecs=("jpeg", "png")))
    assert result.curves["png"].values["psnr"] == (math.inf,)
    found = document(result)["codecs"]["png"]
    assert found["points"][0]["psnr"] is None and found["bd_rate_psnr"] is None
    assert "a lossless or failed point" in found["bd_rate_psnr_reason"]
    json.dumps(document(result), allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"codecs": ("jpge",)}, ArgumentError, "did you mean 'jpeg'"),
        ({"metrics": ("pnsr",)}, ArgumentError, "did you mean 'psnr'"),
        (
            {"qualities": {"": (20.0, 101.0)}},
            ArgumentError,
            "no quality 101; expected 0 to 100",
        ),
        ({"qualities": {"jpge": (20.0,)}}, ArgumentError, "did you mean 'jpeg'"),
        ({"qualities": {"": (20.5,)}}, ArgumentError, "its qualities are whole numbers"),
        ({"metrics": ()}, ArgumentError, "no metric was named"),
        ({"anchor": "avif"}, ArgumentError, "not among the curves: jpeg, webp"),
        ({"mean": "geometric"}, ArgumentError, "expected one of picture, mse"),
        ({"references": (Path("nowhere"),)}, EvaluationError, "no published curves at nowhere"),
        ({"data": Path("nowhere")}, EvaluationError, "there is no nowhere"),
    ],
)
def test_invalid_arguments_raise_errors_before_any_work(
    folder: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        measure_rd(plan(folder, **changes))
    assert not (folder.parent / "out").exists()


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no pictures, and no other files"):
        find_pictures(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(EvaluationError, match=r"only other files \(\.txt\)"):
        find_pictures(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(EvaluationError, match="its folders are images: name one"):
        find_pictures(tmp_path)


def test_results_among_the_pictures(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="holds the pictures"):
        measure_rd(plan(folder, out=folder))
    (folder.parent / "file").write_text("x")
    with pytest.raises(OutputError, match="can't be created as a folder"):
        measure_rd(plan(folder, out=folder.parent / "file"))


def test_an_output_folder_of_something_else(folder: Path) -> None:
    out = folder.parent / "out"
    out.mkdir()
    (out / rd.JOURNAL).write_text('{"step": 1}\n')
    with pytest.raises(EvaluationError, match="other data than measurements"):
        measure_rd(plan(folder))


def test_published_curves_as_anchor(folder: Path) -> None:
    results = {"bpp": [0.2, 4.0, 1.0, 2.0], "psnr-rgb": [26.0, 44.0, 33.0, 39.0], "other": [1]}
    document_ = {"name": "X", "description": "X 1.0", "results": results}
    file = folder.parent / "x.json"
    file.write_text(json.dumps(document_))
    result = measure_rd(plan(folder, references=(file,), anchor="x"))
    assert result.anchor == "published/x"
    assert result.curves["published/x"].bpp == (0.2, 1.0, 2.0, 4.0)
    found = result.compare("jpeg", "published/x", "psnr")
    assert not isinstance(found, str) and found.interval is None
    del document_["results"]["bpp"]  # type: ignore[attr-defined]
    file.write_text(json.dumps(document_))
    with pytest.raises(EvaluationError, match="expected an object with `results`"):
        measure_rd(plan(folder, references=(file,)))
    for bpp in ([0.2, None, 1.0, 2.0], [0.2, -4.0, 1.0, 2.0], [math.nan] * 4):
        document_["results"] = results | {"bpp": bpp}
        file.write_text(json.dumps(document_))
        with pytest.raises(EvaluationError, match="not numbers above 0"):
            measure_rd(plan(folder, references=(file,)))
    other = folder.parent / "other"
    other.mkdir()
    document_["results"] = results | {"bpp": [0.2, 4.0, 1.0, 2.0]}
    for path in (file, other / "x.json"):
        path.write_text(json.dumps(document_))
    with pytest.raises(EvaluationError, match="two published curves are called 'x'"):
        measure_rd(plan(folder, references=(file, other)))


def test_tables_round_trip(folder: Path, tmp_path: Path) -> None:
    rows = [row.flat() for row in measure_rd(plan(folder, codecs=("jpeg", "png"))).rows]
    text, binary = write_tables(rows, tmp_path / "rows")
    assert read_table(binary) == rows
    assert [{k: v for k, v in row.items() if k not in ("digest",)} for row in read_table(text)] == [
        {k: v for k, v in row.items() if k not in ("digest",)} for row in rows
    ]


def test_memory_is_that_of_the_call(folder: Path, photograph: Image.Image) -> None:
    """A megapixel needs at least the memory of its pixels."""
    photograph.resize((1200, 900)).save(folder / "large.png")
    result = measure_rd(plan(folder, codecs=("hyperprior",), qualities={"": (50.0,)}))
    megabytes = {row.picture: row.decode_mb for row in result.rows}
    if megabytes["large.png"] is None:
        pytest.skip("this system does not report peak memory")
    assert megabytes["large.png"] > 3.2


def test_what_cannot_be_opened_is_named_and_the_rest_is_measured(folder: Path) -> None:
    (folder / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "pipe.png")
    for name in ("a.txt", "b.TXT", "clip.mov", ".DS_Store", "README"):
        (folder / name).write_text("no picture")
    result = measure_rd(plan(folder, codecs=("jpeg",)))
    reasons = {row.picture: row.error for row in result.failures}
    assert set(reasons) == {"gone.png", "pipe.png"}
    assert reasons["gone.png"] == ("can't be opened: No such file or directory (a link to nothing)")
    assert reasons["pipe.png"] == "is not a file"
    assert result.curves["jpeg"].pictures == 3
    assert result.notes[0] == "skipped 4 files that are not pictures: 2 .txt, 1 README, 1 .mov"


def test_data_that_are_no_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(EvaluationError, match="holds no pictures, only other files"):
        find_pictures(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(EvaluationError, match=r"there is no .*link"):
        find_pictures(tmp_path / "link")


@pytest.fixture
def with_blank(folder: Path) -> Path:
    Image.new("RGB", (90, 80), "white").save(folder / "blank.png")
    return folder


def test_a_blank_picture_is_left_out_and_named(with_blank: Path) -> None:
    result = measure_rd(plan(with_blank, codecs=("jpeg", "hyperprior")))
    for name in ("jpeg", "hyperprior"):  # the same pictures in all means, also where it is finite
        assert result.sheets[name].left_out == {
            "blank.png": "has an infinite PSNR-RGB (blank, or decoded without an error)"
        }
        assert result.curves[name].pictures == 3
        assert all(map(math.isfinite, result.curves[name].values["psnr"]))
    assert [note for note in result.notes if "blank.png" in note] == [
        "a picture that has an infinite PSNR-RGB (blank, or decoded without an error) is left out "
        "of all means; the mean `mse` counts it: blank.png"
    ]
    assert isinstance(document(result)["codecs"]["hyperprior"]["bd_rate_psnr"], float)


def test_the_mean_of_squared_errors_counts_a_blank_picture(with_blank: Path) -> None:
    result = measure_rd(plan(with_blank, mean="mse"))
    assert result.curves["jpeg"].pictures == 4 and not result.sheets["jpeg"].left_out
    assert isinstance(document(result)["codecs"]["webp"]["bd_rate_psnr"], float)


@pytest.mark.parametrize("mean", ["picture", "mse"])
def test_a_blank_picture_alone_is_the_reason(tmp_path: Path, mean: str) -> None:
    data = tmp_path / "pictures"
    data.mkdir()
    Image.new("RGB", (180, 170), "white").save(data / "blank.png")
    result = measure_rd(plan(data, metrics=("psnr", "ms-ssim", "ssim"), mean=mean))
    found = document(result)["codecs"]["webp"]
    for name in ("psnr", "ms_ssim", "ssim"):
        assert "where blank.png is decoded without an error" in found[f"bd_rate_{name}_reason"]


def test_a_lossless_quality_leaves_no_picture_out(folder: Path) -> None:
    rows = measure_rd(plan(folder, codecs=("jpeg",))).rows
    flat = [row.flat() for row in rows]
    for row in flat:
        if row["quality"] == 80:
            row["psnr"] = math.inf
    (sheet,) = sheets(flat, ["psnr"]).values()
    assert len(sheet.pictures) == 3 and not sheet.left_out
    with pytest.raises(EvaluationError, match=r"where every picture is decoded without an error"):
        compare(sheet, sheet)
