"""Binary decisions to bytes and back, each with a probability of its own.

The coder is constriction's asymmetric numeral system, as in quantal.entropy.coder, whose classes
serve few tables with many symbols each; here every decision has its own probability.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import constriction
import numpy as np
import numpy.typing as npt

from quantal.codecs.synthetic.logistic import Bits, Ints
from quantal.errors import CorruptError, TruncatedError

__all__ = ["Decisions", "Reading", "Writing"]

_Ans = constriction.stream.stack.AnsCoder
_FAMILY = constriction.stream.model.Categorical(perfect=False)
#: See quantal.entropy.coder: the state that a stream starts from and ends at.
_START = 0x0151544C


def _shares(probabilities: Ints) -> npt.NDArray[np.float64]:
    """Return what constriction turns into exactly these weights of 2^24, [n, 2].

    It gives each of two slots 1 and multiplies the rest by the given shares, whose sum is then the
    2^24 - 2 that it shares: by exactly 1.0.
    """
    ones = probabilities << 8
    shares = np.empty((len(ones), 2))
    shares[:, 1] = ones - 1
    shares[:, 0] = (1 << 24) - 1 - ones
    return shares


class Decisions(ABC):
    """What happens to decisions on the way."""

    @abstractmethod
    def decide(self, probabilities: Ints, bits: Bits) -> Bits:
        """Code decisions.

        Args:
            probabilities: of a one, 1..65535 of 1/65536 [n].
            bits: the decisions [n]; a reader ignores them.

        Returns:
            The decisions [n].
        """


class Writing(Decisions):
    """Collect decisions, then write them all."""

    def __init__(self) -> None:
        self._probabilities: list[npt.NDArray[np.uint16]] = []
        self._bits: list[Bits] = []

    def decide(self, probabilities: Ints, bits: Bits) -> Bits:
        self._probabilities.append(probabilities.astype(np.uint16))
        self._bits.append(bits)
        return bits

    def finish(self) -> bytes:
        """Return the bytes of all decisions."""
        coder = _Ans(np.array([_START], np.uint32))
        # A stack returns last what it got first.
        for chances, bits in zip(self._probabilities[::-1], self._bits[::-1], strict=True):
            if len(bits):
                shares = _shares(chances.astype(np.int64))
                coder.encode_reverse(bits.astype(np.int32), _FAMILY, shares)
        data: bytes = coder.get_compressed().astype("<u4").tobytes()
        return data.rstrip(b"\0")


class Reading(Decisions):
    """Read decisions.

    Args:
        data: the bytes of Writing.finish().

    Raises:
        CorruptError: If no writer writes such bytes.
    """

    def __init__(self, data: bytes) -> None:
        if not data or data.endswith(b"\0"):
            raise CorruptError("a synthetic layer is neither empty nor ends in a zero byte")
        padded = data + b"\0" * (-len(data) % 4)
        self._coder = _Ans(np.frombuffer(padded, dtype="<u4").astype(np.uint32))

    def decide(self, probabilities: Ints, bits: Bits) -> Bits:
        del bits
        found: Bits = self._coder.decode(_FAMILY, _shares(probabilities)).astype(np.bool_)
        words, state = self._coder.pos()
        if words == 0 and state < _START:
            raise TruncatedError("a synthetic layer ends before its pixels do: it was cut")
        return found

    def finish(self) -> None:
        """Raise CorruptError unless exactly everything was read."""
        if self._coder.pos() != (0, _START):
            raise CorruptError("a synthetic layer does not end with its pixels: it was altered")
