"""Which codecs there are: ours, those of other packages, and whose weights are taken."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skimage import data

import quantal
from quantal.codecs import (
    CodecEntry,
    Family,
    TransformCodec,
    available,
    catalogue,
    registry,
    tuned,
    weights_packages,
)
from quantal.codecs.editions import weights_path
from quantal.codecs.family import SHIPPED
from quantal.container import quality_to_rate, read
from quantal.entropy import FactorizedModel
from quantal.errors import ArgumentError, ModelError, QuantalWarning

sys.path.insert(0, str(Path(__file__).parent))

from small import write_small

MINE = Family(
    "mine", "my_package.codec:MyCodec", (CodecEntry("mine", "Of another package.", Path("absent")),)
)
OWN = [info.name for info in available()]


@pytest.fixture(autouse=True)
def fresh_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Families are collected anew, and what a test registers is forgotten."""
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())


def install(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    """Pretend that another package has an entry point which gives `found`, or raises it."""

    def load() -> object:
        if isinstance(found, Exception):
            raise found
        return found

    point = SimpleNamespace(name="mine", value="my_package.entry:MINE", load=load)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [point])


def test_a_codec_of_another_package_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, MINE)
    assert [info.name for info in available()] == [*OWN, "mine"]


@pytest.mark.parametrize("found", [ImportError("no my_package"), "my_package.codec:MyCodec"])
def test_a_broken_one_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    install(monkeypatch, found)
    with pytest.warns(QuantalWarning, match="'mine'"):
        assert [info.name for info in available()] == OWN


def test_weights_are_looked_for_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = CodecEntry("hyperprior", "", SHIPPED / "hyperprior.safetensors")
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(tmp_path))
    assert weights_path(entry) == entry.weights
    own = tmp_path / "hyperprior.safetensors"
    own.write_bytes(b"")
    assert weights_path(entry) == own
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(tmp_path / "absent"))
    with pytest.raises(ModelError, match="QUANTAL_WEIGHTS"):
        weights_path(entry)


