"""The structure of .qtl files, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from quantal.arguments import flag, typed, whole
from quantal.container._rate import rate_to_quality
from quantal.errors import ArgumentError

__all__ = ["File", "Header", "Info", "Part", "PartInfo"]


@dataclass(frozen=True)
class Header:
    """The header of a file.

    Attributes:
        codec: Name of the codec of the image part.
        model_hash: First 4 bytes of a SHA-256 over the tables and the integer network of the codec.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        rate: Stored rate, 0..252.
        grey: Whether the picture is grey.
        media: Kind of media; "picture".
        version: Version of the format.
    """

    codec: str
    model_hash: bytes
    width: int
    height: int
    rate: int
    grey: bool = False
    media: str = "picture"
    version: int = 1

    def __post_init__(self) -> None:
        for name in ("width", "height", "rate", "version"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        object.__setattr__(self, "grey", flag("grey", self.grey))
        for name in ("codec", "media"):
            typed(name, getattr(self, name), str)
        typed("model_hash", self.model_hash, bytes)


@dataclass(frozen=True)
class Part:
    """A part of a file.

    Attributes:
        kind: One of `PART_KINDS`.
        data: Its bytes.
    """

    kind: str
    data: bytes

    def __post_init__(self) -> None:
        typed("kind", self.kind, str)
        data: object = self.data
        if isinstance(data, bytes):
            return
        try:
            object.__setattr__(self, "data", memoryview(data).tobytes())  # type: ignore[arg-type]
        except TypeError:
            raise ArgumentError(
                f"data of a part must be bytes, not {type(data).__name__}"
            ) from None


@dataclass(frozen=True)
class PartInfo:
    """The position of a part in a file.

    Attributes:
        name: Kind of the part, one of `PART_KINDS`.
        offset: Position of its first byte.
        bytes: Its length in bytes, without checksum.
    """

    name: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Info:
    """The header and directory of a file.

    Attributes:
        header: The header.
        header_bytes: Length of header and directory in bytes.
        parts: Positions of the parts.
        bytes: Size of the file.
    """

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
    """A file that was read.

    Attributes:
        header: The header.
        parts: The parts.
        missing: Number of bytes that are missing at the end of the image part.
        cut: Whether the file is truncated; only with `read(cut=True)`.
        damaged: Kinds of parts whose checksum is wrong or missing; only with `read(cut=True)` or
            `read(damaged=True)`. Of these, `parts` has the image part only.
    """

    header: Header
    parts: tuple[Part, ...]
    missing: int = 0
    cut: bool = False
    damaged: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether the file is complete and undamaged."""
        return not (self.cut or self.damaged)

    def part(self, kind: str) -> bytes | None:
        """Return the bytes of a part by kind; None if the file has no such part."""
        return next((part.data for part in self.parts if part.kind == kind), None)
