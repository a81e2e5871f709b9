"""Which codecs there are: ours, those of other packages, and whose weights are taken."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from quantal.codecs import CodecEntry, available, registry
from quantal.errors import ModelError, QuantalWarning

MINE = CodecEntry("mine", "Of another package.", "my_package.codec:MyCodec", Path("absent"))

OWN = [entry.name for entry in registry._OWN]


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
