"""What all rooms' tests share: photographs that ship inside scikit-image; habits of the tools."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from quantal import codecs
from quantal.codecs import registry

try:
    import torch

    from tests.little_video import LittleVideo
except ModuleNotFoundError as error:  # `make wheel-test` installs no torch
    if error.name != "torch":
        raise

# No deadline: no test of ours is about seconds. In CI the same examples every time.
settings.register_profile("quantal", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("quantal")

# Processes of pytest-xdist share the processors, and so do the processes that their tests start:
# networks on more threads than there are processors take many times as long.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    threads = max((os.cpu_count() or 1) // workers, 1)
    if "torch" in globals():
        torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """Signals as a terminal leaves them, for processes that a test starts.

    Under nohup and in the background of a shell, processes inherit that some are ignored.
    """
    usual = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}
    names = [name for name in usual if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), usual[name]) for name in names}
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    """A colour photograph of 451 x 300 pixels: neither side fits any stride."""
    return Image.fromarray(np.asarray(data.chelsea()))


@pytest.fixture(scope="session")
def small_photograph(photograph: Image.Image) -> Image.Image:
    """A crop of it, 97 x 71, for tests that need a picture but not a large one."""
    return photograph.crop((120, 60, 217, 131))


@pytest.fixture
def photo(tmp_path: Path, small_photograph: Image.Image) -> Path:
    """The small photograph as photo.png in a folder of its own."""
    path = tmp_path / "photo.png"
    small_photograph.save(path)
    return path


@pytest.fixture(scope="session")
def zoo_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Small untrained weights of an architecture of CompressAI's zoo, as quality 3, by its name.

    Last layers are enlarged, so that symbols, scales and means are not all the same.
    """
    from quantal.codecs.compressai.weights import CLASSES, quiet

    with quiet():
        models = pytest.importorskip("compressai.models", reason="CompressAI is not installed")
    folder = tmp_path_factory.mktemp("zoo")

    @torch.no_grad()
    def enlarge(part: torch.nn.Module, x: torch.Tensor, spread: float) -> torch.Tensor:
        """Scale the last layer so that the output for x has this standard deviation."""
        layer = [m for m in part.modules() if isinstance(m, torch.nn.Conv2d)][-1]
        for parameter in layer.parameters():
            parameter.mul_(spread / part(x).std())
        return part(x)

    def make(architecture: str) -> Path:
        variable = architecture.endswith("-vbr")
        path = folder / f"{architecture.removesuffix('-vbr')}-{'vbr' if variable else 3}.pth"
        if path.exists():
            return path
        torch.manual_seed(0)
        sizes = (8,) if architecture.startswith("cheng") else (8, 12)
        options = {"vr_entbttlnck": True} if variable and architecture != "mbt2018-vbr" else {}
        with quiet():
            network = getattr(models, CLASSES[architecture])(*sizes, **options)
        y = enlarge(network.g_a, torch.rand(1, 3, 64, 64), 4.0)
        if hasattr(network, "h_a"):
            z = enlarge(network.h_a, y, 2.0)
            side = enlarge(network.h_s, z, 3.0)
        if hasattr(network, "entropy_parameters"):
            context = torch.randn(1, 2 * network.M, *side.shape[2:])
            enlarge(network.entropy_parameters, torch.cat((side, context), dim=1), 3.0)
        torch.save(network.state_dict(), path)
        return path

    return make


@pytest.fixture
def little_video(monkeypatch: pytest.MonkeyPatch) -> LittleVideo:
    """A little codec of video, registered as "little-video" in a catalogue of its own."""
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())
    codec = LittleVideo()
    # It is the default too, instead of one that ships.
    monkeypatch.setattr(registry, "VIDEO_CODECS", (codec.name,))
    codecs.register(codec)
    return codec


@pytest.fixture(scope="session")
def filmed() -> Callable[..., list[NDArray[np.uint8]]]:
    """Frames of a static scene in which something moves: filmed(count, width, height).

    From frame `cut` on it is another scene.
    """
    photograph = np.asarray(data.chelsea())

    def frames(
        count: int, width: int = 96, height: int = 64, cut: int = 1 << 30
    ) -> list[NDArray[np.uint8]]:
        noise = np.random.default_rng(1)
        found = []
        for number in range(count):
            scene = photograph if number < cut else photograph[::-1, ::-1]
            frame = scene[60 : 60 + height, 100 : 100 + width].astype(np.int16)
            frame = frame + noise.integers(-1, 2, frame.shape)
            x = 2 * number % (width - 10)
            frame[height // 2 : height // 2 + 10, x : x + 10] = scene[:10, :10]
            found.append(frame.clip(0, 255).astype(np.uint8))
        return found

    return frames
