"""Backends give the same symbols and nearly the same pixels; graphs are those of the networks."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import quantal
from quantal import codecs, container
from quantal.codecs import backends, trial
from quantal.codecs.backends import graphs
from quantal.codecs.backends import onnx as onnx_backend
from quantal.codecs.backends.graphs import GRAPHS, GraphFolder, find_graphs, has_graphs
from quantal.codecs.backends.openvino import Precision
from quantal.codecs.backends.torch import TorchCodecNetworks
from quantal.codecs.family import SHIPPED, resolve
from quantal.codecs.registry import family_of
from quantal.codecs.video.codec import Reconstruction, Video
from quantal.codecs.weights import read_weights
from quantal.errors import ArgumentError, InstallError, ModelError, OutOfMemoryError
from quantal.files.decode import decode_picture

GOLDEN = Path(__file__).parents[1] / "golden"
EXPECTED = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
sys.path.insert(0, str(Path(__file__).parent))

from symbols import digest  # noqa: E402

PICTURES = [name for name, expected in EXPECTED.items() if "frames" not in expected]
CLIPS = [name for name, expected in EXPECTED.items() if "frames" in expected]

NETS = {
    "context-m": "context.net:ContextNet",
    "context-s": "context.net:ContextNet",
    "hyperprior": "hyperprior.net:HyperpriorNet",
    "tokens": "tokens.net:TokenNet",
    "video-m": "video.net:VideoNet",
    "video-s": "video.net:VideoNet",
    "video-s-still": "video.net:VideoNet",
    "vq": "vq.net:VqNet",
    "vq-conceal": "vq.conceal_net:ConcealNet",
    "wavelet": "wavelet.net:WaveletNet",
}


@pytest.mark.parametrize("name", PICTURES)
def test_golden_pictures_have_the_same_symbols_and_pixels(name: str) -> None:
    data = (GOLDEN / f"{name}.qtl").read_bytes()
    codec = name.partition("/")[0]
    light, full = (quantal.load(codec, "cpu", backend=each) for each in ("onnx", "torch"))
    assert light is not full or family_of(codec).integers  # which no backend runs
    latents = light.latents(data)
    assert digest(latents) == EXPECTED[name]["symbols"]
    expected = full.latents(data)
    for one, other in ((latents.y_hat, expected.y_hat), (latents.z_hat, expected.z_hat)):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-3)
    drawn = [decode_picture(data, "cpu", each).pixels.astype(int) for each in (light, full)]
    assert np.abs(drawn[0] - drawn[1]).max() <= 1
    # Samples that lie between two levels are rare.
    assert (drawn[0] != drawn[1]).mean() < 1e-3


@pytest.mark.parametrize("name", CLIPS)
def test_golden_clips_have_the_same_symbols_and_pixels(name: str) -> None:
    data = (GOLDEN / f"{name}.qtl").read_bytes()
    light, full = (_frames(_video(name, each), data) for each in ("onnx", "torch"))
    assert len(light) == EXPECTED[name]["frames"]
    for one, other in zip(light, full, strict=True):
        assert np.abs(one.pixels().astype(int) - other.pixels()).max() <= 1
        assert (one.symbols.y is None) == (other.symbols.y is None)
        if one.symbols.y is not None and other.symbols.y is not None:
            assert np.array_equal(one.symbols.y, other.symbols.y)


def _video(name: str, backend: str) -> Video:
    codec: Any = quantal.load(name.partition("/")[0], "cpu", backend=backend)
    assert isinstance(codec, Video)
    return codec


def _frames(codec: Video, data: bytes) -> list[Reconstruction]:
    reader = container.ClipReader(io.BytesIO(data))
    header, found = reader.header, []
    for group in reader.groups():
        before: Reconstruction | None = None
        for frame in group.frames:
            if before is None:
                place = (frame.payload, header.width, header.height, frame.rate)
                before = codec.decode_intra(*place)
            else:
                before = codec.decode_predicted(frame.payload, before, frame.rate)
            found.append(before)
    return found


@pytest.mark.parametrize("codec", ["context-s", "hyperprior", "tokens", "vq", "wavelet"])
def test_what_one_backend_writes_the_other_reads(codec: str, small_photograph: Image.Image) -> None:
    light, full = (quantal.load(codec, "cpu", backend=each) for each in ("onnx", "torch"))
    for writer, reader in ((light, full), (full, light)):
        data = writer.compress(small_photograph, quality=50)
        own, other = (np.asarray(each.decompress(data)).astype(int) for each in (writer, reader))
        assert np.abs(own - other).max() <= 1
    sizes = [len(each.compress(small_photograph, quality=50)) for each in (light, full)]
    assert abs(sizes[0] - sizes[1]) <= 0.01 * sizes[1] + 2


@pytest.mark.parametrize("name", NETS)
def test_every_graph_computes_what_its_network_does(name: str) -> None:
    kind = resolve(f"quantal.codecs.{NETS[name]}")
    file = read_weights(SHIPPED / f"{name}.safetensors", [kind.layout])
    net = kind.of(file)
    full = TorchCodecNetworks(net, torch.device("cpu"))
    folder = find_graphs(file.path, file.metadata)
    light = onnx_backend.OnnxNetworks(file, folder)
    assert folder.networks.keys() == net.networks().keys()
    generator = np.random.default_rng(1)
    for network, shapes in net.shapes().items():
        if network not in folder.networks:
            continue
        for batch, rows, columns in ((1, 3, 8), (3, 5, 2)):
            sizes = {"h": rows, "w": columns}
            inputs = [_random(generator, batch, shape, sizes) for shape in shapes]
            for rate in (0.0, 17.25, 63.0):
                one, other = (each(network, rate, *inputs) for each in (light, full))
                assert one.shape == other.shape, network
                scale = 1e-5 * max(np.abs(other).max(), 1.0)
                assert np.allclose(one, other, rtol=1e-3, atol=10 * scale), network
        transform = full.transform(network) if network in net.transforms() else None
        if transform is not None:
            same = light.transform(network)
            assert (same.reach, same.alignment) == (transform.reach, transform.alignment)


def _random(
    generator: np.random.Generator, batch: int, shape: Any, sizes: dict[str, int]
) -> np.ndarray:
    """An input; states of cells and places where there is something are whole numbers."""
    dims = [n if isinstance(n, int) else int(n[:-1] or 1) * sizes[n[-1]] for n in shape]
    if dims[0] == 1 or dims[-2:] == [1, 1]:
        return generator.integers(0, 2, (batch, *dims)).astype(np.float32)
    # Much larger latents than encoders write overflow in a gated network.
    scale = 255 if dims[0] == 3 else 0.3
    return (scale * generator.random((batch, *dims))).astype(np.float32)


def test_graphs_hold_no_weights() -> None:
    for path in GRAPHS.glob("*/*"):
        assert path.stat().st_size < 150_000, path


def test_every_codec_that_ships_has_graphs() -> None:
    for info in codecs.available():
        ours = info.weights and "@" not in info.name and not info.name.startswith("compressai")
        # Codecs of integers have no other networks.
        if ours and not family_of(info.name).integers:
            assert has_graphs(SHIPPED / f"{info.name}.safetensors"), info.name


# -- which backend --------------------------------------------------------------------------------


@pytest.fixture
def no_preference(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.delenv(backends.BACKEND_VARIABLE, raising=False)
    yield monkeypatch


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """As if packages were not installed."""
    installed = backends._is_installed
    monkeypatch.setattr(
        backends, "_is_installed", lambda name: name not in packages and installed(name)
    )
    modules = {name: module for name, module in sys.modules.items() if name not in packages}
    monkeypatch.setattr(backends.sys, "modules", modules)


def test_torch_runs_networks_where_it_is_imported(no_preference: pytest.MonkeyPatch) -> None:
    assert backends.chosen("auto", "auto", graphs=True) == "torch"
    without(no_preference, "torch")
    assert backends.chosen("auto", "auto", graphs=True) == "onnx"


def test_the_environment_decides_where_a_caller_does_not(
    no_preference: pytest.MonkeyPatch,
) -> None:
    no_preference.setenv(backends.BACKEND_VARIABLE, "onnx")
    assert backends.chosen("auto", "cpu", graphs=True) == "onnx"
    assert backends.chosen("torch", "cpu", graphs=True) == "torch"
    no_preference.setenv(backends.BACKEND_VARIABLE, "tensorrt")
    with pytest.raises(ArgumentError, match="tensorrt"):
        backends.chosen("auto", "cpu", graphs=True)


def test_without_graphs_torch_runs_networks(no_preference: pytest.MonkeyPatch) -> None:
    assert backends.chosen("auto", "cpu", graphs=False) == "torch"
    with pytest.raises(ModelError, match="no graphs"):
        backends.chosen("onnx", "cpu", graphs=False)
    without(no_preference, "torch")
    with pytest.raises(InstallError, match=r"without graphs.*needs torch.*quantal\[torch\]"):
        backends.chosen("auto", "cpu", graphs=False)


def test_a_gpu_needs_torch(no_preference: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="backend 'onnx' runs on the CPU"):
        backends.chosen("onnx", "cuda", graphs=True)
    without(no_preference, "torch")
    with pytest.raises(InstallError, match=r"device 'cuda' needs torch.*quantal\[torch\]"):
        backends.chosen("auto", "cuda", graphs=True)


def test_without_onnx_runtime_torch_runs_networks(no_preference: pytest.MonkeyPatch) -> None:
    without(no_preference, "onnxruntime")
    assert backends.chosen("auto", "cpu", graphs=True) == "torch"
    with pytest.raises(InstallError, match="pip install quantal"):
        backends.chosen("onnx", "cpu", graphs=True)
    without(no_preference, "onnxruntime", "torch")
    with pytest.raises(InstallError, match="torch"):
        backends.chosen("auto", "cpu", graphs=True)


def test_there_are_two_backends() -> None:
    with pytest.raises(ArgumentError, match="tensorflow"):
        quantal.load("context-s", backend="tensorflow")


# -- wrong graphs, weights and runtimes -----------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Weights of one's own, with graphs beside them."""
    path = tmp_path / "mine.safetensors"
    shutil.copyfile(SHIPPED / "context-s.safetensors", path)
    shutil.copytree(GRAPHS / "context-s", tmp_path / "mine.graphs")
    return path


