"""What the commands say and do about files of features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantal.cli._sources import Source
from quantal.cli._streams import say
from quantal.errors import QuantalError
from quantal.names import printable

if TYPE_CHECKING:
    from quantal.container import FeatureInfo

__all__ = [
    "feature_document",
    "features_as_safetensors",
    "holds_features",
    "print_features",
    "source_features",
    "verify_features",
]


def holds_features(source: Source) -> bool:
    """Whether a .qtl file holds features; False for what can't be read."""
    from quantal import container

    try:
        return container.media_of(source.bytes(container.HEADER_LIMIT)) == "features"
    except (OSError, QuantalError):
        return False


def source_features(source: Source) -> FeatureInfo:
    """Return the header of a file of features."""
    from quantal import container

    return container.probe_features(source.bytes())


def feature_document(info: FeatureInfo) -> dict[str, object]:
    """Return what `quantal info --json` says."""
    header = info.header
    return {
        "format_version": header.version,
        "codec": header.codec,
        "model_hash": header.model_hash.hex(),
        "media": header.media,
        "network": header.network.hex(),
        "layer": header.layer,
        "single": header.single,
        "tensors": [{"dtype": each.dtype, "shape": list(each.shape)} for each in header.tensors],
        "bytes": info.bytes,
        "bits_per_value": info.bits_per_value,
        "header_bytes": info.header_bytes,
    }


def print_features(name: str, info: FeatureInfo) -> None:
    """Print what `quantal info` says."""
    from quantal import container

    header = info.header
    what = "a tensor" if header.single else f"{header.count} tensors"
    say(f"{printable(name)}: features, {what} of {header.values:,} values")
    say(f"  {info.bytes:,} bytes, {info.bits_per_value:.4f} bits per value")
    for field in container.describe(header):
        value = field.value.hex() if isinstance(field.value, bytes) else field.value
        say(f"  {field.name:<13} {printable(str(value).lower())}")
    for tensor in header.tensors:
        say(f"  {'tensor':<13} {tensor.dtype} {' x '.join(map(str, tensor.shape)) or 'scalar'}")


def verify_features(source: Source, deep: bool, basis: str | None) -> str | None:
    """Check a file of features; return why its symbols were not parsed, None if they were.

    Args:
        source: the file.
        deep: whether to parse symbols.
        basis: path to the basis that they were coded by, if any.
    """
    if not deep:
        from quantal import container

        container.read_features(source.bytes())
        return None
    from quantal.latents import features

    known = None if basis is None else features.read_known(basis)
    return features.verify(source.bytes(), basis=known)


def features_as_safetensors(data: bytes, basis: str | None) -> bytes:
    """Return the tensors of a file of features as safetensors: `tensor.0`, `tensor.1`, ..."""
    from safetensors.torch import save

    from quantal import container
    from quantal.latents import features

    header, _ = container.read_features(data)
    known = None if basis is None else features.read_known(basis)
    found = features.decode(data, basis=known)
    tensors = found if isinstance(found, list) else [found]
    metadata = {"codec": header.codec, "network": header.network.hex(), "layer": header.layer}
    named = {f"tensor.{number}": each.contiguous() for number, each in enumerate(tensors)}
    return save(named, metadata)
