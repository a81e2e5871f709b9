"""Every error that Quantal raises on purpose, as one tree.

    QuantalError
    ├── BitstreamError                a .qtl file can't be read
    │   ├── TruncatedError            it ends too early
    │   ├── CorruptError              it contradicts itself or a checksum
    │   ├── DivergenceError           it is whole, but is read otherwise here than it was written
    │   └── UnsupportedVersionError   it was written by a newer Quantal
    ├── ModelError                    a codec is unknown, or its weights are missing or wrong
    ├── MediaError                    an input is no picture, or one that can't be taken
    ├── OutputError                   a result can't be written
    ├── ArgumentError                 an option is impossible (also a ValueError)
    ├── TargetError                   a rate target can't be reached
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
    "MediaError",
    "ModelError",
    "OutputError",
    "QuantalError",
    "QuantalWarning",
    "TargetError",
    "TruncatedError",
    "UnsupportedVersionError",
]


class QuantalError(Exception):
    """The root of the tree: catch it to catch every error of ours.

    Args:
        message: what was found, what was expected and what to do.
        code: a short name of the situation, for a caller that has more to advise, such as the
            command line, which names its options; empty if there is nothing to add.
        facts: what the advice needs to know, by name.
    """

    def __init__(self, message: str = "", *, code: str = "", **facts: object) -> None:
        super().__init__(message)
        self.code = code
        self.facts = facts


class BitstreamError(QuantalError):
    """A .qtl file can't be read."""


class TruncatedError(BitstreamError):
    """A .qtl file, or a stream inside it, ends before everything announced was read."""


class CorruptError(BitstreamError):
    """A .qtl file contradicts itself, its checksums, or what its header justifies."""


class DivergenceError(BitstreamError):
    """A .qtl file came whole, but this machine computes other symbols than were written.

    Only codecs whose bits are read by floating-point networks, such as CompressAI's, can raise it.
    """


class UnsupportedVersionError(BitstreamError):
    """A .qtl file needs a newer Quantal than this one."""


class ModelError(QuantalError):
    """A codec is unknown, or its weights are missing, damaged or not the ones a file needs."""


class MediaError(QuantalError):
    """An input is not a picture, or a picture that can't be taken."""


class OutputError(QuantalError):
    """A result can't be written: it exists already, the disk is full, the folder is read-only."""


class ArgumentError(QuantalError, ValueError):
    """An option or argument has an impossible value."""


class TargetError(QuantalError):
    """A rate target, such as a number of bytes, can't be reached for this picture."""


class EvaluationError(QuantalError):
    """A measurement or a comparison can't be made: too few points, too little overlap."""


class QuantalWarning(UserWarning):
    """Something of the user's was changed or dropped; the message says what."""
