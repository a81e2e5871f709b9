"""Which of a model's classes is which of the data set's.

Names are compared without case and punctuation; what they don't settle, a file of pairs does.
Nothing is guessed beyond that: a class that a model can't name would count as an error of the
codec.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from quantal.errors import ArgumentError, EvaluationError

__all__ = ["match", "positions", "read_pairs"]

_WORDNET = re.compile(r"n\d{8}_")


def read_pairs(path: Path) -> dict[str, str]:
    """Pairs from a JSON file: the model's name or index of a class -> the data set's."""
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"labels {path} can't be opened: {error.strerror}") from error
    except ValueError as error:
        raise ArgumentError(f"labels {path} are no JSON: {error}") from error
    if not isinstance(pairs, dict) or not all(isinstance(v, (str, int)) for v in pairs.values()):
        raise ArgumentError(
            f"labels {path} hold {type(pairs).__name__}, expected an object of pairs, a class of "
            'the model and one of the data set, such as {"motorcycle": "motorbike"}'
        )
    return {str(key): str(value) for key, value in pairs.items()}


def match(
    names: Sequence[str], classes: Sequence[str], pairs: dict[str, str] | None = None
) -> tuple[int, ...]:
    """For each class of a model, the index of the data set's class, or -1 for none.

    names: of the model's classes; synonyms may be separated by commas. classes: of the data set.
    pairs: as read_pairs gives them; they go before equal names. Where no name is equal and there
    are no pairs, but as many classes on both sides, they correspond in order, as those of
    ImageNet do.

    >>> match(["background", "potted plant", "motorcycle"], ["motorbike", "pottedplant"],
    ...       {"motorcycle": "motorbike"})
    (-1, 1, 0)
    """
    pairs = pairs or {}
    index = {label: i for i, label in enumerate(classes)}
    plain = {_plain(_WORDNET.sub("", label)): i for label, i in index.items()}
    found = [-1] * len(names)
    for i, name in enumerate(names):
        for spelling in (name, *name.split(",")):
            found[i] = max(found[i], plain.get(_plain(spelling), -1))
    for position, theirs in positions(names, pairs).items():
        if theirs not in index:
            raise ArgumentError(
                f"the labels name the class {theirs!r}, which the data set has not; "
                f"it has {_some(classes)}"
            )
        found[position] = index[theirs]
    missing = [label for i, label in enumerate(classes) if i not in found]
    if len(missing) == len(classes) == len(names):
        return tuple(range(len(names)))
    if missing:
        raise EvaluationError(
            f"{len(missing)} of the data set's {len(classes)} classes have no class of the same "
            f"name among the model's {len(names)}: {_some(missing)}; the model has "
            f"{_some(names)}. Name a JSON file of pairs by --labels: "
            f'{{"{names[0] if names else "0"}": "{missing[0]}"}}'
        )
    return tuple(found)


def positions(names: Sequence[str], pairs: dict[str, str]) -> dict[int, str]:
    """The pairs with the model's classes by index; ArgumentError for one that it hasn't."""
    by_name = {name: i for i, name in enumerate(names)}
    for i, name in enumerate(names):
        for synonym in name.split(","):
            by_name.setdefault(synonym.strip(), i)
    found = {}
    for ours, theirs in pairs.items():
        position = by_name.get(ours, int(ours) if ours.isdecimal() else -1)
        if not 0 <= position < len(names):
            raise ArgumentError(
                f"the labels name the class {ours!r}, which the model has not; it has "
                f"{_some(names)}"
            )
        found[position] = theirs
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
