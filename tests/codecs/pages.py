"""What the pages of several codecs say alike, for decoders written from these alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np


def page_hash(layout: str, tensors: Mapping[str, np.ndarray]) -> bytes:
    """The paragraph "Hash"."""
    digest = hashlib.sha256(layout.encode())
    for name in sorted(tensors):
        values = tensors[name]
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:4]
