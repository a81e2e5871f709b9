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
    example.main(4.0, str(path))
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


def quantal_command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, as a user has it."""
    return subprocess.run(
        [sys.executable, "-m", "quantal", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_the_command_line_takes_a_plugin(tmp_path: Path, photo: Path) -> None:
    (tmp_path / "plugin_module.py").write_text(PLUGIN, encoding="utf-8")
    second = tmp_path / "again.png"
    second.write_bytes(photo.read_bytes())
    plugin = ("--plugin", "plugin_module.py")
    names = (photo.name, second.name)
    done = quantal_command(
        "compress", *names, *plugin, "--codec", "plugged", "--jobs", "2", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert container.probe(photo.with_suffix(".qtl").read_bytes()).header.codec == "plugged"
    for command in (
        ("decompress", "photo.qtl", "-o", "back.png"),
        ("verify", "photo.qtl"),
        ("latents", "photo.qtl", "-o", "l.safetensors"),
    ):
        done = quantal_command(*command, *plugin, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    listed = quantal_command("codecs", *plugin, folder=tmp_path)
    assert "plugged: picture. A plugin." in listed.stdout
    unknown = quantal_command("decompress", "photo.qtl", "-o", "b.png", folder=tmp_path)
    assert unknown.returncode == 1 and "no codec 'plugged'" in unknown.stderr
    absent = quantal_command("codecs", "--plugin", "absent_module", folder=tmp_path)
    assert absent.returncode == 1 and "plugin 'absent_module' can't be imported" in absent.stderr


def test_evaluation_finds_a_plugin(tmp_path: Path, photo: Path) -> None:
    pytest.importorskip("polars", reason="comes with the extra `eval`")
    (tmp_path / "plugin_module.py").write_text(PLUGIN, encoding="utf-8")
    done = quantal_command(
        *("eval", "rd", "--plugin", "plugin_module.py", "--codecs", "plugged,webp"),
        *("--data", photo.name, "--out", "result", "--qualities", "20,60", "--no-report"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "result" / "rows.csv").read_text(encoding="utf-8")
    assert rows.count("plugged") >= 2
