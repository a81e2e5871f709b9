"""Shards to the .qtl files that were packed, without loss."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantal import container
from quantal.arguments import choice
from quantal.arguments import path as path_of
from quantal.codecs.contract import Codec, Recoding
from quantal.errors import CorruptError, OutputError, QuantalError
from quantal.latents._failures import Failed, Progress, named
from quantal.latents._format import Flags
from quantal.latents._shard import Shard, find_shards
from quantal.latents._symbols import damaged_symbols, fitting_codec
from quantal.names import shown
from quantal.outputs import create_folder, write_whole

__all__ = ["Unpacked", "rebuilt", "unpack"]


@dataclass(frozen=True)
class Unpacked:
    """What unpack() wrote.

    Attributes:
        pictures: number of files written.
        skipped: number of pictures that were left because their files exist.
        failures: pictures that are left out.
    """

    pictures: int
    skipped: int = 0
    failures: tuple[Failed, ...] = ()


def unpack(
    shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    on_error: str = "raise",
    force: bool = False,
    skip_existing: bool = False,
    codec: Codec | None = None,
    progress: Progress | None = None,
    failed: Callable[[Failed], None] | None = None,
) -> Unpacked:
    """Write the .qtl files that were packed, byte for byte.

    Args:
        shards: a folder of shards, one, or several.
        out: folder of the files, which is made if it is missing; they keep their tree.
        on_error: "raise" the first error, which names its picture, or "skip" the picture.
        force: whether to replace files that are there.
        skip_existing: whether to leave pictures whose files are there.
        codec: default: the ones that the shards name, with the weights that ship.
        progress: called after each picture.
        failed: called for each picture that is left out.

    Raises:
        BitstreamError: A shard is damaged.
        ModelError: Its codec isn't here, or has other weights than the one that parsed the files.
        OutputError: A file can't be written, or is there.
    """
    skip = choice("on_error", on_error, ("raise", "skip")) == "skip"
    opened = [Shard(path) for path in find_shards(shards)]
    folder = Path(path_of("folder", out))
    total, done, count, skipped = sum(map(len, opened)), 0, 0, 0
    failures: list[Failed] = []
    taken: set[str] = set()
    for shard in opened:
        for index in range(len(shard)):
            name = shard.name(index)
            try:
                target = _target(folder, name)
                if name in taken:
                    raise CorruptError("two pictures have this name; unpack their shards apart")
                taken.add(name)
                if os.path.lexists(target) and skip_existing:
                    skipped += 1
                elif os.path.lexists(target) and not force:
                    raise OutputError(f"{shown(target)} exists already", code="exists")
                else:
                    data = rebuilt(shard, index, codec)
                    create_folder(target.parent)
                    write_whole(target, data)
                    count += 1
            except QuantalError as error:
                if not skip:
                    raise named(f"{shown(shard.path)}: {shown(name)}", error) from error
                failures.append(Failed(name, error))
                if failed is not None:
                    failed(failures[-1])
            done += 1
            if progress is not None:
                progress(done, total)
    return Unpacked(count, skipped, tuple(failures))


def _target(folder: Path, name: str) -> Path:
    """Return the path of a picture's file; CorruptError if it is none below the folder."""
    steps = name.split("/")
    odd = "\\:" if os.name == "nt" else ""
    if any(
        step in ("", ".", "..") or "\0" in step or any(c in step for c in odd) for step in steps
    ):
        raise CorruptError(
            f"name {name!r} found, expected a path below a folder; the shard was not made by "
            "`quantal pack`"
        )
    return folder.joinpath(*steps)


def rebuilt(shard: Shard, index: int, codec: Codec | None = None) -> bytes:
    """Return the .qtl file of a picture, byte for byte.

    Args:
        shard: the shard.
        index: number of the picture.
        codec: default: the one that the shard names.

    Raises:
        BitstreamError: The picture is damaged.
        ModelError: The codec isn't here, or has other weights.
    """
    beside, flags = shard.beside(index)
    if flags & Flags.VERBATIM:
        return beside
    about = shard.about(index)
    codec = fitting_codec(shard.codec, shard.model_hash, shown(shard.path), codec)
    if not isinstance(codec, Recoding):
        raise CorruptError(f"codec {codec.name!r} writes no symbols; the shard is damaged")
    size = about.width, about.height, about.rate
    symbols = [part.astype(np.int32) for part in shard.symbols(index)]
    with damaged_symbols(about.width, about.height):
        payload = codec.recode(symbols, *size)
    header = container.Header(shard.codec, shard.model_hash, *size, grey=bool(flags & Flags.GREY))
    parts = container.read(beside).parts[1:] if beside else ()
    return container.write(header, [container.Part("image", payload), *parts])
