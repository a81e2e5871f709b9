"""Every error that Quantal raises on purpose, as one tree.

    QuantalError
    ├── BitstreamError                a .qtl file can't be read (also an OSError)
    │   ├── TruncatedError            it ends too early
    │   ├── CorruptError              it contradicts itself or a checksum
    │   ├── DivergenceError           it is whole, but this machine reads other symbols
    │   └── UnsupportedVersionError   it was written by a newer Quantal
    ├── ModelError                    a codec is unknown, or its weights are missing or wrong
    ├── InstallError                  a package is missing or too old (also an ImportError)
    ├── MediaError                    an input is no picture, or an unsupported one
    ├── OutputError                   a result can't be written
    ├── ArgumentError                 an option is impossible (also a ValueError)
    ├── TargetError                   a rate target can't be reached
    ├── OutOfMemoryError              a work needs more memory than there is (also a MemoryError)
    └── EvaluationError               a measurement or a comparison can't be made

A message says what was found, what was expected and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "BitstreamError",
    "CorruptError",
    "DivergenceError",
    "EvaluationError",
    "InstallError",
    "MediaError",
    "ModelError",
    "OutOfMemoryError",
    "OutputError",
    "QuantalError",
    "QuantalWarning",
    "TargetError",
    "TruncatedError",
    "UnsupportedVersionError",
]


class QuantalError(Exception):
    """The root of the tree: catch it to catch every error of Quantal.

    Args:
        message: what was found, what was expected and what to do.
        code: a short name of the situation, for callers that have more advice, such as the command
            line, which names its options; empty if there is nothing to add.
        facts: figures for that advice, by name.

    Attributes:
        code: see above.
        facts: a dict, see above.
    """

    def __init__(self, message: str = "", *, code: str = "", **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts


class BitstreamError(QuantalError, OSError):
    """A .qtl file can't be read.

    It is an OSError too, as Pillow's errors of files are, so that programs which open pictures with
    Pillow catch it.
    """


class TruncatedError(BitstreamError):
    """A .qtl file, or a stream inside it, ends before everything announced was read."""


class CorruptError(BitstreamError):
    """A .qtl file contradicts itself, its checksums, or what its header justifies."""


class DivergenceError(BitstreamError):
    """A .qtl file is whole, but this machine computes other symbols than were written.

    Only codecs whose bits are read by floating-point networks, such as CompressAI's, raise it.
    """


class UnsupportedVersionError(BitstreamError):
    """A .qtl file needs a newer Quantal than this one."""


class ModelError(QuantalError):
    """A codec is unknown, or its weights are missing, damaged or not those that a file needs."""


class InstallError(QuantalError, ImportError):
    """A package that a work needs is missing, damaged or too old; the message says what helps."""


class MediaError(QuantalError):
    """An input is not a picture, or an unsupported one."""


class OutputError(QuantalError):
    """A result can't be written: it exists already, the disk is full, the folder is read-only."""


class ArgumentError(QuantalError, ValueError):
    """An option or argument has an impossible value."""


class TargetError(QuantalError):
    """A rate target, such as a number of bytes, can't be reached for this picture."""


class OutOfMemoryError(QuantalError, MemoryError):
    """A work needs more memory than the machine, or its GPU, has."""


class EvaluationError(QuantalError):
    """A measurement or a comparison can't be made: too few points, too little overlap."""


class QuantalWarning(UserWarning):
    """Something in the user's picture was changed or dropped; the message says what."""
