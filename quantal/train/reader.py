"""Reading a recipe: YAML and overrides to a Recipe, whose sections are typed by the family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from quantal.errors import ArgumentError
from quantal.train.recipe import Recipe
from quantal.train.sections import read_section
from quantal.train.trainer import trainer_of

__all__ = ["make_recipe", "read_recipe"]


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a YAML file.

    Args:
        path: path to the file.
        overrides: `key=value` with values in YAML; dots in a key reach into sections.

    Raises:
        ArgumentError: If the file can't be read, a key is unknown or missing, or a value is wrong.
        ModelError: If there is no such codec, or none that can be trained.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ArgumentError(
            f"the recipe {path} is not text in UTF-8; name a YAML file, as those in recipes/"
        ) from error
    except (OSError, yaml.YAMLError) as error:
        raise ArgumentError(f"the recipe {path} can't be read: {error}") from error
    if not isinstance(values, dict):
        raise ArgumentError(f"the recipe {path} is not a mapping of keys to values")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise ArgumentError(f"override {override!r} is not key=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ArgumentError(f"override {override!r} is not YAML: {error}") from error
        _set(values, key, value)
    return make_recipe(values, str(path))


def make_recipe(values: Mapping[str, Any], where: str = "the recipe") -> Recipe:
    """Return a recipe from a mapping, as YAML gives it.

    Args:
        values: keys of Recipe; `model` and `objective` are mappings or absent.
        where: what errors begin with.

    Raises:
        ArgumentError: If a key is unknown or missing, or a value is wrong.
        ModelError: If there is no such codec, or none that can be trained.
    """
    codec = values.get("codec")
    if not isinstance(codec, str):
        said = "missing keys: codec" if codec is None else f"`codec` is {codec!r}, expected a text"
        raise ArgumentError(f"{where}: {said}; name a codec")
    trainer = trainer_of(codec)
    kinds = {"model": trainer.sizes, "objective": trainer.settings}
    inside = [f"{name}.{field.name}" for name, kind in kinds.items() for field in fields(kind)]
    # The flat keys first: one of them may be a section's.
    flat = read_section(Recipe, values, where, elsewhere=inside)
    sections = {}
    for name, kind in kinds.items():
        given = getattr(flat, name)
        sections[name] = read_section(kind, {} if given is None else given, where, f"{name}.")
    recipe = read_section(Recipe, {**values, **sections}, where)
    try:
        trainer.check(recipe)
    except ArgumentError as error:
        raise ArgumentError(f"{where}: {error}") from error
    return recipe


def _set(values: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for name in path:
        section: object = values.setdefault(name, {})
        if not isinstance(section, dict):
            raise ArgumentError(f"override {dotted!r}: {name!r} is a value, not a section")
        values = section
    values[last] = value
