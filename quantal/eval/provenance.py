"""What a figure was measured with: versions, machine and date, so that it can be made again."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import quantal

__all__ = ["Provenance", "provenance", "run_line"]

_PACKAGES = ("torch", "numpy", "pillow", "av", "constriction")


@dataclass(frozen=True)
class Provenance:
    """date: ISO, UTC. commit: of a checkout of Quantal, or None where it is installed."""

    quantal: str
    commit: str | None
    date: str
    machine: str
    system: str
    packages: dict[str, str]


def run_line(jobs: int, threads: int) -> str:
    """What a row says of the run that measured it, in a line."""
    made = provenance()
    commit = f"commit {made.commit}" if made.commit else f"quantal {made.quantal}"
    return f"{made.date}, {commit}, {made.machine}, jobs {jobs}, threads {threads}"


def provenance() -> Provenance:
    """What this process runs on."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return Provenance(
        quantal=quantal.__version__,
        commit=_commit(),
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        machine=f"{_processor()}, {os.cpu_count()} cores",
        system=f"{platform.system()}, Python {platform.python_version()}",
        packages=packages,
    )


def _processor() -> str:
    """The processor's name; its architecture where the system doesn't tell."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the checkout that Quantal is imported from, marked if files differ."""
    root = Path(quantal.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
