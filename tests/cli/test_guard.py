"""Empty words, and memory that runs out, in every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from quantal.cli import app
from quantal.cli._guard import describe

ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you tried "
    "to allocate 400000000 bytes. Error code 12 (Cannot allocate memory)"
)
SHORTAGES = [
    MemoryError(),
    RuntimeError(ALLOCATOR),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("could not create a primitive"),
    RuntimeError("can't start new thread"),
    OSError(12, "Cannot allocate memory"),
    ImportError("libfoo.so: failed to map segment from shared object"),
]


def parameters() -> Iterator[Any]:
    """Every parameter of every command that takes a value, with a call that leaves it empty."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[Any]:
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, (*path, name))
        before: list[str] = []
        for parameter in command.params if not hasattr(command, "commands") else ():
            if parameter.param_type_name == "argument":
                label = parameter.metavar or parameter.name
                yield pytest.param([*path, *before, ""], label, id=" ".join([*path, label]))
                before.append("x")
            elif not parameter.is_flag:
                label = parameter.opts[0]
                yield pytest.param([*path, label, ""], label, id=" ".join([*path, label]))

    yield from walk(typer.main.get_command(app), ())


@pytest.mark.parametrize(("words", "label"), [*parameters()])
def test_an_empty_word_is_a_wrong_call(quantal, monkeypatch, tmp_path, words, label) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    call = quantal(*words)
    assert (call.status, call.out) == (2, "")
    assert label in call.err and "it is empty" in call.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: str(error)[:30])
def test_a_shortage_of_memory_says_what_helps(shortage) -> None:
    line = describe(shortage)
    assert "needs more memory than there is" in line and "fewer --jobs" in line
    assert "\n" not in line and "enforce" not in line and "unexpected" not in line


@pytest.mark.parametrize("shortage", SHORTAGES[:2], ids=["python", "torch"])
def test_every_command_names_a_shortage_of_memory(
    quantal, monkeypatch, photo, coded, tmp_path, shortage
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise shortage

    made = tmp_path / "made.qtl"
    made.write_bytes(coded)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("codec: hyperprior\ndata: [photos]\nout: run\n")
    for name in (
        "files.encode.encode_picture",
        "files.decode.decode_picture",
        "files.decode.verify",
        "files.decode.read_latents",
        "train.run",
        "eval.rd.measure_rd",
        "eval.bdrate.compare",
    ):
        monkeypatch.setattr(f"quantal.{name}", fail)
    curve = tmp_path / "curve.csv"
    curve.write_text("bpp,psnr\n0.1,28\n0.2,31\n0.4,34\n0.8,37\n")
    for words in (
        ["compress", photo, "-o", tmp_path / "x.qtl"],
        ["decompress", made, "-o", tmp_path / "x.png"],
        ["verify", made],
        ["latents", made, "-o", tmp_path / "x.safetensors"],
        ["train", recipe],
        ["eval", "rd", "--codecs", "jpeg", "--data", photo, "--out", tmp_path, "--no-report"],
        ["eval", "bdrate", curve, curve],
    ):
        call = quantal(*words)
        assert call.status == 1, words
        assert "needs more memory than there is" in call.err and "--jobs" in call.err, words
        assert call.err.count("\n") == 1, words


def test_the_first_parts_of_a_cut_file_are_offered(quantal, made_by) -> None:
    cut = made_by("context-s")
    cut.write_bytes(cut.read_bytes()[:-20])
    call = quantal("decompress", cut)
    assert call.status == 1 and "--max-parts" in call.err
    plain = made_by("hyperprior")
    plain.write_bytes(plain.read_bytes()[:-20])
    assert "--max-parts" not in quantal("decompress", plain).err


@pytest.fixture
def made_by(quantal, photo, tmp_path) -> Any:
    """Return a function from the name of a codec to a .qtl file."""

    def make(codec: str) -> Any:
        path = tmp_path / f"{codec}.qtl"
        assert quantal("compress", photo, "-o", path, "--codec", codec).status == 0
        return path

    return make
