"""Files, decoded under every condition that changes floating-point results: one outcome."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from _pytest.mark import ParameterSet
from skimage import data

import quantal
from quantal.codecs import TransformCodec, available
from quantal.codecs.pyramid.codec import PyramidCodec
from quantal.entropy.walk import Writing

sys.path.insert(0, str(Path(__file__).parent))

from frames import moving
from symbols import clip_digest, digest

WORKER = Path(__file__).with_name("symbols.py")
ROOT = Path(quantal.__file__).parents[1]
CONDITIONS = {
    "by numpy": (["--by-numpy"], {}),
    "two threads": (["--threads", "2"], {}),
    "without oneDNN": (["--no-onednn"], {}),
    "channels last": (["--channels-last"], {}),
    "by torch, in a batch": (["--by-torch"], {}),
    "by torch, channels last, two threads": (
        ["--by-torch", "--channels-last", "--threads", "2"],
        {},
    ),
    "BLAS for old processors": (
        ["--by-numpy"],
        {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_L2_SIZE": ""},
    ),
    "under autocast": (["--autocast"], {}),
    "float32 in lower precision": (["--lower-precision"], {}),
    "plain instructions": ([], {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}),
    "AVX2": ([], {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "AVX-512": ([], {"ATEN_CPU_CAPABILITY": "avx512"}),
}


#: Every codec of ours whose weights ship.
SHIPPED, SHIPPED_VIDEO = (
    [info.name for info in available() if info.weights and info.media == media]
    for media in ("picture", "video")
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of every codec of pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in SHIPPED:
        quality = 70 if len(quantal.load(name, "cpu").rates) > 1 else None
        picture = data.astronaut()[:176, :240]
        quantal.write(folder / f"{name}.qtl", picture, name, quality=quality)
    return {name: folder / f"{name}.qtl" for name in SHIPPED}


#: Frames of one group: those of `video-s` are a chain, in which any error would grow.
CHAIN, SHORT_CHAIN = 48, 12


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of every codec of video."""
    folder, found = tmp_path_factory.mktemp("clips"), {}
    for name in SHIPPED_VIDEO:
        frames = moving(CHAIN if name == "video-s" else SHORT_CHAIN)
        found[name] = folder / f"{name}.qtl"
        found[name].write_bytes(quantal.compress_clip(frames, name, intra_period=CHAIN))
    return found


@pytest.fixture(scope="module")
def of_clips(clips: dict[str, Path]) -> dict[str, str]:
    return {name: clip_digest(path.read_bytes()) for name, path in clips.items()}


@pytest.fixture(scope="module")
def of_pictures(pictures: dict[str, Path]) -> dict[str, str]:
    """The hashes of the symbols that the encoders, in this process, had in hand."""
    return {name: digest(quantal.latents.read(path)) for name, path in pictures.items()}


@dataclass(frozen=True)
class Found:
    """Hashes by codec: of all files, and of pictures that are read among others."""

    alone: dict[str, str]
    among_others: dict[str, str]


@pytest.fixture(scope="module")
def found_under(pictures: dict[str, Path], clips: dict[str, Path]) -> Callable[[str], Found]:
    """Return what a process of its own finds under a condition; it runs once, for two tests."""
    files = pictures | clips
    among = {name: pictures[name] for name in ("hyperprior", "context-s")}
    return cache(lambda condition: decoded_under(condition, files, among))


def decoded_under(condition: str, files: dict[str, Path], among: dict[str, Path]) -> Found:
    """Decode files in a process under a condition."""
    options, variables = CONDITIONS[condition]
    if condition not in AMONG_OTHERS:
        among = {}
    if condition == "AVX-512" and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        pytest.skip("this processor has no AVX-512")
    more = ["--among-others", *map(str, among.values())] if among else []
    result = subprocess.run(
        [sys.executable, str(WORKER), *map(str, files.values()), *options, *more],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    hashes = iter(result.stdout.split())
    found = Found(*({name: next(hashes) for name in each} for each in (files, among)))
    assert not list(hashes)
    return found


#: The conditions of every run; `make test-all` tries the others as well.
USUAL = (
    "by numpy",
    "without oneDNN",
    "by torch, channels last, two threads",
    "plain instructions",
)


def as_marked(conditions: Iterable[str]) -> list[ParameterSet]:
    """Return conditions as parameters; those that aren't usual are marked as thorough."""
    thorough = pytest.mark.thorough
    return [pytest.param(c, marks=() if c in USUAL else thorough) for c in conditions]


#: Of pictures that are read together with others; integer networks then run on all at once.
AMONG_OTHERS = (
    "plain instructions",
    "AVX2",
    "two threads",
    "without oneDNN",
    "by numpy",
    "float32 in lower precision",
)


@pytest.mark.parametrize("condition", as_marked(CONDITIONS))
def test_symbols_are_the_same(condition, found_under, of_pictures, of_clips) -> None:
    assert found_under(condition).alone == of_pictures | of_clips


@pytest.mark.parametrize("condition", as_marked(AMONG_OTHERS))
def test_symbols_are_the_same_among_others(condition, found_under, of_pictures) -> None:
    found = found_under(condition).among_others
    assert found == {name: of_pictures[name] for name in ("hyperprior", "context-s")}


#: Codecs without latents that are rounded; their own tests compare what is read with what was put.
OF_THEIR_OWN = ("vq", "tokens", "lossless")


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in OF_THEIR_OWN])
def test_symbols_are_those_that_were_encoded(name: str) -> None:
    """Decoding returns what the encoder quantised, not merely always the same."""
    codec = quantal.load(name, "cpu")
    assert isinstance(codec, TransformCodec)
    pixels = data.astronaut()[40:200, 100:333]
    latents = codec.analyse(pixels)
    for rate in (0, 97, 252):
        writing = Writing(codec.entropy.latents(latents, rate / 4))
        codec.entropy.walk(writing, *latents.shape[1:], rate / 4)
        put = [part.flatten() for part in writing.symbols]
        payload = codec.encode(latents, rate)
        taken = codec.parse(payload, pixels.shape[1], pixels.shape[0], rate)
        assert np.array_equal(np.concatenate(put), np.concatenate([t.flatten() for t in taken]))


def test_a_float_network_would_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The conditions above do change floating-point results, so passing them means something."""
    codec = quantal.load("hyperprior", "cpu")
    latents = codec.latents(codec.compress(data.astronaut()[:300, :420], quality=70))
    assert isinstance(codec, PyramidCodec)
    net, z_hat = codec.networks().entropy.mean, torch.from_numpy(latents.z_hat)[None]
    position = torch.tensor([40.0])
    with torch.inference_mode():
        plain = net(z_hat, position)
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
        other = net(z_hat, position)
    assert not torch.equal(plain, other)
