"""Which codec a file needs, with just the tables and integer networks that wrote it."""

from __future__ import annotations

from quantal import container, media
from quantal.codecs.contract import Codec, UserWeights
from quantal.codecs.registry import codec_class, load_version
from quantal.errors import BitstreamError, ModelError

__all__ = ["coded_part", "codec_for", "needs_own_weights"]


def codec_for(file: container.File, device: str, codec: Codec | None = None) -> Codec:
    """Return the codec that a file needs.

    Args:
        file: the file.
        device: where networks run; see quantal.load.
        codec: the one that the caller wants, checked.

    Raises:
        ModelError: If it isn't here.
    """
    header = file.header
    if codec is None:
        own = needs_own_weights(file)
        if own is not None:
            raise ModelError(own, code="weights")
        codec = load_version(header.codec, header.model_hash, device)
    if codec.name != header.codec:
        raise ModelError(f"the file was made by codec {header.codec!r}, this is {codec.name!r}")
    if codec.model_hash != header.model_hash:
        raise ModelError(
            f"the file needs the model {header.model_hash.hex()} of codec {header.codec!r}, and "
            f"{codec.model_hash.hex()} is here; name the weights that wrote it, or keep them as "
            f"{header.codec}@1.safetensors in the folder QUANTAL_WEIGHTS",
            code="weights",
        )
    return codec


def needs_own_weights(file: container.File) -> str | None:
    """Return what a file needs whose weights only the user has; None for other files."""
    header = file.header
    kind = codec_class(header.codec)
    if not issubclass(kind, UserWeights):
        return None
    needed: str = kind.describe_needed(file.part("image") or b"", header.rate, header.model_hash)
    return needed


def coded_part(file: container.File) -> tuple[bytes, int, int, int]:
    """Return what a codec reads: the image part, width, height and rate."""
    header = file.header
    if header.width * header.height > media.PIXEL_LIMIT:
        raise BitstreamError(
            f"the file says {header.width}x{header.height} pixels, expected at most "
            f"{media.PIXEL_LIMIT} in all; its header is wrong"
        )
    return file.part("image") or b"", header.width, header.height, header.rate
