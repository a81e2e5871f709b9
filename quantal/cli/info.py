"""`quantal info`: prints the headers of .qtl and .qcube files; loads no model."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, TypeGuard

from quantal.cli._cubes import cube_document, holds_cube, print_cube
from quantal.cli._features import (
    feature_document,
    holds_features,
    print_features,
    source_features,
)
from quantal.cli._inputs import expand
from quantal.cli._options import Inputs, JsonFlag, Recursive
from quantal.cli._report import print_json
from quantal.cli._sources import Source, is_folder
from quantal.cli._streams import lost_output, say
from quantal.names import printable

if TYPE_CHECKING:
    from quantal.container import ClipInfo, Header, Info

__all__ = ["info"]

#: A bit of the first byte of a `lossless` image part: set if there is a layer of exact colours.
_HAS_LAYER = 32


def info(inputs: Inputs, recursive: Recursive = False, as_json: JsonFlag = False) -> int:
    """Show the header, the sizes of all parts and the bits per pixel of .qtl and .qcube files.

    With --json, one file gives an object (null if it can't be read); several files or a folder give
    a list.
    """
    given = expand(inputs, {".qtl", ".qcube"}, recursive)
    failures = list(given.failures)
    found: list[dict[str, object]] = []
    for source in given.sources:
        if lost_output() is not None:  # nobody would see the rest
            break
        try:
            if holds_cube(source):
                from quantal import cubes

                cube = cubes.probe(source.content())
                entry = cube_document(cube) | {"file": source.name} if as_json else {}
                if not as_json:
                    print_cube(source.name, cube)
            elif holds_features(source):
                features = source_features(source)
                entry = feature_document(features) | {"file": source.name} if as_json else {}
                if not as_json:
                    print_features(source.name, features)
            else:
                about = _probe(source)
                entry = _document(source, about) if as_json else {}
                if not as_json:
                    _print(source, about)
        except Exception as error:
            failures.append(source.failure(error))
            continue
        found.append(entry)
    if as_json:
        single = len(inputs) == 1 and not is_folder(inputs[0])
        print_json((found[0] if found else None) if single else found)
    for failure in failures:
        say(failure.line, err=True)
    return 1 if failures else 0


def _probe(source: Source) -> Info | ClipInfo:
    from quantal import container

    start = source.bytes(container.HEADER_LIMIT)
    if container.media_of(start) == "picture":
        return container.probe(start, source.size())
    content = source.content()
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        return container.probe_clip(file)


def _document(source: Source, info: Info | ClipInfo) -> dict[str, object]:
    header = info.header
    document = {
        "format_version": header.version,
        "codec": header.codec,
        "model_hash": header.model_hash.hex(),
        "media": header.media,
        "width": header.width,
        "height": header.height,
        "frames": getattr(info, "frames", 1),
        "bytes": info.bytes,
        "bpp": info.bpp,
        "quality": info.quality,
        "parts": [
            {"name": name, "offset": offset, "bytes": size} for name, offset, size in _parts(info)
        ],
        "file": source.name,
        "grey": header.grey,
        "header_bytes": info.header_bytes,
    }
    share = _synthetic_share(source, info)
    if share is not None:
        document["synthetic_share"] = share
    return document | (_of_clip(info) if _is_clip(info) else {})


def _synthetic_share(source: Source, info: Info | ClipInfo) -> float | None:
    """Return the share of synthetic tiles in a picture; None if none can be read."""
    if _is_clip(info):
        return None
    header, (_, offset, size) = info.header, _parts(info)[0]
    # A look at the first byte spares most files what takes long to import: hybrids begin with a
    # zero, and pictures without loss say in a bit that they have a layer.
    first = source.bytes(offset + 1)[offset:]
    if not first or (first[0] and not first[0] & _HAS_LAYER):
        return None
    from quantal.codecs.contract import Tiled
    from quantal.codecs.registry import codec_class
    from quantal.errors import QuantalError

    try:
        codec = codec_class(header.codec)
        if not issubclass(codec, Tiled):
            return None
        payload = source.bytes(offset + size)[offset:]
        tiles = codec.synthetic_tiles(payload, header.width, header.height)
    except QuantalError:
        return None
    return None if tiles is None else float(tiles.mean())


def _is_clip(info: Info | ClipInfo) -> TypeGuard[ClipInfo]:
    return info.header.media == "video"


def _parts(info: Info | ClipInfo) -> list[tuple[str, int, int]]:
    """Return name, offset and bytes of each part of a picture, or of each group of a clip."""
    if not _is_clip(info):
        return [(part.name, part.offset, part.bytes) for part in info.parts]  # type: ignore[union-attr]
    groups = [("group", group.offset, group.bytes or 0) for group in info.groups]
    return [*groups, *([] if info.index is None else [("index", *info.index)])]


def _of_clip(info: ClipInfo) -> dict[str, object]:
    return {
        "duration": float(info.duration),
        "frame_rate": None if info.header.frame_rate is None else float(info.header.frame_rate),
        "kbps": info.kbps,
        "cut": info.index is None,
        "groups": [
            {"frame": group.frame, "time": float(group.time * info.header.time_base)}
            | {"frames": group.count, "bytes": group.bytes}
            for group in info.groups
        ],
        "tracks": [
            {"kind": each.track.kind, "codec": each.track.codec, "packets": each.packets}
            | {"bytes": each.bytes, "metadata": dict(each.track.metadata)}
            for each in info.tracks
        ],
        "chapters": [
            {"start": float(each.start), "end": float(each.end), "metadata": dict(each.metadata)}
            for each in info.about.chapters
        ],
        "metadata": dict(info.about.metadata),
    }


def _print(source: Source, info: Info | ClipInfo) -> None:
    header = info.header
    say(
        f"{printable(source.name)}: {header.width} x {header.height} pixels, quality {info.quality}"
    )
    if _is_clip(info):
        _print_clip(info)
        return
    say(f"  {info.bytes:,} bytes, {info.bpp:.4f} bits per pixel")
    _print_fields(header)
    say(f"  {'header':<13} {info.header_bytes} bytes")
    for name, offset, size in _parts(info):
        say(f"  {name:<13} {size:,} bytes at {offset:,}")
    share = _synthetic_share(source, info)
    if share is not None:
        say(f"  {'synthetic':<13} {share:.0%} of the tiles are in exact colours")


def _print_fields(header: Header) -> None:
    from quantal import container

    for field in container.describe(header):
        value = field.value.hex() if isinstance(field.value, bytes) else field.value
        say(f"  {field.name:<13} {str(value).lower()}")


def _print_clip(info: ClipInfo) -> None:
    rate = (
        "" if info.header.frame_rate is None else f", {float(info.header.frame_rate):.6g} a second"
    )
    say(f"  {info.frames} frames{rate}, {float(info.duration):.3f} s")
    say(
        f"  {info.bytes:,} bytes; pictures {info.picture_bytes:,} bytes, "
        f"{info.kbps:,.1f} kbit/s, {info.bpp:.4f} bits per pixel"
    )
    if info.index is None:
        say("  the file was cut: its index is missing; complete groups are listed")
    _print_fields(info.header)
    for each in info.tracks:
        language = each.track.metadata.get("language", "")
        size = f"{each.packets:,} packets, {each.bytes:,} bytes"
        say(f"  {each.track.kind:<13} {printable(each.track.codec)} {printable(language)}  {size}")
    for chapter in info.about.chapters:
        title = printable(chapter.metadata.get("title", ""))
        say(f"  {'chapter':<13} {float(chapter.start):.3f} to {float(chapter.end):.3f} s  {title}")
    for name, value in info.about.metadata.items():
        say(f"  {printable(name):<13} {printable(value)}")
    for group in info.groups:
        at = float(group.time * info.header.time_base)
        say(
            f"  {'group':<13} {group.bytes or 0:,} bytes at {group.offset:,}: "
            f"{group.count} frames from {at:.3f} s"
        )
