"""A cache of loaded codecs."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantal.codecs.contract import Codec

__all__ = ["LoadedCodecs"]


class LoadedCodecs:
    """A cache of loaded codecs, least recently used out first.

    Each codec is built once, even if several threads ask at the same time.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._kept: OrderedDict[Any, Future[Codec]] = OrderedDict()

    def get(self, key: Any, build: Callable[[], Codec]) -> Codec:
        """Return the codec of a key; `build` makes it where it is not kept."""
        with self._lock:
            future = self._kept.get(key)
            new = future is None
            if future is None:
                future = self._kept[key] = Future()
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(key)
        if new:
            try:
                future.set_result(build())
            except BaseException as error:
                with self._lock:
                    if self._kept.get(key) is future:
                        del self._kept[key]
                future.set_exception(error)
        return future.result()

    def renew(self) -> None:
        """Forget the lock and what other threads were building, which a fork does not copy."""
        self._lock = threading.Lock()
        for key in [key for key, future in self._kept.items() if not future.done()]:
            del self._kept[key]
