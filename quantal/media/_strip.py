"""Pictures without some of their metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from quantal.arguments import choice, typed
from quantal.errors import ArgumentError
from quantal.media._picture import Picture

__all__ = ["METADATA_KINDS", "strip", "stripped_kinds"]

METADATA_KINDS = ("exif", "xmp", "icc")
"""Kinds of metadata of a picture."""


def strip(picture: Picture, kinds: str | Iterable[str]) -> Picture:
    """Return a picture without some of its metadata.

    Args:
        picture: The picture.
        kinds: Some of `METADATA_KINDS`, "all", or none.

    Raises:
        ArgumentError: A kind is unknown.
    """
    typed("picture", picture, Picture)
    without: dict[str, Any] = dict.fromkeys(stripped_kinds(kinds))
    return dataclasses.replace(picture, **without) if without else picture


def stripped_kinds(kinds: str | Iterable[str]) -> tuple[str, ...]:
    """Return the kinds of metadata that `strip` leaves out; ArgumentError if one is unknown."""
    try:
        named = [kinds] if isinstance(kinds, str) else list(kinds)
    except (TypeError, ValueError):
        raise ArgumentError(f"strip must be names of metadata, not {kinds!r:.40}") from None
    found = [choice("strip", kind, (*METADATA_KINDS, "all")) for kind in named]
    return METADATA_KINDS if "all" in found else tuple(found)
