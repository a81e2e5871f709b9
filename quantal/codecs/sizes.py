"""Sizes of networks as dataclasses that recipes and weights files can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

__all__ = ["Sizes"]

Own = TypeVar("Own", bound="Sizes")


@dataclass(frozen=True)
class Sizes:
    """The base of all networks' configs."""

    def to_dict(self) -> dict[str, object]:
        """Return the sizes by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls: type[Own], values: Mapping[str, Any]) -> Own:
        """Return sizes from to_dict() or a recipe; TypeError for anything else."""
        if not isinstance(values, Mapping):
            raise TypeError(f"sizes are {values!r:.80}, expected names with numbers")
        sizes: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**sizes)
