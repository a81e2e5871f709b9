"""What a picture file holds beside its pixels: a model that all formats share."""

from __future__ import annotations

from dataclasses import dataclass, field

from quantal.media._colour import Colour

__all__ = ["Beside", "Density"]

#: Names of dropped things that one warning lists.
_LISTED = 12
#: Densities that can be written to every format.
_LEAST_DENSITY, _GREATEST_DENSITY = 0.5, 65535


@dataclass(frozen=True)
class Density:
    """Pixels per inch, or only the ratio of both axes.

    Attributes:
        x: Pixels per unit along the width.
        y: Pixels per unit along the height.
        inch: Whether the unit is an inch; if not, only the ratio of x and y means something.
    """

    x: float
    y: float
    inch: bool = True

    @property
    def says_something(self) -> bool:
        """Whether it is possible, and more than square pixels of unknown size."""
        possible = all(_LEAST_DENSITY <= value <= _GREATEST_DENSITY for value in (self.x, self.y))
        return possible and (self.inch or self.x != self.y)

    def differs(self, other: Density) -> bool:
        """Whether two densities in pixels per inch are more than a hundredth apart."""
        pairs = ((self.x, other.x), (self.y, other.y))
        return self.inch and other.inch and any(abs(a - b) > 0.01 * b for a, b in pairs)


@dataclass
class Beside:
    """What a file holds beside its pixels.

    A survey of a file lists everything: what is carried goes to the other attributes, everything
    else is named in `dropped`.

    Attributes:
        icc: ICC profile; None if only Pillow looks for it.
        exif: EXIF from its TIFF header on; None as above.
        xmp: XMP packet; None as above.
        density: Pixels per inch.
        colour: Colour space stated by other means than an ICC profile.
        overrides_icc: Whether `colour` takes precedence over the ICC profile.
        properties: Values with a name in XMP, such as ("dc:title", "Cup"); repeated for lists.
        texts: Other texts with their keywords.
        bits: Bits per sample where the decoder reports fewer.
        companions_lost: Whether a video or pictures that XMP announces were dropped.
        dropped: What is not carried, a noun phrase each.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    density: Density | None = None
    colour: Colour | None = None
    overrides_icc: bool = False
    properties: list[tuple[str, str]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    bits: int = 8
    companions_lost: bool = False
    dropped: list[str] = field(default_factory=list)

    def drop(self, phrase: str) -> None:
        """Name something that is not carried."""
        self.dropped.append(phrase)

    def drop_bytes_behind(self, trailing: bytes | memoryview) -> None:
        """Name bytes behind the picture, such as the video of a motion photo; padding is none."""
        beginning = bytes(trailing[:4096])
        if len(trailing) <= len(beginning) and not beginning.strip(b"\0\r\n"):
            return
        self.companions_lost = True
        what = "the video of " if b"ftyp" in beginning[:64] else ""
        self.drop(f"{what}{len(trailing):,} bytes behind the picture")

    def warnings(self) -> list[str]:
        """Return a sentence that names what was dropped; none if nothing was."""
        names = list(dict.fromkeys(self.dropped))
        if not names:
            return []
        rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return [f"not carried: {', '.join(names[:_LISTED])}{rest}"]