@pytest.fixture
def two_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with weights of context-s as they are and as they were."""
    write_small(tmp_path / "context-s.safetensors", "core", adaptive=True)
    write_small(tmp_path / "context-s@1.safetensors", "places", adaptive=False)
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(tmp_path))
    return tmp_path


def test_a_file_finds_the_weights_that_made_it(two_versions: Path) -> None:
    pixels = data.astronaut()[:70, :90]
    files = {name: quantal.load(name).compress(pixels) for name in ("context-s", "context-s@1")}
    assert files["context-s"] != files["context-s@1"]
    for name, coded in files.items():
        assert read(coded).header.codec == "context-s"
        drawn = np.asarray(quantal.decompress(coded))
        assert np.array_equal(drawn, np.asarray(quantal.load(name).decompress(coded)))
    with pytest.raises(ModelError, match="keep the weights that wrote it") as refused:
        quantal.load("context-s").decompress(files["context-s@1"])
    assert refused.value.code == "weights"
    (two_versions / "context-s@1.safetensors").unlink()
    with pytest.raises(ModelError, match=r"context-s@1\.safetensors"):
        quantal.decompress(files["context-s@1"])


def test_earlier_versions_are_listed(two_versions: Path) -> None:
    (two_versions / "context-s@1-beside.safetensors").write_bytes(b"")  # no version of its own
    assert [n for n in registry.names() if n.startswith("context-s@")] == ["context-s@1"]
    names = [info.name for info in available()]
    assert names.index("context-s@1") == names.index("context-s") + 1
    with pytest.raises(ModelError, match="there is no codec 'context-s@2'"):
        quantal.load("context-s@2")


def test_opening_a_file_of_earlier_weights_builds_one_network(
    two_versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = quantal.load("context-s@1").compress(data.astronaut()[:70, :90])
    built = []
    build = registry._build
    monkeypatch.setattr(registry, "_LOADED", registry.LoadedCodecs(4))
    monkeypatch.setattr(registry, "_build", lambda *args: built.append(args[0]) or build(*args))
    quantal.decompress(coded)
    assert built == ["context-s@1"]


def test_a_tune_is_other_weights_of_the_same_codec(
    two_versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (two_versions / "context-s@1.safetensors").rename(two_versions / "context-s@eyes.safetensors")
    (two_versions / "context-s@nose.safetensors").write_bytes(b"")  # no tune that there is
    assert [n for n in registry.names() if n.startswith("context-s@")] == ["context-s@eyes"]
    assert tuned("context-s", "eyes") == "context-s@eyes"
    assert tuned("context-s", "psnr") == "context-s"
    coded = quantal.compress(data.astronaut()[:70, :90], codec="context-s@eyes")
    assert read(coded).header.codec == "context-s"
    assert read(coded).header.model_hash != quantal.load("context-s").model_hash
    assert quantal.decompress(coded).size == (90, 70)
    about = {info.name: info.description for info in available()}
    assert "MS-SSIM" in about["context-s@eyes"]


def test_a_tune_that_is_not_there_is_named(two_versions: Path) -> None:
    with pytest.raises(ArgumentError, match="codec 'hyperprior' has no tune 'eyes'"):
        tuned("hyperprior", "eyes")
    with pytest.raises(ArgumentError, match="psnr, eyes, not 'ears'"):
        tuned("context-s", "ears")


# -- loading -----------------------------------------------------------------------------------


def test_loading_neither_uses_nor_moves_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for a moment: another thread would see the same numbers twice."""
    monkeypatch.setattr(registry, "_LOADED", registry.LoadedCodecs(4))
    before = torch.get_rng_state()
    moved = []
    for name in ("manual_seed", "set_rng_state", "seed"):
        monkeypatch.setattr(torch.random, name, lambda *_: moved.append(1))
    monkeypatch.setattr(torch, "set_rng_state", lambda *_: moved.append(1))
    for name in ("hyperprior", "context-s", "vq", "tokens"):
        quantal.load(name, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert not moved


def test_loading_does_not_import_sympy() -> None:
    """Arithmetic on "meta" would: 900 modules and 130 MB."""
    load = "[quantal.load(name, 'cpu') for name in ('hyperprior', 'context-s', 'vq', 'tokens')]"
    code = f"import sys, quantal; {load}; sys.exit('sympy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_loads_in_parallel_make_no_number_a_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LOADED", registry.LoadedCodecs(16))
    done = threading.Event()
    drawn: list[float] = []

    def draw() -> None:
        while not done.is_set():
            drawn.extend(torch.rand(64, dtype=torch.float64).tolist())

    thread = threading.Thread(target=draw)
    thread.start()
    with ThreadPoolExecutor(4) as pool:
        names = ("hyperprior", "context-s", "tokens", "context-m")
        list(pool.map(lambda name: quantal.load(name, "cpu"), names))
    done.set()
    thread.join()
    assert len(set(drawn)) == len(drawn) > 0


def test_first_loads_at_once_build_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_LOADED", registry.LoadedCodecs(4))
    built = []
    build = registry._build

    def slowly(*args: object) -> object:
        built.append(args[0])
        time.sleep(0.05)
        return build(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "_build", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: quantal.load("context-s", "cpu"), range(4)))
    assert built == ["context-s"]
    assert len(set(map(id, found))) == 1


def test_a_load_that_fails_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"nothing")
    for _ in range(2):
        with pytest.raises(ModelError, match="can't be read"):
            quantal.load("context-s", "cpu", weights=path)


def test_more_codecs_than_are_kept_do_not_thrash_those_in_use() -> None:
    kept = registry.LoadedCodecs(3)
    built: list[int] = []

    def get(key: int) -> None:
        kept.get(key, lambda: built.append(key))  # type: ignore[arg-type, return-value]

    for key in (1, 2, 3, 1, 4, 1, 5, 1):
        get(key)
    assert built == [1, 2, 3, 4, 5]


def test_changing_the_networks_of_a_codec_changes_no_other_load() -> None:
    codec = quantal.load("hyperprior", "cpu")
    before = codec.compress(data.astronaut()[:64, :64])
    networks = codec.networks()  # type: ignore[attr-defined]
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.zero_()
    assert quantal.load("hyperprior", "cpu").compress(data.astronaut()[:64, :64]) == before


