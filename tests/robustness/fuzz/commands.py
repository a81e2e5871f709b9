"""Command lines: strange paths, pipes, signals and closed streams end with a status and a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .coded import scene
from .limits import Fault
from .mutations import Random

__all__ = ["Command", "cases", "outcome"]

#: Statuses that a command may end with; a signal's is 128 more than its number.
_STATUSES = {0, 1, 2, 129, 130, 141, 143}
_HANG = 120
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_OPTIONS = (
    ("-q", "0"),
    ("-q", "30"),
    ("-q", "x"),
    ("--bpp", "0.5"),
    ("--bpp", "nan"),
    ("--max-bytes", "9000"),
    ("--strip", "all"),
    ("--strip", "gps"),
    ("--codec", "hyperprior"),
    ("--codec", "nonesuch"),
    ("--jobs", "2"),
    ("-r",),
    ("--force",),
    ("--json",),
    ("--skip-existing",),
    ("--keep-time",),
    ("-o", ""),
    ("-o", "-"),
    ("-o", "out/"),
    ("-o", "/dev/full"),
    ("-o", "link"),
    ("-o", "no/such/folder/x.qtl"),
)
_STREAMS = ("pipe", "closed", "full", "broken")


@dataclass(frozen=True)
class Command:
    """A command line with its surroundings.

    Attributes:
        words: after `quantal`.
        stdin: "closed", "empty" or "picture".
        stdout: one of "pipe", "closed", "full" and "broken", a pipe that nobody reads.
        stderr: as stdout.
        signal: sent after `delay` seconds; 0 for none.
        delay: in seconds.
    """

    words: tuple[str, ...]
    stdin: str
    stdout: str
    stderr: str
    signal: int
    delay: float


def cases(seed: int) -> Iterator[tuple[str, Command]]:
    """Endless (the words, command)."""
    rng = Random(seed)
    paths = (
        *("a.png", "a.jpg", "caf\udce9.png", "two\nlines.png", "a.qtl", "cut.qtl", "empty.png"),
        *("text.txt", "folder", "missing", "", "-", "fifo", "/dev/null", "loop", "dangling", "."),
    )
    while True:
        verb = rng.choice(("compress", "compress", "decompress", "info", "verify", "latents"))
        words = [verb, *rng.choices(paths, k=rng.choice((1, 1, 2, 3)))]
        for option in rng.sample(_OPTIONS, rng.choice((0, 1, 2))):
            words += option
        quiet = rng.random() < 0.6
        yield (
            " ".join(map(repr, words)),
            Command(
                tuple(words),
                rng.choice(("closed", "empty", "picture")),
                "pipe" if quiet else rng.choice(_STREAMS),
                "pipe" if quiet else rng.choice(_STREAMS),
                int(rng.choice(_SIGNALS)) if rng.random() < 0.25 else 0,
                rng.uniform(0.1, 5),
            ),
        )


def outcome(command: Command) -> str:
    """Run a command in a folder of its own: its status; Fault for anything unexpected."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _fill(folder)
        process, error_reader = _started(command, folder)
        feeder = threading.Thread(target=_feed, args=(folder / "fifo",), daemon=True)
        feeder.start()
        if command.signal:
            time.sleep(command.delay)
            process.send_signal(command.signal)
        try:
            process.wait(_HANG)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Fault(f"no end within {_HANG} s") from None
        said = error_reader()
        status = process.returncode
        if status < 0:
            status = 128 - status
        if "Traceback" in said or "Exception ignored" in said:
            raise Fault(f"a traceback:\n{said}")
        if status not in _STATUSES or (status > 128 and not command.signal and status != 141):
            raise Fault(f"status {status}: {said}")
        left = list(folder.rglob("*.part"))
        if left:
            raise Fault(f"half a file stays: {left}")
        if status in (1, 2) and command.stderr == "pipe" and not said.strip():
            raise Fault(f"status {status} without a word")
        return f"status {status}"


def _fill(folder: Path) -> None:
    """Make the files that commands name."""
    image = Image.fromarray(scene(60, 40))
    for name in ("a.png", "a.jpg", "caf\udce9.png", "two\nlines.png"):
        image.save(folder / name, "JPEG" if name.endswith("jpg") else "PNG")
    (folder / "text.txt").write_text("text")
    (folder / "empty.png").touch()
    (folder / "folder" / "inner").mkdir(parents=True)
    image.save(folder / "folder" / "b.png")
    (folder / "folder" / "inner" / "again").symlink_to(folder / "folder")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "link").symlink_to("target.qtl")
    os.mkfifo(folder / "fifo")
    (folder / "a.qtl").write_bytes(_CODED)
    (folder / "cut.qtl").write_bytes(_CODED[:-20])


def _coded() -> bytes:
    import quantal

    return quantal.compress(scene(60, 40), "hyperprior", quality=30)


_CODED = _coded()


def _feed(fifo: Path) -> None:
    """Write a file to the first reader of a named pipe."""
    try:
        with fifo.open("wb") as file:
            file.write(_CODED)
    except OSError:
        return


def _started(command: Command, folder: Path) -> tuple[subprocess.Popen[bytes], Callable[[], str]]:
    """Start a command; return it and a function that returns what it said on standard error."""
    streams = {}
    for number, kind in ((1, command.stdout), (2, command.stderr)):
        if kind == "full":
            streams[number] = os.open("/dev/full", os.O_WRONLY)
        elif kind == "broken":
            reading, streams[number] = os.pipe()
            os.close(reading)
        else:
            path = folder.parent / f"{folder.name}.{number}"
            streams[number] = os.open(path, os.O_RDWR | os.O_CREAT)
    closing = {"stdin": command.stdin, "stdout": command.stdout, "stderr": command.stderr}
    redirections = "".join(
        f" {number}{'<' if number == 0 else '>'}&-"
        for number, name in enumerate(closing)
        if closing[name] == "closed"
    )
    shell = f'exec "$0" -m quantal "$@"{redirections}'
    given = folder / ("a.png" if command.stdin == "picture" else "empty.png")
    with given.open("rb") as stdin:
        process = subprocess.Popen(
            ["sh", "-c", shell, sys.executable, *command.words],
            cwd=folder,
            stdin=stdin,
            stdout=streams[1],
            stderr=streams[2],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()},
        )

    def said() -> str:
        found = ""
        for number in (1, 2):
            path = folder.parent / f"{folder.name}.{number}"
            os.close(streams[number])
            if path.exists():
                if number == 2:
                    found = path.read_text(errors="backslashreplace")
                path.unlink()
        return found

    return process, said
