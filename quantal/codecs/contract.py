"""The interface of all codecs: pixels to the bytes of an image part, and back.

A codec handles neither files, metadata nor rate targets (quantal.files does), nor training
(quantal.train). What only some codecs can do is a protocol each: Searching, Exact, Progressive,
Recoding, Resilient, Concealing, UserWeights. docs/tutorials/own-codec.md shows how to add a codec.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from quantal import container
from quantal.errors import ArgumentError, BitstreamError, ModelError
from quantal.sources import Source

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = [
    "CONTENTS",
    "Codec",
    "CodecBase",
    "Concealed",
    "Concealing",
    "Encoding",
    "Exact",
    "Latents",
    "Mixed",
    "Pixels",
    "Progress",
    "Progressive",
    "Recoding",
    "Resilient",
    "Samples",
    "Searching",
    "StackedLatents",
    "Stacking",
    "Synthetic",
    "Tiled",
    "UnroundedPixels",
    "UserWeights",
    "no_progress",
]

USUAL_QUALITY = 60

#: What a picture may be coded as.
CONTENTS = ("auto", "photo", "screen")

Found = TypeVar("Found")

#: uint8 [H, W, 3], RGB.
Pixels = npt.NDArray[np.uint8]

#: float32 [H, W, 3], RGB, 0..255.
UnroundedPixels = npt.NDArray[np.float32]

#: uint8 or uint16 [H, W, C], C in 1..4.
Samples = npt.NDArray[Any]

#: Symbols, int32.
Symbols = npt.NDArray[np.int32]
#: Latents, float32.
Floats = npt.NDArray[np.float32]

#: Progress callback; receives a non-decreasing fraction in 0..1.
Progress = Callable[[float], None]


def no_progress(fraction: float) -> None:
    """Ignore progress."""


@dataclass(frozen=True, eq=False)
class Synthetic:
    """Tiles of a picture in exact colours.

    Attributes:
        tiles: which of the tiles of 16x16 pixels are such, bool [ceil(H / 16), ceil(W / 16)].
        pixels: uint8 [H, W, 3], 0 outside these tiles.
    """

    tiles: npt.NDArray[np.bool_]
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Latents:
    """The content of a file before any network has drawn it.

    Two Latents are equal only if they are the same object; compare their arrays instead.
    `torch.from_numpy` makes tensors of the arrays, which share their memory.

    Attributes:
        codec: name of the codec.
        model_hash: hash of the codec's model, 4 bytes.
        width: picture width, in pixels.
        height: picture height, in pixels.
        rate: 0..252.
        stride: pixels per latent along each axis.
        symbols: every coded symbol in coding order, int32 arrays, equal on all machines.
        y_hat: latents [M, h, w], float32, the input of the synthesis.
        z_hat: dequantised side latents [N, h', w'], float32.
        synthetic: tiles that latents don't describe, of a hybrid picture; else None. The latents
            are then those of a picture with these tiles filled from around them.
    """

    codec: str
    model_hash: bytes
    width: int
    height: int
    rate: int
    stride: int
    symbols: list[Symbols]
    y_hat: Floats
    z_hat: Floats
    synthetic: Synthetic | None = None

    def to_safetensors(self) -> bytes:
        """Return the bytes of a safetensors file: tensors `y_hat`, `z_hat`, `symbols.0`, ...

        A hybrid picture has `synthetic.tiles` and `synthetic.pixels`, uint8, too. The other
        attributes are its metadata, `model_hash` in hexadecimal digits.
        """
        arrays: dict[str, npt.NDArray[Any]] = {"y_hat": self.y_hat, "z_hat": self.z_hat}
        arrays |= {f"symbols.{index}": part for index, part in enumerate(self.symbols)}
        if self.synthetic is not None:
            arrays["synthetic.tiles"] = self.synthetic.tiles.astype(np.uint8)
            arrays["synthetic.pixels"] = self.synthetic.pixels
        names = ("codec", "width", "height", "rate", "stride")
        metadata = {name: str(getattr(self, name)) for name in names}
        metadata["model_hash"] = self.model_hash.hex()
        # safetensors takes the bytes of arrays as they lie in memory.
        return save({name: np.ascontiguousarray(t) for name, t in arrays.items()}, metadata)


@dataclass(frozen=True, eq=False)
class StackedLatents:
    """The content of several files of equal size and rate, in stacked arrays.

    Attributes:
        codec: name of the codec.
        model_hash: hash of the codec's model, 4 bytes.
        width: picture width, in pixels.
        height: picture height, in pixels.
        rate: 0..252.
        stride: pixels per latent along each axis.
        symbols: every coded symbol in coding order, int32 arrays [B, ...].
        y_hat: latents [B, M, h, w], float32; None if they were not asked for.
        z_hat: dequantised side latents [B, N, h', w'], float32; likewise.
        places: the place of each of the B among the files that were given.
        errors: what is wrong with the others, by place.
    """

    codec: str
    model_hash: bytes
    width: int
    height: int
    rate: int
    stride: int
    symbols: list[Symbols]
    y_hat: Floats | None
    z_hat: Floats | None
    places: tuple[int, ...]
    errors: dict[int, BitstreamError]

    def __len__(self) -> int:
        return len(self.places)

    def latents(self, number: int) -> Latents:
        """Return the latents of one picture; they share the memory of all.

        Args:
            number: 0..B - 1.

        Raises:
            ArgumentError: If latents were not asked for.
        """
        if self.y_hat is None or self.z_hat is None:
            raise ArgumentError("these pictures were read without latents; read them with latents")
        return Latents(
            codec=self.codec,
            model_hash=self.model_hash,
            width=self.width,
            height=self.height,
            rate=self.rate,
            stride=self.stride,
            symbols=[part[number] for part in self.symbols],
            y_hat=self.y_hat[number],
            z_hat=self.z_hat[number],
        )


class Encoding(Protocol):
    """One picture being coded; what is computed once serves every rate that is tried."""

    def at(self, rate: int) -> bytes:
        """Return the image part of a file at a rate 0..252."""
        ...


class CodecBase(ABC):
    """What codecs of pictures and of video have in common.

    A rate is 0..252: quarters of a position 0..63 on the rate axis.

    Args:
        name: is written to files.
        device: where its networks run.
        model_hash: the first 4 bytes of a SHA-256 over everything that decides how bits are read.

    Attributes:
        media: what it codes, "picture" or "video".
        rates: the rates that are tried for a target, smallest files first; a codec of a single rate
            has just that.
        warnings: for users who code or decode with it, a sentence each.
    """

    media: ClassVar[str]
    rates: Sequence[int] = container.RATES
    warnings: tuple[str, ...] = ()

    def __init__(self, name: str, device: str | torch.device, model_hash: bytes) -> None:
        self.name, self.device, self.model_hash = name, device, model_hash

    def rate_of(self, quality: int | None) -> int:
        """Return the rate of a quality 1..100; of None the default one.

        Raises:
            ArgumentError: If the codec has no such rate.
        """
        if len(self.rates) == 1:
            (rate,) = self.rates
            only = container.rate_to_quality(rate)
            if quality is not None and container.quality_to_rate(quality) != rate:
                raise ArgumentError(
                    f"codec {self.name!r} has a single rate: quality {only}, not {quality}"
                )
            return rate
        return container.quality_to_rate(USUAL_QUALITY if quality is None else quality)


class Codec(CodecBase):
    """A codec of pictures with its weights loaded; see CodecBase.

    Attributes:
        draws: whether pictures can be drawn of its latents; a codec for machines may only have
            these.
    """

    media = "picture"
    draws: bool = True

    @abstractmethod
    def encoding(self, pixels: Pixels) -> Encoding:
        """Begin to code a picture.

        Args:
            pixels: uint8 [H, W, 3].
        """

    @abstractmethod
    def parse(self, payload: bytes, width: int, height: int, rate: int) -> list[Symbols]:
        """Read every symbol of an image part; nothing here depends on floating point.

        Args:
            payload: the image part.
            width: picture width.
            height: picture height.
            rate: 0..252.

        Returns:
            The symbols, as in Latents.

        Raises:
            BitstreamError: If the bytes can't be those of such a picture; before memory is
                allocated that they don't justify.
        """

    @abstractmethod
    def dequantise(self, symbols: list[Symbols], width: int, height: int, rate: int) -> Latents:
        """Return the latents of parsed symbols.

        Args:
            symbols: as parse() returns them.
            width: picture width.
            height: picture height.
            rate: 0..252.
        """

    def read(self, payload: bytes, width: int, height: int, rate: int) -> Latents:
        """Parse an image part and dequantise its symbols; for the arguments see parse()."""
        return self.dequantise(self.parse(payload, width, height, rate), width, height, rate)

    def parse_many(
        self, payloads: Sequence[bytes], width: int, height: int, rate: int
    ) -> list[list[Symbols] | BitstreamError]:
        """Read every symbol of several image parts of equal size and rate.

        A codec may do this faster than one by one; symbols are the same. Arrays may share memory.

        Args:
            payloads: the image parts.
            width: width of every picture.
            height: height of every picture.
            rate: 0..252, of every picture.

        Returns:
            For each the symbols, as parse() returns them, or the error that parse() raises.
        """
        return [_tried(self.parse, payload, width, height, rate) for payload in payloads]

    def read_many(
        self, payloads: Sequence[bytes], width: int, height: int, rate: int
    ) -> list[Latents | BitstreamError]:
        """Parse image parts and dequantise their symbols; for the arguments see parse_many().

        `y_hat` and `z_hat` may differ in their last bits from those of read().

        Returns:
            For each its latents, or the error that read() raises.
        """
        return [_tried(self.read, payload, width, height, rate) for payload in payloads]

    def dequantise_many(
        self, symbols: list[Symbols], width: int, height: int, rate: int
    ) -> list[Latents]:
        """Return the latents of the parsed symbols of pictures of equal size and rate.

        A codec may do this faster than one by one; latents may then differ in their last bits.

        Args:
            symbols: as parse() returns them, with a leading axis for the pictures.
            width: width of every picture.
            height: height of every picture.
            rate: 0..252, of every picture.
        """
        return [
            self.dequantise(list(own), width, height, rate) for own in zip(*symbols, strict=True)
        ]

    @abstractmethod
    def synthesise(self, latents: Latents) -> Pixels:
        """Draw the picture of latents, uint8 [H, W, 3]."""

    def synthesise_unrounded(self, latents: Latents) -> UnroundedPixels:
        """Draw a picture without rounding it to 8 bits, float32 [H, W, 3] in 0..255.

        Raises:
            ModelError: If the codec can't.
        """
        raise ModelError(f"codec {self.name!r} can't draw without rounding to 8 bits")

    # -- whole files: the functions of quantal as methods -----------------------------------------

    def compress(
        self,
        image: Image.Image | Pixels | torch.Tensor | Source,
        *,
        quality: int | None = None,
        bpp: float | None = None,
        psnr: float | None = None,
        max_bytes: int | None = None,
        effort: int = 0,
        resilient: bool = False,
        strip: str | Iterable[str] = (),
        content: str = "auto",
    ) -> bytes:
        """Compress a picture to the bytes of a .qtl file; see quantal.compress()."""
        import quantal

        return quantal.compress(
            image,
            self,
            quality=quality,
            bpp=bpp,
            psnr=psnr,
            max_bytes=max_bytes,
            effort=effort,
            resilient=resilient,
            strip=strip,
            content=content,
        )

    def decompress(
        self,
        data: Source,
        *,
        max_parts: int | None = None,
        conceal: bool = False,
    ) -> Image.Image:
        """Return the picture in a .qtl file that this codec wrote; see quantal.decompress()."""
        import quantal

        return quantal.decompress(data, codec=self, max_parts=max_parts, conceal=conceal)

    def latents(self, data: Source) -> Latents:
        """Return the latents of a .qtl file that this codec wrote; see latents.read()."""
        import quantal

        return quantal.latents.read(data, codec=self)


def _tried(
    read: Callable[[bytes, int, int, int], Found],
    payload: bytes,
    width: int,
    height: int,
    rate: int,
) -> Found | BitstreamError:
    try:
        return read(payload, width, height, rate)
    except BitstreamError as error:
        return error


@runtime_checkable
class Stacking(Protocol):
    """A codec that reads several files of equal size and rate at once, into stacked arrays."""

    def read_stacked(
        self,
        payloads: Sequence[bytes],
        width: int,
        height: int,
        rate: int,
        *,
        dequantised: bool = True,
    ) -> StackedLatents:
        """Return the latents of several image parts; those that are damaged are left out.

        Args:
            payloads: the image parts.
            width: width of every picture.
            height: height of every picture.
            rate: 0..252, of every picture.
            dequantised: whether to compute `y_hat` and `z_hat`, by floating-point networks; without
                them, symbols alone.
        """
        ...


@runtime_checkable
class Searching(Protocol):
    """A codec that can search for symbols that code better.

    Attributes:
        efforts: the levels of search; 0 is plain coding.
    """

    efforts: Sequence[int]

    def searching(self, encoding: Encoding, effort: int, progress: Progress) -> Encoding:
        """Return an encoding that searches at every rate.

        Args:
            encoding: of the picture, from the codec's encoding().
            effort: one of `efforts`, not 0.
            progress: called during each search.
        """
        ...


@runtime_checkable
class Exact(Protocol):
    """A codec that keeps every sample of a picture: grey, colour and alpha, of 8 to 16 bits."""

    def exact_encoding(self, samples: Samples, depth: int | None = None) -> Encoding:
        """Begin to code samples.

        Args:
            samples: uint8 or uint16 [H, W, C]: grey (C = 1), grey and alpha (2), RGB (3), or RGB
                and alpha (4).
            depth: bits that uint16 samples have, 9..16; default 16.
        """
        ...

    def samples(self, latents: Latents) -> Samples:
        """Return the samples of a picture, uint8, or uint16 if they have more bits [H, W, C]."""
        ...

    def depth(self, latents: Latents) -> int:
        """Return how many bits the samples of a picture have, 8..16."""
        ...


@runtime_checkable
class Mixed(Protocol):
    """A codec that can code parts of a picture as those of screens: text, flat areas, repeats."""

    def mixed_encoding(self, pixels: Pixels, content: str) -> Encoding:
        """Begin to code a picture.

        Args:
            pixels: uint8 [H, W, 3].
            content: one of CONTENTS: "photo" codes all of it as encoding() does, "screen" looks
                for such parts, and "auto" looks for them unless it plainly has none.
        """
        ...


@runtime_checkable
class Tiled(Protocol):
    """A codec whose files may hold synthetic tiles, in exact colours."""

    @staticmethod
    def synthetic_tiles(payload: bytes, width: int, height: int) -> npt.NDArray[np.bool_] | None:
        """Return which tiles are synthetic, bool [h, w]; None if the image part has no layer.

        It takes no weights, and reads and checks nothing else.

        Args:
            payload: the image part.
            width: picture width.
            height: picture height.

        Raises:
            BitstreamError: If no encoder writes such tiles.
        """
        ...


@runtime_checkable
class Progressive(Protocol):
    """A codec whose streams have parts: a prefix of a stream is a coarser picture."""

    def read_prefix(
        self, payload: bytes, missing: int, width: int, height: int, rate: int, parts: int
    ) -> Latents:
        """Return the latents of the first parts of a stream.

        Args:
            payload: the image part, or its first bytes.
            missing: bytes that it lacks at its end.
            width: picture width.
            height: picture height.
            rate: 0..252.
            parts: how many, from 1 on.

        Raises:
            TruncatedError: If fewer parts are there.
        """
        ...


@runtime_checkable
class Recoding(Protocol):
    """A codec that writes parsed symbols again, so that they can be kept in place of their bytes.

    Callers compare the result with what was parsed: a codec may have several streams of the same
    symbols and writes one of them.
    """

    def recode(self, symbols: list[Symbols], width: int, height: int, rate: int) -> bytes:
        """Return the image part of symbols; nothing here depends on floating point.

        Args:
            symbols: as parse() returns them.
            width: picture width.
            height: picture height.
            rate: 0..252.
        """
        ...


@runtime_checkable
class Resilient(Protocol):
    """A codec with damage-resilient streams: damage to a part leaves the others readable."""

    def resilient_encoding(self, pixels: Pixels) -> Encoding:
        """Begin to code a picture so that damage can be concealed.

        Args:
            pixels: uint8 [H, W, 3].
        """
        ...


@dataclass(frozen=True)
class Concealed:
    """A picture of which a part was made up.

    Attributes:
        latents: of the picture.
        warning: a sentence that says which part was made up.
    """

    latents: Latents
    warning: str


@runtime_checkable
class Concealing(Protocol):
    """A codec that can make up lost parts of a damaged stream."""

    @classmethod
    def can_conceal(cls, payload: bytes) -> bool:
        """Return whether read_damaged() takes such image parts.

        Args:
            payload: an image part, perhaps damaged.
        """
        ...

    def read_damaged(self, payload: bytes, width: int, height: int, rate: int) -> Concealed:
        """Return latents of a damaged image part; for the arguments see Codec.parse().

        Raises:
            BitstreamError: If too much is lost.
        """
        ...


@runtime_checkable
class UserWeights(Protocol):
    """A codec that ships no weights: users name those that wrote a file."""

    @classmethod
    def describe_needed(cls, payload: bytes, rate: int, model_hash: bytes) -> str:
        """Return a sentence that says which weights a file needs.

        Args:
            payload: its image part.
            rate: 0..252.
            model_hash: in its header.
        """
        ...
