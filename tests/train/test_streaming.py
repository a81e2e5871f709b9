"""Pictures that are read as they are needed: divided without overlap, shuffled, damage left out."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from quantal.errors import ArgumentError, InstallError, QuantalWarning
from quantal.team import Team
from quantal.train import read_recipe, run, train
from quantal.train.streaming import PictureStream, StreamSampler, some_pictures

CPU = torch.device("cpu")


def png(level: int, side: int = 64) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(file, "PNG")
    return file.getvalue()


def shard(path: Path, pictures: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in pictures.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Five shards of eight pictures, each of a level of its own; and texts, as webdataset has."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(5):
        levels = range(8 * number, 8 * number + 8)
        pictures = {f"{level:03}.png": png(level) for level in levels}
        shard(folder / f"{number}.tar", {**pictures, "000.cls": b"1"})
    return folder


def levels(places: Sequence[str], rank: int, ranks: int, crops: int) -> list[int]:
    stream = PictureStream(places, 64, seed=3, turns=8, team=Team(rank, ranks))
    return [int(each[0, 0, 0, 0]) for each in islice(stream, crops)]


def test_processes_divide_shards_of_an_epoch(shards: Path) -> None:
    """Five shards for two processes: each has two in an epoch, of sixteen pictures."""
    parts = [levels([str(shards)], rank, 2, 16) for rank in range(2)]
    assert all(len(set(part)) == 16 for part in parts)
    assert not set(parts[0]) & set(parts[1])
    assert {level // 8 for level in parts[0]}.isdisjoint(level // 8 for level in parts[1])
    assert levels([str(shards)], 0, 2, 16) == parts[0]
    later = levels([str(shards)], 0, 2, 32)[16:]
    assert later != parts[0]


def test_shards_that_are_too_few_are_divided_by_pictures(shards: Path) -> None:
    parts = [levels([str(shards / "0.tar")], rank, 2, 4) for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == list(range(8))


def test_a_buffer_shuffles_what_a_worker_decodes(shards: Path) -> None:
    sampler = StreamSampler([str(shards)], CPU, 1, buffer=24, workers=1)
    crops = [sampler.batch(4, 64, range(2, 4)) for _ in range(12)]
    assert crops[0].shape == (2, 3, 64, 64) and crops[0].dtype == torch.float32
    seen = [round(float(each) * 255) for batch in crops for each in batch[:, 0, 0, 0]]
    assert len({level // 8 for level in seen[:8]}) > 1  # not one shard after the other
    assert len(set(seen)) > 12


def test_damage_is_left_out_and_named(shards: Path, tmp_path: Path) -> None:
    shard(tmp_path / "a.tar", {"good.png": png(7), "bad.png": b"no picture", "more.png": png(9)})
    (tmp_path / "cut.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:600])
    sampler = StreamSampler(
        [str(tmp_path / n) for n in ("a.tar", "cut.tar")], CPU, 1, buffer=4, workers=0
    )
    with pytest.warns(QuantalWarning) as caught:
        found = sampler.batch(8, 64)
    assert {round(float(each) * 255) for each in found[:, 0, 0, 0]} <= {7, 9}
    assert any("bad.png" in str(each.message) for each in caught)
    assert any("cut.tar" in str(each.message) for each in caught)


def test_a_larger_picture_gives_more_crops(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 256))
    stream = PictureStream([str(tmp_path)], 64, seed=3, turns=2, team=Team())
    assert next(iter(stream)).shape == (8, 3, 64, 64)  # half of its area


def test_a_run_on_a_stream_exports_too(shards: Path, tmp_path: Path, sizes) -> None:
    values = {
        "codec": "hyperprior", "data": [str(shards)], "out": str(tmp_path / "run"), "model": sizes,
        "steps": 3, "stream": True, "buffer": 16, "workers": 0, "threads": 1, "device": "cpu",
        "phases": [{"until": 1, "crop": 64, "batch": 2}], "export_batches": 1,
    }  # fmt: skip
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert run(path).exists()
    train(read_recipe(path, ["steps=4"]), resume=True)
    for override, error, says in (
        ("workers=-1", ArgumentError, "workers"),
        ("buffer=0", ArgumentError, "buffer"),
        ("stream=often", ArgumentError, "true or false"),
        ("data=[nowhere]", ArgumentError, "nowhere does not exist"),
        ("phases=[{until: 1, crop: 128, batch: 2}]", ArgumentError, "no picture of 128 pixels"),
    ):
        with pytest.raises(error, match=says):
            train(read_recipe(path, [override, f"out={tmp_path / 'wrong'}"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="no picture"):
        train(read_recipe(path, [f"data=[{tmp_path / 'empty'}]", f"out={tmp_path / 'wrong'}"]))
    values |= {"codec": "classifier", "model": {"names": ["a", "b"]}, "out": str(tmp_path / "no")}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(ArgumentError, match="set `stream: false`"):
        train(read_recipe(path))


def test_some_pictures_come_from_all_shards(shards: Path) -> None:
    found = some_pictures([str(shards)], 10, 64)
    assert len({int(each[0, 0, 0]) // 8 for each in found}) == 5
    with pytest.raises(ArgumentError, match="no picture of 65"):
        some_pictures([str(shards)], 10, 65)


def test_a_data_set_of_hugging_face(tmp_path: Path) -> None:
    """pyarrow asks for numpy 2, so this is tried where that is installed."""
    try:
        import datasets
    except ImportError:
        with pytest.raises((InstallError, ImportError)):
            StreamSampler(["hf:somewhere"], CPU, 1)
        return
    values = {"image": [{"bytes": png(level), "path": None} for level in range(12)]}
    kinds = datasets.Features({"image": datasets.Image()})
    rows = datasets.Dataset.from_dict(values, features=kinds)
    rows.save_to_disk(str(tmp_path / "saved"))
    place = f"hf:{tmp_path / 'saved'}"
    parts = [levels([place], rank, 2, 6) for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == list(range(12))
    sampler = StreamSampler([place], CPU, 1, buffer=4, workers=1)
    assert sampler.batch(2, 64).shape == (2, 3, 64, 64)
    datasets.Dataset.from_dict({"x": [1] * 12}).save_to_disk(str(tmp_path / "plain"))
    for wrong, says in ((tmp_path / "plain", "no column of pictures"), ("/no/where", "can't be")):
        with pytest.raises(ArgumentError, match=says):
            StreamSampler([f"hf:{wrong}"], CPU, 1)
