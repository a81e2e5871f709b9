"""What a weights file of codec `tokens` holds besides networks: tables, the meaning of signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quantal.codecs.contract import Floats
from quantal.codecs.tokens.walk import GROUP, INDICES, TOKEN_BITS
from quantal.codecs.weights import NET, Array, WeightsFile, sound_weights
from quantal.entropy.coder import IntArray
from quantal.entropy.tables import TableSet

__all__ = ["LAYOUT", "ORDER", "Signs", "TokenFile", "hashed", "read_token_file"]

#: Names the meaning of the arrays; changes whenever the same integers are used in another way.
LAYOUT = "quantal-tokens-1"
#: Integers that assign signs to coefficients; they differ between files.
ORDER = ("coefficient", "level")
#: Signs of one coefficient, at most.
_LEVELS = 64


@dataclass(frozen=True)
class Signs:
    """What the successive signs of a tile stand for.

    Attributes:
        coefficient: which one each sign belongs to, int32 [bits].
        level: the number of each sign among those of its coefficient, int32 [bits].
        amplitude: the value of each, in units of its coefficient, float32 [bits].
        shape: positions and channels of a tile's coefficients.
    """

    coefficient: IntArray
    level: IntArray
    amplitude: Floats
    shape: tuple[int, int]

    def of(self, coefficients: Floats) -> Array:
        """Return all signs of coefficients [T, positions, C]: bool [T, bits]."""
        rest = coefficients.reshape(len(coefficients), -1).copy()
        found = np.zeros((len(rest), len(self.amplitude)), np.bool_)
        for level in range(int(self.level.max()) + 1):
            bits = np.flatnonzero(self.level == level)
            places = self.coefficient[bits]
            sign = rest[:, places] > 0
            found[:, bits] = sign
            worth = self.amplitude[bits]
            rest[:, places] -= np.where(sign, worth, -worth)
        return found

    def values(self, signs: Array) -> Floats:
        """Map the first signs of tiles bool [T, n] to coefficients [T, positions, C]."""
        known = slice(signs.shape[1])
        worth = np.where(signs, self.amplitude[known], -self.amplitude[known])
        # Signs of a level belong to different coefficients: each may be added at once.
        flat = np.zeros((len(signs), int(np.prod(self.shape))), np.float32)
        for level in range(int(self.level.max()) + 1):
            bits = np.flatnonzero(self.level[known] == level)
            flat[:, self.coefficient[bits]] += worth[:, bits]
        return flat.reshape(-1, *self.shape)


@dataclass(frozen=True)
class TokenFile:
    """What codes, checked.

    Attributes:
        tokens: of a tile.
        signs: what they stand for.
        tables: two for every token, in the order of the stream.
        hash: 4 bytes over the tables and the order of signs.
    """

    tokens: int
    signs: Signs
    tables: TableSet
    hash: bytes


def hashed(tables: TableSet, order: Mapping[str, Array]) -> dict[str, Array]:
    """Return everything that the hash covers, by name.

    Args:
        tables: two for every token.
        order: int32 arrays by the names in ORDER.
    """
    rows = [tables.weights(table) for table in range(len(tables))]
    own = {NET + name: order[name] for name in ORDER}
    return {"tables.weights": np.stack(rows).astype(np.int32), **own}


def read_token_file(file: WeightsFile) -> TokenFile:
    """Return what codes of a weights file.

    Raises:
        ModelError: If it is damaged.
    """
    with sound_weights(file):
        arrays, tokens = file.arrays, int(file.sizes()["tokens"])
        coefficient, level = (arrays[NET + name] for name in ORDER)
        positions, channels = arrays[NET + "unit"].shape
        amplitude = arrays[NET + "amplitude"].astype(np.float32)
        bits = tokens * TOKEN_BITS
        if not coefficient.shape == level.shape == amplitude.shape == (bits,):
            raise ValueError(f"its signs are {coefficient.shape}, expected ({bits},)")
        if coefficient.min() < 0 or coefficient.max() >= positions * channels:
            raise ValueError("a sign belongs to a coefficient that there isn't")
        if level.min() < 0 or level.max() >= _LEVELS:
            raise ValueError(f"a coefficient has more than {_LEVELS} signs")
        if len(set(zip(coefficient.tolist(), level.tolist(), strict=True))) < bits:
            raise ValueError("a coefficient has two signs of one level")
        weights = arrays["tables.weights"]
        if weights.shape != (tokens * INDICES, (1 << GROUP) + 1):
            raise ValueError(f"its tables are {weights.shape}")
        tables = TableSet.from_weights([0] * len(weights), list(weights))
    order = dict(zip(ORDER, (coefficient, level), strict=True))
    signs = Signs(coefficient, level, amplitude, (positions, channels))
    return TokenFile(tokens, signs, tables, file.check(hashed(tables, order)))
