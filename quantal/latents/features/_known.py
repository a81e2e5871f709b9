"""What codes features: statistics in the file, or something that both sides have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from quantal.container import FeatureHeader
from quantal.latents.features._values import Array

__all__ = ["Known"]


@runtime_checkable
class Known(Protocol):
    """What is known of features before any is coded, such as a Basis or a Codebook.

    Attributes:
        codec: name in headers.
        rates: the lowest and the highest rate; equal if there is only one.
    """

    codec: ClassVar[str]
    rates: ClassVar[tuple[int, int]]

    @property
    def hash(self) -> bytes:
        """The first 4 bytes of a SHA-256 over all that decoding needs."""
        ...

    def write_part(
        self,
        values: Sequence[Array],
        axes: Sequence[int | None],
        header: FeatureHeader,
        rate: int,
    ) -> bytes:
        """Return the part of a file.

        Args:
            values: the values of each tensor, float [C, n].
            axes: the axis of each tensor's channels, None for none.
            header: the header of the file.
            rate: how finely they are quantised, one of `rates`.

        Raises:
            ArgumentError: If the values don't fit.
        """
        ...

    def read_part(self, part: bytes, header: FeatureHeader) -> tuple[list[Array], list[int | None]]:
        """Return the values of each tensor [C, n] and the axes of their channels.

        Raises:
            BitstreamError: If the part does not hold exactly such tensors.
        """
        ...
