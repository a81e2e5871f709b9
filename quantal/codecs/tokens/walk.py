"""The stream of codec `tokens`: the first token of every tile, then the second, and so on.

It is progressive: any prefix of a file is a coarser picture. The specification is
docs/reference/codecs/tokens.md.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from quantal.entropy.coder import IntArray
from quantal.entropy.tables import TableSet
from quantal.entropy.walk import Coding
from quantal.errors import CorruptError

__all__ = ["GROUP", "INDICES", "TILE", "TOKEN_BITS", "tokens_at", "walk_tokens"]

#: Pixels along a side of a tile.
TILE = 256
#: Signs of a token, and of an index: a token is two indices of 256 values.
TOKEN_BITS, GROUP = 16, 8
#: Indices of a token.
INDICES = TOKEN_BITS // GROUP
_LAST_RATE = 252


@cache
def tokens_at(rate: int, most: int) -> int:
    """Return most^(rate / 252), rounded, by integer arithmetic: it decides how bits are read.

    >>> tokens_at(0, 128), tokens_at(126, 128), tokens_at(252, 128)
    (1, 11, 128)
    """
    wanted = 2**_LAST_RATE * most**rate
    return sum((2 * n - 1) ** _LAST_RATE <= wanted for n in range(1, most + 1))


def walk_tokens(coding: Coding, tables: TableSet, tokens: int, tiles: int) -> IntArray:
    """Go through the indices of the first tokens of all tiles.

    Args:
        coding: what to do with them.
        tables: two for every token.
        tokens: how many.
        tiles: how many.

    Returns:
        int32 [tokens, 2, tiles].

    Raises:
        CorruptError: If an index has no entry.
    """
    coding.require(float(tables.least_bits[: INDICES * tokens].sum()) * tiles)
    indices = coding.begin((tokens, INDICES, tiles))
    table = np.arange(INDICES, dtype=np.uint8)[:, None]
    for token in range(tokens):
        found = coding.code(
            token,
            tables,
            index=lambda token=token: np.broadcast_to(table + INDICES * token, (INDICES, tiles)),  # type: ignore[misc]
        )
        if int(found.min()) < 0 or int(found.max()) >= 1 << GROUP:
            raise CorruptError(
                f"index {int(found.max())} found, expected 0..{(1 << GROUP) - 1}: the image part "
                "is damaged"
            )
        coding.complete_part()
    return indices
