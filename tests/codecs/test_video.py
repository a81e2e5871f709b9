"""Video codecs: frames come back, parsing is exact and needs no network, damage is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

import quantal
from quantal.codecs import available
from quantal.codecs.backends import backend_of
from quantal.codecs.video.codec import Reconstruction, Symbols, Video
from quantal.codecs.video.smoothing import luma, smoothed
from quantal.entropy.frozen.predicted import moved, still_latents, uncoded_latents
from quantal.entropy.vectors import VectorPrior
from quantal.entropy.walk import Pricing
from quantal.errors import BitstreamError, ModelError
from quantal.files.clip_rate import Plan
from quantal.motion import Search
from quantal.train.objectives.prediction import moved as moved_in_training
from quantal.train.objectives.prediction import still_latents as still_in_training
from quantal.train.objectives.prediction import uncoded_latents as uncoded_in_training

sys.path.insert(0, str(Path(__file__).parent))

from small_video import small_video, write_small_video

RATES = (180, 140)
SHIPPED = [info.name for info in available() if info.media == "video" and info.weights]


def clip(frames: int = 5, height: int = 83, width: int = 119) -> list[np.ndarray]:
    """A textured square that moves over a slowly panned background."""
    rng = np.random.default_rng(2)
    big = rng.integers(0, 256, (24, 32, 3)).repeat(8, 0).repeat(8, 1)
    big = (big + np.roll(big, 3, 0) + np.roll(big, 5, 1)) // 3
    found = []
    for number in range(frames):
        frame = big[2 * number :, number:][:height, :width].copy()
        frame[10 + 3 * number : 40 + 3 * number, 20:50] = big[100:130, 100:130]
        found.append(frame.astype(np.uint8))
    return found


@pytest.fixture(scope="module", params=[True, False], ids=["motion", "still"])
def codec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Video:
    return small_video(tmp_path_factory.mktemp("video"), request.param)


def coded(codec: Video, frames: list[np.ndarray]) -> tuple[list[bytes], list[Reconstruction]]:
    height, width = frames[0].shape[:2]
    group = codec.group(width, height, RATES[1])
    payloads, references = [], []
    for number, pixels in enumerate(frames):
        frame = group.frame(pixels)
        found = frame.predicted(references[-1], RATES[1]) if number else frame.intra(RATES[0])
        payloads.append(found.payload)
        references.append(found.reference)
    return payloads, references


def test_frames_come_back(codec: Video) -> None:
    frames = clip()
    payloads, references = coded(codec, frames)
    height, width = frames[0].shape[:2]
    decoded = codec.decode_intra(payloads[0], width, height, RATES[0])
    parsed = codec.parse_intra(payloads[0], width, height, RATES[0])
    for number, (payload, reference) in enumerate(zip(payloads, references, strict=True)):
        if number:
            decoded = codec.decode_predicted(payload, decoded, RATES[1])
            parsed = codec.parse_predicted(payload, parsed, RATES[1])
            assert np.array_equal(decoded.symbols.y, reference.symbols.y)
            assert np.array_equal(parsed.y, reference.symbols.y)
            assert reference.symbols.y.any()
        assert decoded.pixels().shape == frames[0].shape
        assert np.abs(decoded.unrounded - reference.unrounded).max() < 0.05


def test_a_frame_may_be_tried_at_many_rates(codec: Video) -> None:
    first, second = clip(2)
    height, width = first.shape[:2]
    group = codec.group(width, height, 140)
    before = group.frame(first).intra(180).reference
    frame = group.frame(second)
    once = frame.predicted(before, 140).payload
    sizes = [len(frame.predicted(before, rate).payload) for rate in (40, 120, 250)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]
    assert frame.predicted(before, 140).payload == once
    assert frame.intra(140).payload == codec.picture.encode(codec.picture.analyse(second), 140)


def test_parsing_runs_no_floating_point_network(codec: Video, monkeypatch) -> None:
    payloads, _ = coded(codec, clip(3))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a floating-point network was run")

    monkeypatch.setattr(codec.entropy, "networks", never)
    monkeypatch.setattr(codec.picture.entropy, "networks", never)
    monkeypatch.setattr(codec, "predict", never)
    parsed = codec.parse_intra(payloads[0], 119, 83, RATES[0])
    for payload in payloads[1:]:
        parsed = codec.parse_predicted(payload, parsed, RATES[1])
    assert parsed.y is not None


def test_last_bits_of_references_decide_nothing(codec: Video) -> None:
    payloads, references = coded(codec, clip(3))
    before = references[0]
    shaken = Reconstruction(codec.picture, before.symbols, before.y_hat * np.float32(1.001))
    found = codec.decode_predicted(payloads[1], shaken, RATES[1])
    assert np.array_equal(found.symbols.y, references[1].symbols.y)


def test_damage_is_refused_or_gives_a_frame(codec: Video) -> None:
    payloads, references = coded(codec, clip(3))
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(40):
        broken = bytearray(payloads[2])
        broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        cut = bytes(broken[: int(rng.integers(len(broken) // 2, len(broken) + 1))])
        try:
            codec.parse_predicted(cut, references[1].symbols, RATES[1])
        except BitstreamError:
            refused += 1
    assert refused > 30


def test_a_large_frame_needs_bytes(codec: Video) -> None:
    with pytest.raises(BitstreamError, match="65535x16000"):
        codec.parse_predicted(b"\1\2\3", Symbols(65535, 16000), 100)


def test_the_picture_codec_has_to_be_the_one_it_was_trained_with(tmp_path) -> None:
    write_small_video(tmp_path, True)
    (tmp_path / "context-s.safetensors").unlink()
    with pytest.raises(ModelError, match="picture codec 'context-s' of hash"):
        Video("video-s", tmp_path / "moved.safetensors", backend_of("torch", "cpu"))


def test_training_moves_symbols_as_coding_does() -> None:
    rng = np.random.default_rng(1)
    symbols = rng.integers(-3, 4, (5, 7, 9)).astype(np.int32)
    field = rng.integers(-400, 400, (2, 14, 18)).astype(np.int16)
    trained = moved_in_training(
        torch.from_numpy(symbols)[None].float(), torch.from_numpy(field)[None]
    )
    assert np.array_equal(trained[0].int().numpy(), moved(symbols, field))


def test_training_sees_what_stands_still_as_coding_does() -> None:
    rng = np.random.default_rng(1)
    field = (rng.integers(1, 9, (2, 14, 18)) * (rng.random((14, 18)) < 0.03)).astype(np.int16)
    trained = still_in_training(torch.from_numpy(field)[None])[0, 0].numpy()
    assert np.array_equal(trained, still_latents(field, 7, 9))
    assert 0 < trained.mean() < 1
    symbols = (rng.random((5, 7, 9)) < 0.01).astype(np.int32)
    trained = uncoded_in_training(torch.from_numpy(symbols)[None].float())[0, 0].numpy()
    assert np.array_equal(trained, uncoded_latents(symbols))
    assert 0 < trained.mean() < 1


def test_a_picture_that_stands_still_is_predicted_by_its_latents(tmp_path) -> None:
    codec = small_video(tmp_path, True)
    pixels = clip(1)[0]
    group = codec.group(119, 83, 140)
    before = group.frame(pixels).intra(180).reference
    still = np.zeros((2, 11, 15), np.int16)
    assert np.array_equal(codec.predict(before, still), before.y_hat)
    still[:, 0, 0] = 4
    mixed = codec.predict(before, still)
    assert np.array_equal(mixed[:, 3:, 3:], before.y_hat[:, 3:, 3:])
    assert not np.array_equal(mixed[:, 0, 0], before.y_hat[:, 0, 0])


def test_what_stands_still_and_has_no_symbols_stays_as_it_is(codec: Video) -> None:
    pixels = clip(1)[0]
    group = codec.group(119, 83, 8)
    after = group.frame(pixels).intra(180).reference
    compared = 0
    for number in range(6):
        before, after = after, group.frame(pixels).predicted(after, 8).reference
        if not number:
            continue
        unsaid, vectors = after.symbols.y == 0, after.symbols.vectors
        if vectors:
            unsaid &= still_latents(vectors.field, *unsaid.shape[1:])
        else:
            unsaid &= uncoded_latents(before.symbols.y)
        compared += int(unsaid.sum())
        assert np.allclose(after.y_hat[unsaid], before.y_hat[unsaid], rtol=1e-5, atol=1e-6)
    assert compared > 100


@pytest.mark.parametrize(
    "rate", [120, *(pytest.param(rate, marks=pytest.mark.thorough) for rate in (20, 220))]
)
@pytest.mark.parametrize("name", SHIPPED)
def test_a_long_chain_of_still_frames_keeps_its_quality(name: str, rate: int) -> None:
    codec = quantal.load(name, "cpu")
    assert isinstance(codec, Video)
    pixels = data.astronaut()[100:196, 150:278]
    offsets = Plan(128, 96, 48, 25.0, None, codec.raises).offsets
    group = codec.group(128, 96, rate)
    reference = group.frame(pixels).intra(offsets.rate(rate, 0)).reference
    errors = []
    for place in range(1, 48):
        frame = group.frame(pixels)
        reference = frame.predicted(reference, offsets.rate(rate, place)).reference
        errors.append(np.square(reference.pixels() - pixels.astype(float)).mean())
    assert 10 * np.log10(errors[-1] / errors[0]) < 0.5  # dB


def test_smoothing_trades_bits_for_errors() -> None:
    first, second = clip(2, 96, 128)
    with Search(128, 96, 20) as search:
        search.next(first)
        field = search.next(second)
    field = field + np.random.default_rng(0).integers(-1, 2, field.shape).astype(np.int16)
    prior = VectorPrior()

    def bits(found: np.ndarray) -> float:
        pricing = Pricing(prior.latents(found))
        prior.walk(pricing, found.shape[1:], None)
        return pricing.bits

    cheap, exact = (smoothed(field, luma(first), luma(second), worth) for worth in (1e-6, 1e3))
    assert bits(cheap) < 0.2 * bits(field) and bits(cheap) < bits(exact)
    assert not smoothed(field, luma(first), luma(first), 0.01).any()
