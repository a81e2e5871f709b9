"""Features as a medium: tensors that a network computed ↔ .qtl files, with a bound kept.

After "Feature coding for machines with large models" (FCM-LM): statistics of channels, a transform
across channels, quantisation, and the exact coder. docs/how-to/features.md specifies the files.
"""

from __future__ import annotations

from quantal.extras import install_error

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as _error:
    raise install_error(_error, "features of networks") or _error from _error

from quantal.latents.features._basis import Basis
from quantal.latents.features._codebook import Codebook
from quantal.latents.features._coding import decode, encode, read_known, verify

__all__ = ["Basis", "Codebook", "decode", "encode", "read_known", "verify"]
