"""The example of a codec of one's own trains, freezes, registers, writes and reads a file."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import quantal
from quantal import container
from quantal.codecs import registry
from tests.calling import call

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_codec.py"
ROOT = Path(quantal.__file__).parents[1]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())
    spec = importlib.util.spec_from_file_location("own_codec", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_fits_a_page() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 80


def test_it_writes_a_file_that_it_reads(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.qtl"
    example.main(1.0, str(path))
    said = re.fullmatch(r"(.*): ([\d,]+) bytes, ([\d.]+) dB PSNR\n", capsys.readouterr().out)
    assert said is not None and said[1] == str(path)
    assert int(said[2].replace(",", "")) == path.stat().st_size
    assert float(said[3]) > 0  # how much seconds teach depends on the machine
    info = container.probe(path.read_bytes())
    assert info.header.codec == "own"
    codec = quantal.load("own")
    data = path.read_bytes()
    estimated = codec.estimate_bits(codec.encoding(example.data.chelsea()).y, info.header.rate)  # type: ignore[attr-defined]
    assert abs(estimated / 8 - info.parts[0].bytes) < 16
    assert quantal.read(path, max_parts=3).size == quantal.decompress(data).size


PLUGIN = """
import torch
from quantal.codecs import CodecEntry, Family, TransformCodec, register
from quantal.entropy import FactorizedModel
from pathlib import Path


def build(name, weights, device):
    torch.manual_seed(1)
    analysis, synthesis = torch.nn.Conv2d(3, 4, 8, 8), torch.nn.ConvTranspose2d(4, 3, 8, 8)
    return TransformCodec(name, analysis, synthesis, FactorizedModel(4).freeze(), 8)


ENTRY = CodecEntry("plugged", "A plugin.", Path(__file__))
register(Family("plugged", "plugin_module:build", (ENTRY,)))
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plugin in it, which calls of one test name, and no other test sees."""
    (tmp_path / "plugin_module.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())
    forget(monkeypatch)
    return tmp_path


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next call know no plugin, as a new process does."""
    # Set first, so that what a call adds to the variable is undone after the test.
    monkeypatch.setenv("QUANTAL_PLUGINS", "")
    monkeypatch.setattr(registry, "_CATALOGUE", registry.Catalogue())
    monkeypatch.setitem(sys.modules, "plugin_module", None)
    monkeypatch.delitem(sys.modules, "plugin_module")


def test_the_command_line_takes_a_plugin(
    plugin: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of its own, as a user has it, whose workers know the plugin; then calls here."""
    second = plugin / "again.png"
    second.write_bytes(photo.read_bytes())
    option = ("--plugin", "plugin_module.py")
    words = ("compress", photo.name, second.name, *option, "--codec", "plugged", "--jobs", "2")
    done = subprocess.run(
        [sys.executable, "-m", "quantal", *words],
        cwd=plugin,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert container.probe(photo.with_suffix(".qtl").read_bytes()).header.codec == "plugged"
    for command in (
        ("decompress", "photo.qtl", "-o", "back.png"),
        ("verify", "photo.qtl"),
        ("latents", "photo.qtl", "-o", "l.safetensors"),
    ):
        forget(monkeypatch)
        found = call(*command, *option)
        assert found.status == 0, found.err
    forget(monkeypatch)
    assert "plugged: picture. A plugin." in call("codecs", *option).out
    forget(monkeypatch)
    unknown = call("decompress", "photo.qtl", "-o", "b.png")
    assert unknown.status == 1 and "no codec 'plugged'" in unknown.err
    forget(monkeypatch)
    absent = call("codecs", "--plugin", "absent_module")
    assert absent.status == 1 and "plugin 'absent_module' can't be imported" in absent.err


def test_evaluation_finds_a_plugin(plugin: Path, photo: Path) -> None:
    pytest.importorskip("polars", reason="comes with the extra `eval`")
    found = call(
        *("eval", "rd", "--plugin", "plugin_module.py", "--codecs", "plugged,webp"),
        *(
            "--data",
            photo.name,
            "--out",
            "result",
            "--qualities",
            "20,60",
            "--jobs",
            "1",
            "--no-report",
        ),
    )
    assert found.status == 0, found.err
    rows = (plugin / "result" / "rows.csv").read_text(encoding="utf-8")
    assert rows.count("plugged") >= 2
