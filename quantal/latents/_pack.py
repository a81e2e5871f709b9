"""Folders of .qtl files to shards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from quantal import container
from quantal.arguments import choice, flag, whole
from quantal.arguments import path as path_of
from quantal.codecs.contract import Codec, Recoding
from quantal.errors import BitstreamError, MediaError, OutputError, QuantalError
from quantal.files.matching import codec_for, coded_part
from quantal.latents._failures import Failed, Progress, named, read_file
from quantal.latents._format import SUFFIX, Flags
from quantal.latents._runs import smallest
from quantal.latents._writer import Parsed, ShardWriter
from quantal.names import shown
from quantal.outputs import create_folder, output_errors

__all__ = ["Found", "Packed", "find_files", "pack", "parse_file", "write_shards"]

SHARD_BYTES = 1 << 28


@dataclass(frozen=True)
class Packed:
    """What pack() wrote.

    Attributes:
        pictures: number of pictures packed.
        shards: paths of the shards.
        bytes_in: bytes of the files.
        bytes_out: bytes of the shards.
        failures: files that are left out.
    """

    pictures: int
    shards: tuple[Path, ...]
    bytes_in: int
    bytes_out: int
    failures: tuple[Failed, ...] = ()


@dataclass(frozen=True)
class Found:
    """A file that was parsed.

    Attributes:
        picture: what a shard keeps of it.
        codec: name of its codec.
        model_hash: hash of that codec's model, 4 bytes.
        size: bytes of the file.
    """

    picture: Parsed
    codec: str
    model_hash: bytes
    size: int


def find_files(folder: Path) -> list[tuple[str, Path]]:
    """Return names and paths of the .qtl files of a whole tree, sorted; hidden ones are left.

    Links to folders are followed; every folder counts once.

    Raises:
        MediaError: It is no folder that can be listed, or has none.
    """

    def refuse(error: OSError) -> None:
        raise MediaError(f"{shown(str(error.filename))} can't be listed: {error.strerror}")

    if not folder.is_dir():
        raise MediaError(f"{shown(folder)} is not a folder; name one that holds .qtl files")
    found = []
    seen = set()  # where links lead in a circle
    for here, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        about = os.stat(here)
        if (about.st_dev, about.st_ino) in seen:
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.lower().endswith(".qtl") and not name.startswith("."):
                path = Path(here, name)
                found.append((path.relative_to(folder).as_posix(), path))
    if not found:
        raise MediaError(f"{shown(folder)} holds no .qtl files; name another folder")
    return sorted(found)


def parse_file(item: tuple[str, Path], codec: Codec | None = None) -> Found | Failed:
    """Parse a file for a shard; see find_files(). Errors are returned, so that they can be sent."""
    name, path = item
    try:
        return _parse(name, read_file(path), codec)
    except QuantalError as error:
        return Failed(name, error)


def _parse(name: str, data: bytes, codec: Codec | None) -> Found:
    file = container.read(data)
    codec = codec_for(file, "cpu", codec)
    payload, width, height, rate = coded_part(file)
    (symbols,) = codec.parse_many([payload], width, height, rate)
    if isinstance(symbols, BitstreamError):
        raise symbols
    header, others = file.header, [part for part in file.parts if part.kind != "image"]
    flags = Flags.GREY if header.grey else Flags(0)
    beside = b""
    if others:
        nothing = container.Header(header.codec, header.model_hash, 1, 1, 0)
        beside = container.write(nothing, [container.Part("image", b""), *others])
    again = codec.recode(symbols, width, height, rate) if isinstance(codec, Recoding) else None
    if again is None or container.write(header, [container.Part("image", again), *others]) != data:
        flags, beside = flags | Flags.VERBATIM, data
    arrays = [smallest(part) for part in symbols]
    picture = Parsed(name, width, height, rate, arrays, beside, flags)
    return Found(picture, header.codec, header.model_hash, len(data))


def pack(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    compact: bool = True,
    on_error: str = "raise",
    force: bool = False,
    shard_bytes: int = SHARD_BYTES,
    codec: Codec | None = None,
    progress: Progress | None = None,
) -> Packed:
    """Write the symbols of a folder's .qtl files to shards, from which unpack() makes the files.

    Files of each codec have shards of their own. These appear together at the end, or not at all.

    Args:
        folder: folder of the files, whose whole tree is taken; names that start with a dot are
            left.
        out: folder of the shards, which is made if it is missing.
        compact: whether shards shall be small, else quick to read; see docs/how-to/shards.md.
        on_error: "raise" the first error, which names its file, or "skip" the file.
        force: whether to replace shards that are there.
        shard_bytes: size from which on the next shard is begun.
        codec: default: the ones that the files name, with the weights that ship.
        progress: called after each file.

    Raises:
        BitstreamError, ModelError: A file can't be read; with `on_error="raise"`.
        MediaError: The folder holds no .qtl files.
        OutputError: The shards can't be written, or there are some.
    """
    skip = choice("on_error", on_error, ("raise", "skip")) == "skip"
    files = find_files(Path(path_of("folder", folder)))

    def results() -> Iterator[Found | Failed]:
        for done, item in enumerate(files, 1):
            yield parse_file(item, codec)
            if progress is not None:
                progress(done, len(files))

    return write_shards(
        results(),
        Path(path_of("folder", out)),
        compact=flag("compact", compact),
        skip=skip,
        force=flag("force", force),
        shard_bytes=whole("shard_bytes", shard_bytes, 1),
    )


def write_shards(
    results: Iterable[Found | Failed],
    out: Path,
    *,
    compact: bool = True,
    skip: bool = False,
    force: bool = False,
    shard_bytes: int = SHARD_BYTES,
    failed: Callable[[Failed], None] | None = None,
) -> Packed:
    """Write parsed files to shards; see pack().

    Args:
        results: what parse_file() returned.
        out: folder of the shards.
        compact: see pack().
        skip: whether files with errors are left out.
        force: see pack().
        shard_bytes: see pack().
        failed: called for each file that is left out.
    """
    existed = out.exists()
    create_folder(out)
    there = {path.name for path in out.iterdir() if path.suffix == SUFFIX}
    if there and not force:
        raise OutputError(
            f"{shown(out)} holds shards already; name another folder, or replace them", code="force"
        )
    with output_errors(out):
        partial = Path(tempfile.mkdtemp(prefix=".pack-", suffix=".part", dir=out))
    failures: list[Failed] = []
    count = read = 0
    names: list[str] = []
    written: list[Path] = []
    try:
        with ExitStack() as stack:
            open_now: dict[tuple[str, bytes], tuple[ShardWriter, ExitStack]] = {}
            numbers: dict[tuple[str, bytes], int] = {}
            for result in results:
                if isinstance(result, Failed):
                    if not skip:
                        raise named(result.name, result.error) from result.error
                    failures.append(result)
                    if failed is not None:
                        failed(result)
                    continue
                key = (result.codec, result.model_hash)
                if key in open_now and open_now[key][0].bytes >= shard_bytes:
                    open_now.pop(key)[1].close()
                if key not in open_now:
                    number = numbers[key] = numbers.get(key, -1) + 1
                    name = f"{key[0]}-{key[1].hex()}-{number:05}{SUFFIX}"
                    own = stack.enter_context(ExitStack())
                    writer = ShardWriter(partial / name, *key, compact, out / name)
                    open_now[key] = own.enter_context(writer), own
                    names.append(name)
                open_now[key][0].add(result.picture)
                count, read = count + 1, read + result.size
        with output_errors(out):
            for name in names:
                os.replace(partial / name, out / name)
                written.append(out / name)
            for name in there - set(names) if names else ():
                (out / name).unlink()
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not written and not existed:
            _remove_empty(out)
    size = sum(path.stat().st_size for path in written)
    return Packed(count, tuple(written), read, size, tuple(failures))


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
