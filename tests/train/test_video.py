"""Training of video codecs: sequences, chains, a short run, and what it exports."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from skimage import data

from quantal.codecs.backends import backend_of
from quantal.codecs.context.net import ContextNet
from quantal.codecs.pyramid.weights import read_entropy_net_weights
from quantal.codecs.video.codec import Video
from quantal.codecs.video.picture import find_picture
from quantal.errors import ArgumentError, MediaError, ModelError
from quantal.train import export_checkpoint, read_recipe
from quantal.train.loop import train
from quantal.train.objectives.prediction import (
    Replay,
    channel_weights,
    nearest,
    synthesis_unit,
)
from quantal.train.sequences import SEARCH_RATES, SequenceSampler, as_clips, read_sequences
from quantal.transforms.warp import warp

PICTURE = data.astronaut()


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A panned sequence of three frames, and a still."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        part = PICTURE[100 + number : 228 + number, 60 + 3 * number : 188 + 3 * number]
        Image.fromarray(part).save(folder / f"0001_pan_f{number}.png")
    Image.fromarray(PICTURE[200:400, 200:400]).save(folder / "still.png")
    return folder


def recipe(tmp_path: Path, frames: Path, **more: object) -> Path:
    sizes = dict.fromkeys(("hyper_width", "mean_width", "scale_width", "past_width"), 8)
    values = {
        "codec": "video-s",
        "data": [str(frames)],
        "evaluation": [str(frames)],
        "out": str(tmp_path / "run"),
        "model": {"picture": "context-s", **sizes},
        "objective": {"evaluation_rates": [30], "replay": 1},
        "steps": 4,
        "warmup_steps": 1,
        "phases": [{"until": 1.0, "crop": 64, "batch": 2}],
        "export_batches": 2,
        "device": "cpu",
        "threads": 1,
        **more,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_frames_become_sequences_with_motion(frames: Path) -> None:
    found = read_sequences([str(frames)], 64)
    assert sorted(len(clip.frames) for clip in found) == [1, 3]
    clip = max(found, key=lambda each: len(each.frames))
    assert clip.forward.shape == clip.backward.shape == (len(SEARCH_RATES), 3, 2, 16, 16)
    middle = np.s_[-1, 1, :, 4:-4, 4:-4]
    assert np.abs(np.median(clip.forward[middle], (1, 2)) - np.array([12, 4])).max() <= 1
    assert np.abs(np.median(clip.backward[middle], (1, 2)) + np.array([12, 4])).max() <= 1


def test_fields_are_turned_with_their_crops(frames: Path) -> None:
    sequence = [clip for clip in read_sequences([str(frames)], 64) if len(clip.frames) > 1]
    sampler = SequenceSampler(sequence, torch.device("cpu"), seed=3)
    before = None
    better = compared = 0
    for _ in range(12):
        batch = sampler.batch(4, 64)
        reference = torch.zeros_like(batch.frames) if before is None else before.clone()
        reference[batch.begins] = batch.first
        field = nearest(batch.fields, torch.full((4,), 55.0))
        copied, moved = (
            (each - batch.frames)[..., 8:-8, 8:-8].square().mean((1, 2, 3))
            for each in (reference, warp(reference, field))
        )
        better += int((moved < 0.5 * copied).sum())
        compared += 4
        before = batch.frames
    assert better > 0.9 * compared


def test_a_still_is_moved(frames: Path) -> None:
    pictures = as_clips([torch.from_numpy(PICTURE).permute(2, 0, 1)])
    sampler = SequenceSampler(pictures, torch.device("cpu"), seed=0)
    batches = [sampler.batch(3, 64) for _ in range(4)]
    assert all(batch.frames.shape == (3, 3, 64, 64) for batch in batches)
    assert any((a.frames != b.frames).any() for a, b in pairwise(batches))


def test_a_run_trains_resumes_and_exports_a_codec(tmp_path: Path, frames: Path) -> None:
    path = recipe(tmp_path, frames)
    log: list[Mapping[str, object]] = []
    checkpoint = train(read_recipe(path), log=log.append)
    (points,) = [entry["points"] for entry in log if entry.get("event") == "evaluation"]
    assert 0 < points[0]["bpp"] < 24 and points[0]["psnr"] > 15  # type: ignore[index]
    checkpoint = train(read_recipe(path, ["steps=6"]), resume=True, log=log.append)
    assert log[-1]["step"] == 6
    weights = tmp_path / "video-s.safetensors"
    export_checkpoint(checkpoint, weights)
    codec = Video("video-s", weights, backend_of("torch", "cpu"))
    first, second = (
        np.asarray(Image.open(frames / f"0001_pan_f{number}.png")) for number in range(2)
    )
    group = codec.group(128, 128, 160)
    before = group.frame(first).intra(160)
    coded = group.frame(second).predicted(before.reference, 160)
    decoded = codec.decode_predicted(
        coded.payload, codec.decode_intra(before.payload, 128, 128, 160), 160
    )
    error = np.square(decoded.pixels().astype(float) - second).mean()
    assert 10 * np.log10(255**2 / error) > 24
    # Weights go on where they stopped, in the same sizes.
    more = recipe(tmp_path, frames, out=str(tmp_path / "more"), start_from=str(weights), steps=1)
    train(read_recipe(more), log=lambda _: None)
    other = ["model.past_width=4", f"out={tmp_path / 'other'}"]
    with pytest.raises(ModelError, match="have to be equal"):
        train(read_recipe(more, other), log=lambda _: None)


def test_frames_are_replayed_with_what_belongs_to_them() -> None:
    replay, generator = Replay(4), torch.Generator().manual_seed(0)
    for number in range(3):
        part = torch.full((2, 3, 2, 2), float(number))
        replay.add(part + torch.tensor([0.0, 0.5]).view(2, 1, 1, 1), part[:, 0, 0, 0])
    pictures, numbers = replay.draw(9, generator)
    assert pictures.shape == (4, 3, 2, 2) and pictures.dtype == torch.float32
    assert sorted(numbers.tolist()) == [1, 1, 2, 2]  # the oldest have made room
    assert torch.equal(pictures[:, 0, 0, 0].floor(), numbers)
    replay.add(torch.zeros(1, 3, 4, 4), torch.zeros(1))
    assert len(replay.draw(9, generator)[0]) == 1  # those of another size are gone


def test_channels_weigh_what_their_errors_change() -> None:
    picture = read_entropy_net_weights(find_picture("context-s", ""), ContextNet).net.eval()
    frames = torch.from_numpy(PICTURE[:128, 100:228].copy()).permute(2, 0, 1)[None] / 255
    weights = channel_weights(picture, frames, torch.Generator().manual_seed(0))
    rate = torch.tensor([30.0])
    with torch.no_grad():
        y = picture.analysis(frames)
        y_hat = picture.entropy(y, rate).y_hat
        wrong = y_hat - y * synthesis_unit(picture)
        error = (picture.synthesis(y_hat) - frames).square().sum()
    assert float((wrong.square() * weights).sum()) == pytest.approx(float(error), rel=0.01)
    most, least = weights.flatten().topk(2).indices[0], weights.flatten().argmin()
    with torch.no_grad():
        drawn = picture.synthesis(y_hat)
        changes = []
        for channel in (most, least):
            changed = y_hat.clone()
            changed[:, channel] += 0.02
            changes.append(float((picture.synthesis(changed) - drawn).square().sum()))
    assert changes[0] > 3 * changes[1]


def test_frames_of_different_sizes_are_refused(frames: Path) -> None:
    Image.fromarray(PICTURE[:200, :200]).save(frames / "0001_pan_f9.png")
    with pytest.raises(MediaError, match="different sizes"):
        read_sequences([str(frames)], 64)


def test_no_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no frames"):
        read_sequences([str(tmp_path)], 64)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "**", "a\0b", "", "x" * 5000])
def test_weights_name_a_codec_not_a_path(name: str) -> None:
    with pytest.raises(ModelError, match="as the name of a picture codec"):
        find_picture(name, "")


def test_a_small_still_is_named() -> None:
    stills = as_clips([torch.zeros(3, 50, 70, dtype=torch.uint8)])
    sampler = SequenceSampler(stills, torch.device("cpu"), seed=0)
    with pytest.raises(ArgumentError, match="70x50 is smaller than crops of 64"):
        sampler.batch(1, 64)
