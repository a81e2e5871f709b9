"""One call at a time into one target: a file that says who is at work, and since when."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from quantal.engine.places import Place
from quantal.errors import OutputError, QuantalError

__all__ = ["locked"]

_FOLDER = ".quantal/lock"
_BEAT = 30.0  # seconds between two signs of life
_SILENCE = 300.0  # seconds without one after which a process of another machine counts as dead
_NAME = re.compile(r"^(\d+)\.json$")


@contextmanager
def locked(target: Place) -> Iterator[None]:
    """Keep others out of a target; a lock whose process is dead is taken over.

    Locks are numbered: a process that takes one over creates the next, which only one can. Whoever
    finds another that is alive afterwards gives way.

    Raises:
        OutputError: Another call works in this target.
    """
    token = secrets.token_hex(8)
    held = _living(target, token)
    number = 1 + max(_numbers(target), default=0)
    mine = f"{_FOLDER}/{number}.json"
    if held is None and not target.create(mine, _content(token)):
        held = "another call has just begun"
    if held is None:
        held = _living(target, token)
        if held is not None:
            target.remove(mine)
    if held is not None:
        raise OutputError(f"{target.name} is in use: {held}; wait for it, or name another target")
    for other in _numbers(target):
        if other < number:
            target.remove(f"{_FOLDER}/{other}.json")
    ended = threading.Event()
    beat = threading.Thread(target=_beat, args=(target, mine, token, ended), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        with suppress(QuantalError):
            target.remove(mine)


def _beat(target: Place, path: str, token: str, ended: threading.Event) -> None:
    while not ended.wait(_BEAT):
        with suppress(QuantalError):  # a full disk or a silent store; the next may succeed
            target.write(path, _content(token))


def _content(token: str) -> bytes:
    about = {
        "token": token,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "began": _began(os.getpid()),
        "seen": time.time(),
    }
    return json.dumps(about).encode()


def _numbers(target: Place) -> list[int]:
    if not target.exists(_FOLDER):
        return []
    place = Place(target.url(_FOLDER))
    place.forget()
    found = place.list({".json"}, False, lambda name, reason: None)
    return [int(match[1]) for entry in found if (match := _NAME.match(entry.path))]


def _living(target: Place, token: str) -> str | None:
    """Return who else is at work; None if nobody is."""
    for number in _numbers(target):
        try:
            about = json.loads(target.read(f"{_FOLDER}/{number}.json"))
            host, pid, seen = str(about["host"]), int(about["pid"]), float(about["seen"])
            began, other = about["began"], about["token"]
        except QuantalError:  # it has just ended
            continue
        except (ValueError, KeyError, TypeError):  # a machine that failed while it was written
            continue
        if other == token:
            continue
        if host == socket.gethostname():
            alive = _began(pid) == began
        else:
            alive = time.time() - seen < _SILENCE
        if alive:
            return f"process {pid} on {host} works there"
    return None


def _began(pid: int) -> str | None:
    """Return when a process of this machine began, or None if it is dead: numbers are reused."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        if os.path.isdir("/proc/self"):
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:  # of another user
        pass
    return "alive"
