"""Provenance of measurements: versions, machine and date, for reproducibility."""

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
    """Versions, machine and date of a measurement.

    Attributes:
        quantal: Version of Quantal.
        commit: Commit of Quantal's checkout; None if it is installed from a package.
        date: ISO date, UTC.
        machine: Processor and number of cores.
        system: Operating system and version of Python.
        packages: Versions of the main packages.
    """

    quantal: str
    commit: str | None
    date: str
    machine: str
    system: str
    packages: dict[str, str]


def run_line(jobs: int, threads: int) -> str:
    """Describe the current run in one line, for rows."""
    made = provenance()
    commit = f"commit {made.commit}" if made.commit else f"quantal {made.quantal}"
    return f"{made.date}, {commit}, {made.machine}, jobs {jobs}, threads {threads}"


def provenance() -> Provenance:
    """Return the provenance of measurements by this process."""
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
    """Return the processor's name, or its architecture if the system does not report a name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the commit of the checkout that Quantal is imported from, marked if files differ."""
    root = Path(quantal.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=10"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
