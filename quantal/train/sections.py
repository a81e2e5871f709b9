"""Sections of a recipe: mappings from YAML to frozen dataclasses, every key and value checked.

The types of the fields decide what a value may be. Errors name the key, what was found and what was
expected, and for an unknown key the nearest known one.
"""

from __future__ import annotations

import difflib
import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from numbers import Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from quantal.errors import ArgumentError

__all__ = ["read_section"]

Section = TypeVar("Section")

_EXPONENT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")

#: Types of single values: what one is called, and several.
_NAMES: dict[object, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
}


def read_section(
    kind: type[Section],
    values: object,
    where: str,
    prefix: str = "",
    elsewhere: Iterable[str] = (),
) -> Section:
    """Return a dataclass made from a mapping.

    Args:
        kind: the dataclass; its fields may be bool, int, float, str, Literal, tuples of these,
            tuples of dataclasses, and any of them or None. Other types are not checked.
        values: the mapping, as YAML gives it.
        where: what errors begin with, as the name of the recipe.
        prefix: what the names of keys begin with in errors, as "model.".
        elsewhere: dotted keys outside of this section that an unknown key may have meant.

    Raises:
        ArgumentError: If a key is unknown or missing, or a value has the wrong type or is refused
            by the dataclass itself.
    """
    if not isinstance(values, Mapping):
        name = prefix.rstrip(".")
        raise ArgumentError(
            f"{where}: `{name}` is {values!r:.80}, expected a mapping of names to values"
        )
    if not is_dataclass(kind):
        raise TypeError(f"{kind} is not a dataclass")
    known = {field.name: field for field in fields(kind) if field.init}
    for key in values:
        if key not in known:
            raise ArgumentError(f"{where}: {_unknown(str(key), prefix, [*known], [*elsewhere])}")
    missing = [f"{prefix}{name}" for name, field in known.items() if _needed(field, values)]
    if missing:
        raise ArgumentError(f"{where}: missing keys: {', '.join(missing)}; add them")
    hints = get_type_hints(kind)
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        try:
            found[key] = _converted(value, hints[key], name, where)
        except _Unexpected as error:
            such = "" if known[key].default in (MISSING, None, "", ()) else _such(known[key])
            raise ArgumentError(
                f"{where}: `{error.name}` is {error.value!r:.80}, expected "
                f"{_expected(hints[key]) if error.name == name else error.expected}{such}"
            ) from None
    try:
        return kind(**found)
    except ArgumentError as error:
        raise ArgumentError(f"{where}: {error}") from error


class _Unexpected(Exception):
    """A value has the wrong type."""

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(name)
        self.name, self.value, self.expected = name, value, expected


def _needed(field: Field[Any], values: Mapping[str, Any]) -> bool:
    optional = field.default is not MISSING or field.default_factory is not MISSING
    return field.name not in values and not optional


def _such(field: Field[Any]) -> str:
    default = field.default
    if isinstance(default, tuple):
        return "" if is_dataclass(default[0]) else f", such as {[*default]}"
    return f", such as {default}"


def _unknown(key: str, prefix: str, known: Sequence[str], elsewhere: Sequence[str]) -> str:
    """Say that a key is unknown, and which one it may have meant."""
    said = f"unknown key '{prefix}{key}'"
    for dotted in elsewhere:
        if dotted.rpartition(".")[2] == key:
            return f"{said}; did you mean '{dotted}'?"
    near = difflib.get_close_matches(key, known, 1)
    if near:
        return f"{said}; did you mean '{prefix}{near[0]}'?"
    return f"{said}; there are: {', '.join(known) or 'none'}"


def _converted(value: Any, hint: Any, name: str, where: str) -> Any:
    """Return a value as its type wants it; raises _Unexpected."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        (hint,) = (part for part in parts if part is not type(None))
        return _converted(value, hint, name, where)
    if origin is tuple:
        return _sequence(value, hint, name, where)
    if origin is Literal:
        if value in parts:
            return value
    elif is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else read_section(hint, value, where, f"{name}.")
    elif hint is bool or hint is str:
        if isinstance(value, hint):
            return value
        if hint is bool and str(getattr(value, "dtype", "")) in ("bool", "torch.bool"):
            return bool(value)
    elif hint in (int, float):
        number = _number(value)
        if number is not None and (hint is float or number.is_integer()):
            return hint(value) if isinstance(value, int) else hint(number)
    else:
        return value
    raise _Unexpected(name, value, _expected(hint))


def _sequence(value: Any, hint: Any, name: str, where: str) -> tuple[Any, ...]:
    parts = get_args(hint)
    if isinstance(value, str) and parts[0] is str:
        value = [value]  # one text stands for a list of one
    if getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
        value = list(value)  # an array of numpy or torch
    if not isinstance(value, list | tuple):
        raise _Unexpected(name, value, _expected(hint))
    kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
    if len(kinds) != len(value):
        raise _Unexpected(name, value, _expected(hint))
    places = [f"{name}[{place}]" for place in range(len(value))]
    return tuple(
        _converted(one, kind, place, where)
        for one, kind, place in zip(value, kinds, places, strict=True)
    )


def _number(value: Any) -> float | None:
    """Return a finite number of any type, also numpy's; None for anything else."""
    # YAML takes 1e-3 for a text; people do not. Other texts are none.
    if isinstance(value, str):
        return float(value) if _EXPONENT.fullmatch(value) else None
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return None
    return float(value)


def _expected(hint: Any) -> str:
    """Say in words what a type takes."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (other,) = (part for part in parts if part is not type(None))
        return f"{_expected(other)} or null"
    if origin is tuple:
        several = _NAMES.get(parts[0], ("", "mappings"))[1]
        count = "" if parts[-1] is Ellipsis else f"{len(parts)} "
        return f"a list of {count}{several}"
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    return _NAMES.get(hint, ("a mapping of names to values", ""))[0]
