"""What can't be written is refused, and nothing is left of a clip that was not finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from quantal import clips
from quantal.clips import Chapter, Colour, Frame, Pixels, Properties
from quantal.errors import ArgumentError, OutputError
from tests.clips.test_write import TICK, save, seconds


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_what_no_file_can_hold_is_refused_or_named(
    name: str, tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    for times in ((0, 2**42), (2**62, 2**62 + 1), (2**70, 2**71)):
        with pytest.raises(ArgumentError, match="beyond"):
            save(tmp_path / name, moving(2), times)
    with pytest.raises(ArgumentError, match="beyond"):
        save(tmp_path / name, moving(1), properties=Properties(96, 64, TICK, start=-(2**70)))
    chapters = (
        Chapter(Fraction(5), Fraction(1)),
        Chapter(Fraction(0), Fraction(1, 25), {"title": "\ud800"}),
        Chapter(Fraction(10**30), Fraction(10**31)),
    )
    tags = {"title": "caf\udce9", "comment": "a\0b"}
    colour = Colour(-1, 10**12, -5)
    notes = save(
        tmp_path / name,
        moving(2),
        properties=Properties(96, 64, TICK, colour=colour),
        metadata=tags,
        chapters=chapters,
    )
    assert notes == ("chapters at impossible times were left out",)
    with clips.read(tmp_path / name) as clip:
        found = {key.lower(): text for key, text in clip.metadata.items()}
        assert found == {"title": "caf?", "comment": "a b"}
        assert [chapter.metadata.get("title") for chapter in clip.chapters] == ["?"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_pause_that_mp4_can_not_count_is_refused(
    tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    with pytest.raises(OutputError, match="is shown for"):
        save(tmp_path / "a.mp4", moving(2), [0, 10**9])
    save(tmp_path / "a.mkv", moving(2), [0, 10**9])
    with clips.read(tmp_path / "a.mkv") as clip:
        assert seconds(clip) == [0, 10**6]


class Boom(Exception):
    pass


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.y4m", "a"])
@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt])
def test_nothing_is_left_of_a_clip_that_was_not_finished(
    name: str, error: type[BaseException], tmp_path: Path, moving: Callable[..., list[Pixels]]
) -> None:
    if "." in name:
        (tmp_path / name).write_text("what was there before")
    before = sorted(tmp_path.iterdir())
    with (
        pytest.raises(error),
        clips.write(tmp_path / name, Properties(96, 64, TICK)) as writer,
    ):
        for number, pixels in enumerate(moving(60)):
            writer.write(Frame(number, pixels))
        raise error
    assert sorted(tmp_path.iterdir()) == before
    if "." in name:
        assert (tmp_path / name).read_text() == "what was there before"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.y4m", "a"])
def test_a_clip_without_frames_is_not_written(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="without frames"),
        clips.write(tmp_path / name, Properties(96, 64, TICK)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import sys, numpy as np
from fractions import Fraction
from quantal import clips
noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
with clips.write(sys.argv[1], clips.Properties(256, 256, Fraction(1, 25))) as writer:
    for number in range(int(sys.argv[2])):
        writer.write(clips.Frame(number, np.roll(noise, number, 0)))
        if number == 40:
            print("begun", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a"])
def test_control_c_leaves_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / name), "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()  # no test waits for ever
    assert b"KeyboardInterrupt" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.y4m"])
def test_a_full_disk_is_an_error_of_ours(name: str, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))\n"
    command = [sys.executable, "-c", limit + SCRIPT, str(tmp_path / name), "60"]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert b"quantal.errors.OutputError" in done.stderr
    assert name.encode() in done.stderr and b".partial" not in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_wrong_frames_are_refused(tmp_path: Path, moving: Callable[..., list[Pixels]]) -> None:
    good = moving(1)[0]
    for wrong in (
        Frame(0, good[:32]),
        Frame(0, good.astype(np.float32)),  # type: ignore[arg-type]
        Frame(0, None),  # type: ignore[arg-type]
        Frame(0.5, good),  # type: ignore[arg-type]
        None,
    ):
        with (
            pytest.raises(ArgumentError),
            clips.write(tmp_path / "a.mkv", Properties(96, 64, TICK)) as writer,
        ):
            writer.write(wrong)  # type: ignore[arg-type]
    with (
        pytest.raises(ArgumentError, match="later"),
        clips.write(tmp_path / "a.mkv", Properties(96, 64, TICK)) as writer,
    ):
        writer.write(Frame(5, good))
        writer.write(Frame(5, good))


def test_wrong_arguments_are_refused(
    tmp_path: Path, moving: Callable[..., list[Pixels]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in (
        {"format": "wmv"},
        {"options": {"pix_fmt": "nonsense"}},
        {"options": {"nonsense": "1"}},
    ):
        with pytest.raises(ArgumentError):
            save(tmp_path / "a.mp4", moving(1), **wrong)
    with pytest.raises(ArgumentError):
        save(tmp_path / "a.wmv", moving(1))
    with pytest.raises(ArgumentError, match="compress_level"):
        save(tmp_path / "a", moving(1), options={"crf": "3"})
    with pytest.raises(OutputError, match="can't be written"):
        save(tmp_path / "a.mp4", moving(1), options={"preset": "nonsense"})
    with pytest.raises(OutputError, match="missing"):
        save(tmp_path / "missing" / "a.mp4", moving(1))
    with pytest.raises(ArgumentError, match="time_base"):
        Properties(96, 64, Fraction(0))

    def lacking(name: str, mode: str) -> None:
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr("quantal.clips._encoders.av.Codec", lacking)
    with pytest.raises(OutputError, match="no encoder libx264"):
        save(tmp_path / "a.mp4", moving(1))
    assert list(tmp_path.iterdir()) == []