def _read(path: Path) -> Any:
    codec = quantal.load("context-s", "cpu", path, backend="onnx")
    return codec.latents((GOLDEN / "context-s/alpha.qtl").read_bytes())


def test_graphs_beside_weights_are_taken_first(own: Path) -> None:
    assert _read(own).width == 128
    shutil.rmtree(own.with_suffix(".graphs"))
    again = own.rename(own.with_name("again.safetensors"))
    assert _read(again).width == 128  # those that ship fit, too


def test_graphs_of_other_networks_are_refused(own: Path) -> None:
    folder = own.with_suffix(".graphs")
    shutil.rmtree(folder)
    shutil.copytree(GRAPHS / "context-m", folder)
    with pytest.raises(ModelError, match="of other networks than mine"):
        _read(own)


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "a", "networks": {"z": {"inputs": 1}}}'])
def test_a_damaged_index_is_named(own: Path, text: str) -> None:
    (own.with_suffix(".graphs") / "index.json").write_text(text)
    with pytest.raises(ModelError, match=r"graphs in mine\.graphs can't be read"):
        _read(own)


def test_a_missing_graph_is_named(own: Path) -> None:
    (own.with_suffix(".graphs") / "features.onnx").unlink()
    with pytest.raises(ModelError, match=r"features\.onnx of mine\.graphs can't be read"):
        _read(own)


