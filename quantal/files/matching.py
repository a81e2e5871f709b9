"""Finds the codec that a file needs, with the tables and integer networks that wrote it."""

from __future__ import annotations

from quantal import container, media
from quantal.codecs.contract import Codec, CodecBase, UserWeights
from quantal.codecs.registry import codec_class, load, load_version
from quantal.codecs.video_contract import VideoCodec
from quantal.errors import ArgumentError, BitstreamError, ModelError
from quantal.sources import Source

__all__ = [
    "checked_codec",
    "coded_part",
    "codec_for",
    "describe_work",
    "named_codec",
    "needs_own_weights",
    "video_codec",
    "video_codec_for",
]

#: Memory of a process that codes, in GB: networks, and what grows with the pixels
#: (benchmarks/memory.py).
_BASE_GB, _GB_PER_MEGAPIXEL = 1.1, 0.018


def describe_work(width: int, height: int) -> str:
    """Return a picture's size and the memory that it takes, for errors."""
    needed = _BASE_GB + _GB_PER_MEGAPIXEL * width * height / 1e6
    return f"a picture of {width}x{height} pixels (about {needed:.1f} GB)"


def named_codec(codec: str | Codec, device: str, weights: Source | None = None) -> Codec:
    """Return a codec by name, or the codec that was given.

    Args:
        codec: a name, or a codec from quantal.load().
        device: where networks run, for a name.
        weights: see quantal.load(), for a name.

    Raises:
        ArgumentError: If it is neither.
        ModelError: If it is unknown, or its weights are missing.
    """
    return load(codec, device, weights) if isinstance(codec, str) else checked_codec(codec)


def checked_codec(codec: Codec) -> Codec:
    """Return a codec of pictures; ArgumentError for anything else."""
    if isinstance(codec, VideoCodec):
        raise ArgumentError(  # type: ignore[unreachable]
            f"codec {codec.name!r} codes clips, expected one that codes pictures"
        )
    if not isinstance(codec, Codec):
        raise ArgumentError(
            f"{type(codec).__name__} is not a codec: give one from quantal.load()"  # type: ignore[unreachable]
        )
    return codec


def codec_for(file: container.File, device: str, codec: Codec | None = None) -> Codec:
    """Return the codec that a file needs.

    Args:
        file: the file.
        device: where networks run; see quantal.load().
        codec: the caller's choice, which is checked; default: the one that the file names.

    Raises:
        ModelError: If it isn't here, or does not fit.
    """
    header = file.header
    if codec is None:
        own = needs_own_weights(file)
        if own is not None:
            raise ModelError(own, code="weights")
        codec = load_version(header.codec, header.model_hash, device)
    codec = checked_codec(codec)
    _check_fit(header, codec)
    return codec


def _check_fit(header: container.Header, codec: CodecBase) -> None:
    """Raise ModelError if a codec can't decode what a header describes."""
    if codec.name != header.codec:
        raise ModelError(f"the file was made by codec {header.codec!r}, this is {codec.name!r}")
    if codec.model_hash != header.model_hash:
        raise ModelError(
            f"the file needs the model {header.model_hash.hex()} of codec {header.codec!r}, but "
            f"the loaded one is {codec.model_hash.hex()}; keep the weights that wrote it as "
            f"{header.codec}@1.safetensors in the folder QUANTAL_WEIGHTS, or name them",
            code="weights",
        )


def video_codec(codec: str | VideoCodec, device: str, weights: Source | None = None) -> VideoCodec:
    """Return a codec of video by name, or the one that was given; see named_codec().

    Raises:
        ArgumentError: If it is none.
        ModelError: If it is unknown, or its weights are missing.
    """
    found: object = load(codec, device, weights) if isinstance(codec, str) else codec
    if isinstance(found, VideoCodec):
        return found
    if isinstance(found, CodecBase):
        raise ArgumentError(f"codec {found.name!r} codes pictures, expected one that codes clips")
    raise ArgumentError(f"{type(found).__name__} is not a codec: give one from quantal.load()")


def video_codec_for(
    header: container.ClipHeader, device: str, codec: VideoCodec | None = None
) -> VideoCodec:
    """Return the codec that a clip needs; see codec_for().

    Raises:
        ModelError: If it isn't here, or does not fit.
    """
    found: object = codec
    if codec is None:
        found = load_version(header.codec, header.model_hash, device)
    if codec is None and not isinstance(found, VideoCodec):
        raise ModelError(f"the clip names codec {header.codec!r}, which codes pictures")
    checked = video_codec(found, device)  # type: ignore[arg-type]
    _check_fit(header, checked)
    return checked


def needs_own_weights(file: container.File) -> str | None:
    """Return which weights of the user's a file needs; None if it needs none."""
    header = file.header
    kind = codec_class(header.codec)
    if not issubclass(kind, UserWeights):
        return None
    needed: str = kind.describe_needed(file.part("image") or b"", header.rate, header.model_hash)
    return needed


def coded_part(file: container.File) -> tuple[bytes, int, int, int]:
    """Return the input of a codec: the image part, width, height and rate.

    Raises:
        BitstreamError: If the picture is too large.
    """
    header = file.header
    if header.width * header.height > media.PIXEL_LIMIT:
        raise BitstreamError(
            f"the file says {header.width}x{header.height} pixels, expected at most "
            f"{media.PIXEL_LIMIT} in all; its header is wrong"
        )
    return file.part("image") or b"", header.width, header.height, header.rate
