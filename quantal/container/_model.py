"""What a .qtl file consists of, as frozen dataclasses.

Nothing is read, written or checked here; `_file` does that.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantal.container._rate import rate_to_quality

__all__ = ["File", "Header", "Info", "Part", "PartInfo"]


@dataclass(frozen=True)
class Header:
    """What must be known before the first coded bit is read. `width` and `height` in pixels."""

    codec: str
    model_hash: bytes
    width: int
    height: int
    rate: int
    grey: bool = False
    media: str = "picture"
    version: int = 1


@dataclass(frozen=True)
class Part:
    """A run of bytes and the kind that says what they are, one of `PART_KINDS`."""

    kind: str
    data: bytes


@dataclass(frozen=True)
class PartInfo:
    """Where a part lies: its first byte, and its length without the checksum behind it."""

    name: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Info:
    """What the header and the directory of a file say, without its parts."""

    header: Header
    header_bytes: int
    parts: tuple[PartInfo, ...]
    bytes: int

    @property
    def bpp(self) -> float:
        """Bits per pixel of the whole file, header and metadata included."""
        return 8 * self.bytes / (self.header.width * self.header.height)

    @property
    def quality(self) -> int:
        """The quality of 1..100 nearest to the stored rate."""
        return rate_to_quality(self.header.rate)


@dataclass(frozen=True)
class File:
    """A file whose structure and checksums were found whole.

    cut: it ends too early, which `read` accepts if told so; missing: bytes that its image part
    lacks at the end, and whatever of it is there is unchecked. damaged: names of the parts whose
    checksum is wrong or was cut off, which `read` accepts if told so; of them only the image part
    is here.
    """

    header: Header
    parts: tuple[Part, ...]
    missing: int = 0
    cut: bool = False
    damaged: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every byte is here and as it was written."""
        return not (self.cut or self.damaged)

    def part(self, kind: str) -> bytes | None:
        """The bytes of the part of this kind; None if the file has no such part."""
        return next((part.data for part in self.parts if part.kind == kind), None)
