"""All families of codecs: of this package, of other packages, of plugins and of this process."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from quantal.codecs.family import CodecEntry, Family
from quantal.errors import ArgumentError, ModelError, QuantalWarning

__all__ = ["PLUGINS_VARIABLE", "Catalogue"]

_GROUP = "quantal.codecs"
#: Modules, separated by commas, that are imported because they register codecs; processes that
#: this one starts import them too.
PLUGINS_VARIABLE = "QUANTAL_PLUGINS"


def _own_families() -> Iterator[Family]:
    """Yield the families of the folders beside this file."""
    package = importlib.import_module("quantal.codecs")
    for module in pkgutil.iter_modules(package.__path__):
        if module.ispkg:
            found = importlib.import_module(f"quantal.codecs.{module.name}")
            for value in vars(found).values():
                if isinstance(value, Family):
                    yield value


def _installed_families() -> Iterator[Family]:
    """Yield the families of other packages; a broken one is left out with a warning."""
    for point in entry_points(group=_GROUP):
        try:
            found = point.load()
            if not isinstance(found, Family):
                raise TypeError(f"{point.value} is not a Family")
        except Exception as error:  # another package's error must not disable other codecs
            message = f"the codec {point.name!r} of another package is left out: {error}"
            warnings.warn(message, QuantalWarning, stacklevel=4)
            continue
        yield found


def _import_plugin(name: str) -> None:
    """Import a module by its name or by the path of its file."""
    if not name.endswith(".py"):
        importlib.import_module(name)
        return
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Importable by name, so that its classes and functions can be pickled.
    sys.modules.setdefault(spec.name, module)
    spec.loader.exec_module(module)


class Catalogue:
    """All families, collected once, and the codecs that this process registered."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._families: dict[str, Family] | None = None
        self._registered: dict[str, Family] = {}
        self._plugins: set[str] = set()
        self.instances: dict[str, Any] = {}

    def renew(self) -> None:
        """Forget the lock, which a thread of the parent process may hold."""
        self._lock = threading.RLock()

    def families(self) -> dict[str, Family]:
        """Return families by name; registered ones come last."""
        with self._lock:
            if self._families is None:
                found: dict[str, Family] = {}
                for family in (*_own_families(), *_installed_families()):
                    found.setdefault(family.name, family)
                self._families = found
            self._import_plugins()
            return {**self._families, **self._registered}

    def _import_plugins(self) -> None:
        for name in filter(None, os.environ.get(PLUGINS_VARIABLE, "").split(",")):
            if name not in self._plugins:
                self._plugins.add(name)  # before the import: a plugin may list codecs
                try:
                    _import_plugin(name)
                except Exception as error:
                    raise ModelError(f"the plugin {name!r} can't be imported: {error}") from error

    def entries(self) -> dict[str, tuple[CodecEntry, Family]]:
        """Return codecs by name, with their families."""
        found: dict[str, tuple[CodecEntry, Family]] = {}
        for family in self.families().values():
            for entry in family.codecs:
                found.setdefault(entry.name, (entry, family))
        return found

    def add(self, family: Family) -> None:
        """Register a family; it replaces one of the same name that was registered before."""
        with self._lock:
            others = [f for f in self.families().values() if f.name not in self._registered]
            taken = {entry.name for other in others for entry in other.codecs}
            for entry in family.codecs:
                if entry.name in taken:
                    raise ArgumentError(
                        f"there is a codec {entry.name!r} already; choose another name"
                    )
            self._registered[family.name] = family