# -- codecs of a running process -----------------------------------------------------------------


def tiny_codec(name: str = "tiny") -> TransformCodec:
    """Four channels of 8x8 means, coded by themselves."""
    torch.manual_seed(2)
    analysis = torch.nn.Conv2d(3, 4, 8, 8).requires_grad_(False)
    synthesis = torch.nn.ConvTranspose2d(4, 3, 8, 8).requires_grad_(False)
    return TransformCodec(name, analysis, synthesis, FactorizedModel(4).freeze(), 8)


def test_a_registered_codec_is_known_everywhere() -> None:
    codec = tiny_codec()
    registry.register(codec)
    assert quantal.load("tiny") is codec
    assert "tiny" in registry.names() and "tiny" in [info.name for info in available()]
    coded = quantal.compress(data.astronaut()[:50, :70], "tiny", quality=80)
    assert read(coded).header.codec == "tiny"
    assert quantal.decompress(coded).size == (70, 50)
    assert quantal.latents.read(coded).y_hat.shape == (4, 7, 9)
    other = tiny_codec()
    registry.register(other)
    assert quantal.load("tiny") is other


@pytest.mark.parametrize("name", ["context-m", "UPPER", "", "a" * 24])
def test_names_that_cannot_be_registered_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError):
        registry.register(tiny_codec(name))


def test_what_is_no_codec_cannot_be_registered() -> None:
    with pytest.raises(ArgumentError, match="str is no codec"):
        registry.register("context-m")  # type: ignore[arg-type]


def test_a_codec_with_one_rate_refuses_other_qualities() -> None:
    codec = tiny_codec()
    codec.rates = (quality_to_rate(40),)
    pixels = data.astronaut()[:50, :70]
    assert read(codec.compress(pixels)).header.rate == quality_to_rate(40)
    assert codec.compress(pixels, quality=40) == codec.compress(pixels)
    with pytest.raises(ArgumentError, match="single rate: quality 40, not 60"):
        codec.compress(pixels, quality=60)
    with pytest.raises(ArgumentError, match="single rate"):
        codec.compress(pixels, bpp=1.0)


def test_weights_of_another_package_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that an entry point names; its package needs nothing but the file."""
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('this module is not imported')")
    (package / "vq.safetensors").write_bytes((SHIPPED / "vq.safetensors").read_bytes())
    about = tmp_path / "some_weights-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[quantal.weights]\nvq = some_weights\n")
    entry = next(e for e in registry.family_of("vq").codecs if e.name == "vq")
    lacking = replace(entry, weights=tmp_path / "none" / "vq.safetensors")
    monkeypatch.setattr(registry, "_find", lambda name: (lacking, registry.family_of("vq")))
    weights_packages._folders.cache_clear()
    with pytest.raises(ModelError, match=r"pip install quantal-weights-vq; or name yours"):
        quantal.load("vq", "cpu")
    monkeypatch.syspath_prepend(tmp_path)
    weights_packages._folders.cache_clear()
    assert quantal.load("vq", "cpu").name == "vq"
    assert weights_path(lacking) == package / "vq.safetensors"
    weights_packages._folders.cache_clear()


def test_packages_bring_the_weights_that_the_wheel_leaves_out() -> None:
    root = Path(quantal.__file__).parents[1]
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    left_out = set(re.findall(r'"quantal/weights/([a-z-]+)\*"', text))
    packages = {p.parent.name: p.read_text() for p in root.glob("packages/*/pyproject.toml")}
    assert left_out == packages.keys()
    entries = {e.name: e for family in registry.families() for e in family.codecs}
    for path in SHIPPED.glob("*.safetensors"):
        owners = [name for name, about in packages.items() if f"weights/{path.name}" in about]
        assert len(owners) == any(path.name.startswith(name) for name in left_out), path
        if path.stem in entries:
            wanted = f"quantal-weights-{owners[0]}" if owners else ""
            assert entries[path.stem].package == wanted
            assert not wanted or f'"{wanted}"' in text