def test_a_damaged_graph_is_named(own: Path) -> None:
    (own.with_suffix(".graphs") / "features.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"can't run graph features\.onnx"):
        _read(own)


def test_a_graph_that_lacks_an_initialiser_is_named(own: Path) -> None:
    folder = GraphFolder.read(own.with_suffix(".graphs"))
    networks = dict(folder.networks)
    fields = {**vars(networks["features"]), "weights": networks["features"].weights[1:]}
    networks["features"] = graphs.Network(**fields)
    GraphFolder(folder.path, folder.kind, networks).write()
    with pytest.raises(ModelError, match=r"can't run graph features\.onnx"):
        _read(own)


def test_an_initialiser_that_weights_lack_is_named(own: Path) -> None:
    folder = GraphFolder.read(own.with_suffix(".graphs"))
    networks = dict(folder.networks)
    fields = {**vars(networks["features"]), "weights": ("net.nothing",)}
    networks["features"] = graphs.Network(**fields)
    GraphFolder(folder.path, folder.kind, networks).write()
    with pytest.raises(ModelError, match=r"lack net\.nothing"):
        _read(own)


def test_an_old_onnx_runtime_is_named(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.__version__", "1.9.2")
    with pytest.raises(InstallError, match=r"1\.9\.2 found, expected 1\.18 or later"):
        _read(own)


def test_an_onnx_runtime_that_does_not_load_is_named(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InstallError, match="pip install"):
        _read(own)


# -- precision ------------------------------------------------------------------------------------

openvino = pytest.mark.skipif(
    not backends._is_installed("openvino"), reason="OpenVINO is not installed"
)


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, in which a trial is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return trial.cache_file()


@openvino
def test_openvino_draws_what_onnx_runtime_draws() -> None:
    data = (GOLDEN / "context-s/colour-high.qtl").read_bytes()
    codecs = [quantal.load("context-s", "cpu", backend=each) for each in ("openvino", "onnx")]
    assert digest(codecs[0].latents(data)) == EXPECTED["context-s/colour-high"]["symbols"]
    drawn = [decode_picture(data, "cpu", each).pixels.astype(int) for each in codecs]
    assert np.abs(drawn[0] - drawn[1]).max() <= 1
    assert (drawn[0] != drawn[1]).mean() < 1e-3


@openvino
def test_a_trial_is_kept_and_used_again(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = (GOLDEN / "context-s/colour-low.qtl").read_bytes()
    tried: list[Any] = []
    monkeypatch.setattr(trial, "has_bfloat16", lambda: False)  # that is tried below
    original = trial._tried
    monkeypatch.setattr(trial, "_tried", lambda *given: tried.append(original(*given)) or tried[-1])
    codec = quantal.load("context-s", "cpu", backend="openvino")
    trial.settle(codec)
    kept = json.loads(own_cache.read_text())
    assert len(tried) == len(kept) == 1
    networks: Any = codec.entropy.networks  # type: ignore[attr-defined]
    assert networks.precision == tried[0]
    trial.settle(codec)
    assert len(tried) == 1, "what is remembered is not tried again"
    own_cache.write_text(own_cache.read_text().replace("bfloat16_until", "until"))
    trial.settle(codec)
    assert len(tried) == 2, "what can't be used is tried again"
    assert digest(codec.latents(data)) == EXPECTED["context-s/colour-low"]["symbols"]
    networks.precision = Precision()


BFLOAT16 = """
import json
from dataclasses import replace

import numpy as np
import quantal
from quantal.codecs import trial
from quantal.codecs.backends.openvino import Precision, has_bfloat16
from quantal.errors import ArgumentError

if not has_bfloat16():
    try:
        quantal.load("context-s", precision="bfloat16")
    except ArgumentError as error:
        print(json.dumps({"refused": str(error)}))
    raise SystemExit
codec = quantal.load("context-s", backend="openvino")
networks, losses, used = codec.entropy.networks, [], []
original, run = trial._psnr, networks.by_openvino
trial._psnr = lambda *given: losses.append(original(*given)) or losses[-1]
until = trial._exact_until(codec, networks)
networks.by_openvino = lambda *given: used.append(given[1]) or run(*given)
networks.precision = Precision(bfloat16_until=20.0)
flat = np.zeros((32, 32, 3), np.uint8)
latents = codec.latents(codec.compress(flat, quality=30, content="photo"))
for rate in (80, 84):
    codec.synthesise(replace(latents, rate=rate))
print(json.dumps({"until": until, "losses": losses, "used": used}))
"""


@openvino
def test_bfloat16_draws_only_at_rates_at_which_it_is_exact_enough() -> None:
    """In a process of its own: units for bfloat16 enlarge what a signal has to save."""
    done = subprocess.run(
        [sys.executable, "-c", BFLOAT16], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if "refused" in found:
        assert "no units for it" in found["refused"]
        return
    losses = found["losses"]
    pairs = list(zip(losses[::2], losses[1::2], strict=True))
    kept = int(np.searchsorted(np.array(trial._RATES) / 4, found["until"], side="right"))
    assert all(exact - quick <= trial.LOSS for exact, quick in pairs[:kept])
    assert len(pairs) == kept + (kept < len(trial._RATES))
    # An analysis does not know the rate: it is in float32.
    assert found["used"] == ["float32", "bfloat16", "float32"]


def test_other_backends_run_in_float32() -> None:
    for backend in ("onnx", "torch"):
        with pytest.raises(ArgumentError, match=f"{backend}' runs in float32"):
            quantal.load("context-s", backend=backend, precision="bfloat16")
    with pytest.raises(ArgumentError, match="half"):
        quantal.load("context-s", precision="half")


def test_without_openvino_precision_says_what_to_install(
    no_preference: pytest.MonkeyPatch,
) -> None:
    without(no_preference, "openvino")
    with pytest.raises(InstallError, match=r"quantal\[openvino\]"):
        backends.chosen("auto", "cpu", graphs=True, precision="auto")


def test_the_environment_decides_on_precision(no_preference: pytest.MonkeyPatch) -> None:
    assert backends.precision_of(None) == "float32"
    no_preference.setenv(backends.PRECISION_VARIABLE, "bfloat16")
    assert backends.precision_of(None) == "bfloat16"
    assert backends.precision_of("float32") == "float32"
    no_preference.setenv(backends.PRECISION_VARIABLE, "int8")
    with pytest.raises(ArgumentError, match="int8"):
        backends.precision_of(None)


def test_a_runtime_without_memory_is_out_of_memory(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec: Any = quantal.load("context-s", "cpu", own, backend="onnx")
    data = (GOLDEN / "context-s/alpha.qtl").read_bytes()
    latents = codec.latents(data)

    class Poor:
        def run(self, *given: object) -> list[np.ndarray]:
            raise RuntimeError("FAIL : Failed to allocate memory for requested buffer of size 9")

    monkeypatch.setattr(codec.entropy.networks, "_session", lambda name: Poor())
    with pytest.raises(MemoryError):
        codec.synthesise(latents)
    with pytest.raises(OutOfMemoryError, match="drawing a picture of 128x128"):
        codec.decompress(data)


FORKED = """
import multiprocessing, os, sys

os.environ["OMP_NUM_THREADS"] = "2"
import numpy as np
import quantal
from quantal.codecs.backends.onnx import thread_count

pixels = np.zeros((40, 50, 3), np.uint8)
codec = quantal.load("context-s", backend=sys.argv[1])
data = codec.compress(pixels)
codec.decompress(data)

def work(_):
    return codec.decompress(data).size, thread_count()

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, range(2)))
assert "torch" not in sys.modules
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("backend", ["onnx", pytest.param("openvino", marks=openvino)])
def test_a_codec_in_use_is_forked(backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, backend], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[((50, 40), 1), ((50, 40), 1)]", done.stderr


@pytest.mark.parametrize("change", ["z", "features", "deep", "reach", "inputs"])
def test_an_index_that_lies_is_named(own: Path, change: str) -> None:
    path = own.with_suffix(".graphs") / "index.json"
    index = json.loads(path.read_text())
    if change == "deep":
        path.write_text('{"networks": ' + "[" * 100_000)
    elif change == "reach":
        index["networks"]["synthesis"]["reach"] = "far"
    elif change == "inputs":
        index["networks"]["features"]["inputs"] = ["other", "rate"]
    else:
        del index["networks"][change]
    if change != "deep":
        path.write_text(json.dumps(index))
    codec: Any = None
    with pytest.raises(ModelError, match=r"mine\.graphs"):
        codec = quantal.load("context-s", "cpu", own, backend="onnx")
        codec.decompress((GOLDEN / "context-s/alpha.qtl").read_bytes())
        codec.compress(np.zeros((32, 32, 3), np.uint8))


@openvino
@pytest.mark.parametrize(
    "kept",
    [
        "[" * 100_000,
        "[]",
        '{"KEY": 1}',
        '{"KEY": {"float32": "torch", "bfloat16_until": 1}}',
        '{"KEY": {"float32": "onnx", "bfloat16_until": "1"}}',
        '{"KEY": {"float32": "onnx", "bfloat16_until": NaN}}',
        '{"KEY": {"float32": "onnx", "bfloat16_until": 1e999}}',
    ],
)
def test_what_no_trial_has_written_is_not_believed(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    codec: Any = quantal.load("context-s", "cpu", backend="openvino")
    networks = codec.entropy.networks
    own_cache.parent.mkdir()
    own_cache.write_text(kept.replace("KEY", trial._key(codec)))
    found = Precision("onnx", 12.0)
    monkeypatch.setattr(trial, "_tried", lambda *given: found)
    trial.settle(codec)
    assert networks.precision is found
    networks.precision = Precision()
    assert json.loads(own_cache.read_text())[trial._key(codec)]["bfloat16_until"] == 12.0


def test_video_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders predict from what they have drawn: encoders have to have drawn the same."""
    monkeypatch.setenv(backends.PRECISION_VARIABLE, "bfloat16")
    codec: Any = quantal.load("video-s", "cpu", backend="onnx")
    assert codec.entropy.networks.__class__ is onnx_backend.OnnxNetworks
