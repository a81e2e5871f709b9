"""Mapping of a model's classes to a data set's classes.

Names are compared without case and punctuation; a file of pairs maps the others. Unmapped classes
raise an error, since they would count as errors of the codec.
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
    """Read pairs from a JSON file: name or index of a model's class -> name in the data set.

    Raises:
        ArgumentError: The file can't be read or holds something else.
    """
    try:
        pairs = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"labels {path} can't be opened: {error.strerror}") from error
    except ValueError as error:
        raise ArgumentError(f"labels {path} are not valid JSON: {error}") from error
    if not isinstance(pairs, dict) or not all(isinstance(v, (str, int)) for v in pairs.values()):
        raise ArgumentError(
            f"labels {path} hold {type(pairs).__name__}, expected an object of pairs, a class of "
            'the model and one of the data set, such as {"motorcycle": "motorbike"}'
        )
    return {str(key): str(value) for key, value in pairs.items()}


def match(
    names: Sequence[str], classes: Sequence[str], pairs: dict[str, str] | None = None
) -> tuple[int, ...]:
    """Return the index of the data set's class for each class of a model, or -1 for none.

    If no names are equal, there are no pairs and both have as many classes, classes correspond by
    order, as those of ImageNet do.

    >>> match(["background", "potted plant", "motorcycle"], ["motorbike", "pottedplant"],
    ...       {"motorcycle": "motorbike"})
    (-1, 1, 0)

    Args:
        names: Names of the model's classes; synonyms may be separated by commas.
        classes: Names of the data set's classes.
        pairs: Result of `read_pairs`; pairs take precedence over equal names.

    Raises:
        ArgumentError: A pair names an unknown class.
        EvaluationError: A class of the data set has no class of the model.
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
                f"the labels name the class {theirs!r}, which the data set does not have; "
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
    """Return pairs with indices of the model's classes; ArgumentError for unknown classes."""
    by_name = {name: i for i, name in enumerate(names)}
    for i, name in enumerate(names):
        for synonym in name.split(","):
            by_name.setdefault(synonym.strip(), i)
    found = {}
    for ours, theirs in pairs.items():
        position = by_name.get(ours, int(ours) if ours.isdecimal() else -1)
        if not 0 <= position < len(names):
            raise ArgumentError(
                f"the labels name the class {ours!r}, which the model does not have; it has "
                f"{_some(names)}"
            )
        found[position] = theirs
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
