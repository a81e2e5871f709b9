"""Without torch: what files need works, and what does not says what to install.

Each test runs in a process in which torch can't be found; with QUANTAL_LIGHT_PYTHON, which `make
test` sets, in an environment in which it is not installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[1]
CODECS = ("context-s", "context-m", "hyperprior", "tokens", "vq", "wavelet")

#: What a process runs first: torch becomes a package that is not there.
BLOCKED = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec


def find_other(name, path=None, target=None):
    return None if name.partition(".")[0] in ("torch", "torchvision") else find(name, path, target)


PathFinder.find_spec = find_other
"""
COMMAND = "from quantal.cli import main; main()"


def light_python() -> str | None:
    return os.environ.get("QUANTAL_LIGHT_PYTHON")


@pytest.fixture
def environment() -> str:
    """An environment without torch, or one in which it can't be imported."""
    return "blocked" if light_python() is None else "installed"


def run(environment: str, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python without torch."""
    blocked = environment == "blocked"
    python = sys.executable if blocked else str(light_python())
    whole = (BLOCKED if blocked else "") + code
    return subprocess.run(
        [python, "-c", whole, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )


def succeed(environment: str, code: str, *arguments: object) -> str:
    found = run(environment, code, *arguments)
    assert found.returncode == 0, found.stderr
    return found.stdout


DIGESTS = """
import hashlib, json, sys
import quantal

found = {}
for name in sys.argv[2:]:
    latents = quantal.latents.read(f"{sys.argv[1]}/{name}.qtl")
    digest = hashlib.sha256()
    for part in latents.symbols:
        digest.update(part.astype("<i4").tobytes())
    found[name] = digest.hexdigest()
assert "torch" not in sys.modules
print(json.dumps(found))
"""


def test_symbols_of_golden_files(environment: str) -> None:
    expected = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
    pictures = {n: each["symbols"] for n, each in expected.items() if "frames" not in each}
    assert json.loads(succeed(environment, DIGESTS, GOLDEN, *pictures)) == pictures


#: Commands in one process, one after the other: a list of lists of words.
COMMANDS = """
import json, sys
from quantal.cli import app

for words in json.loads(sys.argv[1]):
    try:
        app(words, prog_name="quantal")
    except SystemExit as end:
        if end.code:
            raise
"""


@pytest.mark.parametrize("codec", CODECS)
def test_a_picture_there_and_back(
    environment: str, codec: str, small_photograph: Image.Image, tmp_path: Path
) -> None:
    """By a process each with the first codec, by one process with the others."""
    picture, coded, back = tmp_path / "a.png", tmp_path / "a.qtl", tmp_path / "b.png"
    small_photograph.save(picture)
    tensors = tmp_path / "a.safetensors"
    commands = [
        ("compress", picture, "--codec", codec),
        ("verify", coded),
        ("decompress", coded, "-o", back),
        ("latents", coded, "-o", tensors),
    ]
    if codec == CODECS[0]:
        said = "".join(succeed(environment, COMMAND, *words) for words in commands)
    else:
        words = json.dumps([[str(word) for word in each] for each in commands])
        said = succeed(environment, COMMANDS, words)
    assert f"{coded}: ok" in said
    with Image.open(back) as image:
        assert image.size == small_photograph.size
    assert tensors.stat().st_size > 0


CLIP = """
import sys
import quantal

with quantal.open(sys.argv[1]) as clip:
    assert len([frame.pixels for frame in clip]) == 10
assert "torch" not in sys.modules
"""


def test_a_clip_is_read() -> None:
    succeed("blocked", CLIP, GOLDEN / "video-s" / "clip.qtl")


@pytest.mark.skipif(light_python() is None, reason="QUANTAL_LIGHT_PYTHON is not set")
def test_without_pyav_a_clip_says_what_to_install(tmp_path: Path) -> None:
    coded = GOLDEN / "video-s" / "clip.qtl"
    found = run("installed", COMMAND, "decompress", coded, "-o", tmp_path / "a.mp4")
    assert "clips need av, which is not installed: pip install 'quantal[video]'" in found.stderr


PLUGIN = """
import sys
from PIL import Image
import quantal.pillow

with Image.open(sys.argv[1]) as image:
    image.load()
    image.save(sys.argv[2], quality=50)
assert "torch" not in sys.modules
"""


def test_the_plugin_of_pillow(environment: str, tmp_path: Path) -> None:
    saved = tmp_path / "saved.qtl"
    succeed(environment, PLUGIN, GOLDEN / "context-s" / "alpha.qtl", saved)
    assert saved.stat().st_size > 0


def test_damage_is_concealed(
    environment: str, small_photograph: Image.Image, tmp_path: Path
) -> None:
    picture, coded = tmp_path / "a.png", tmp_path / "a.qtl"
    small_photograph.save(picture)
    succeed(environment, COMMAND, "compress", picture, "--codec", "vq", "--resilient")
    data = bytearray(coded.read_bytes())
    data[-20] ^= 1
    coded.write_bytes(data)
    out = succeed(environment, COMMAND, "decompress", coded, "--conceal", "-o", tmp_path / "b.png")
    assert (tmp_path / "b.png").is_file(), out


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (("compress", "a.png", "--effort", "1"), "effort) needs torch"),
        (("compress", "a.png", "--device", "cuda"), "device 'cuda' needs torch"),
        (("compress", "a.png", "--codec", "compressai/mbt2018"), ""),
        (("decompress", "a.qtl", "--device", "cuda"), "device 'cuda' needs torch"),
        (("train", "a.yaml"), ""),
        (("onnx", "context-s"), ""),
    ],
)
def test_what_needs_torch_says_so(
    environment: str,
    arguments: tuple[str, ...],
    needs: str,
    small_photograph: Image.Image,
    tmp_path: Path,
) -> None:
    small_photograph.save(tmp_path / "a.png")
    (tmp_path / "a.qtl").write_bytes((GOLDEN / "context-s" / "alpha.qtl").read_bytes())
    (tmp_path / "a.yaml").write_text("codec: context-s\n", encoding="utf-8")
    given = [tmp_path / each if each.startswith("a.") else each for each in arguments]
    if arguments[2:3] == ("--codec",):
        weights = tmp_path / "mbt2018-3.pth.tar"
        weights.write_bytes(b"weights")
        given += ["--weights", weights, "-q", "3"]
    if arguments[0] in ("compress", "decompress"):
        given += ["-o", tmp_path / ("b.qtl" if arguments[0] == "compress" else "b.png")]
    found = run(environment, COMMAND, *given)
    assert found.returncode in (1, 2) and "Traceback" not in found.stderr
    assert needs in found.stderr and "pip install 'quantal[torch]'" in found.stderr


ROOMS = """
import quantal
from quantal.errors import InstallError

for room in ("train", "transforms"):
    try:
        getattr(quantal, room).TrainingOutput
    except InstallError as error:
        assert "quantal[torch]" in str(error), error
    except AttributeError:
        pass
"""


def test_rooms_that_need_torch_say_so(environment: str) -> None:
    succeed(environment, ROOMS)
