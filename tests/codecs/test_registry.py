"""Which codecs there are: ours, those of other packages, and whose weights are taken."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from skimage import data

import quantal
from quantal.codecs import CodecEntry, available, registry
from quantal.container import read
from quantal.errors import ModelError, QuantalWarning

sys.path.insert(0, str(Path(__file__).parent))

from small import write_small

MINE = CodecEntry("mine", "Of another package.", "my_package.codec:MyCodec", Path("absent"))

OWN = [name for entry in registry._OWN for name, _ in registry._versions(entry)]


def install(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    """Pretend that another package has an entry point which gives `found`, or raises it."""

    def load() -> object:
        if isinstance(found, Exception):
            raise found
        return found

    point = SimpleNamespace(name="mine", value="my_package.entry:MINE", load=load)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])


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
    entry = registry._OWN[0]
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(tmp_path))
    assert registry._weights(entry) == entry.weights
    own = tmp_path / "hyperprior.safetensors"
    own.write_bytes(b"")
    assert registry._weights(entry) == own
    monkeypatch.setenv("QUANTAL_WEIGHTS", str(tmp_path / "absent"))
    with pytest.raises(ModelError, match="QUANTAL_WEIGHTS"):
        registry._weights(entry)


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
    with pytest.raises(ModelError, match="--weights"):
        quantal.load("context-s").decompress(files["context-s@1"])
    (two_versions / "context-s@1.safetensors").unlink()
    with pytest.raises(ModelError, match=r"context-s@1\.safetensors"):
        quantal.decompress(files["context-s@1"])


def test_earlier_versions_are_listed(two_versions: Path) -> None:
    (two_versions / "context-s@1-beside.safetensors").write_bytes(b"")  # no version of its own
    assert registry.earlier("context-s") == ("context-s@1",)
    names = [info.name for info in available()]
    assert names.index("context-s@1") == names.index("context-s") + 1
    with pytest.raises(ModelError, match="there is no codec 'context-s@2'"):
        quantal.load("context-s@2")
