"""A small picture's file, and its parts, to be damaged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from quantal import container

from . import fuzz


@pytest.fixture(scope="session")
def files() -> list[bytes]:
    return fuzz.sample_files()


@pytest.fixture(scope="session")
def colour(files: list[bytes]) -> bytes:
    """97 x 71 in colour, an image part and nothing else."""
    return files[0]


@pytest.fixture(scope="session")
def full(files: list[bytes]) -> bytes:
    """33 x 20 with every kind of part."""
    assert {part.kind for part in container.read(files[-1]).parts} == set(container.PART_KINDS)
    return files[-1]


@pytest.fixture
def little_memory() -> Iterator[None]:
    """What is done inside may take 256 MiB, far less than a wrong size would ask for."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # or threads' stacks would count
    with fuzz.limited_memory(256 << 20):
        yield
    torch.set_num_threads(threads)
