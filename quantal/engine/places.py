"""Folders of this machine or of whatever fsspec reaches: listed, read, and written whole or not.

A place is a path, or a URL such as s3://bucket/photos, gs://bucket/photos or file:///photos.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from quantal import extras
from quantal.errors import ArgumentError, InstallError, MediaError, OutputError, QuantalError

__all__ = ["Entry", "FullError", "Place", "is_remote"]

#: Stores that show an object only once it is complete: a second name would be a copy of it.
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "memory"})
#: What brings the file system of a protocol, where fsspec's own message does not say it.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
}
#: Keys under which file systems give the time of the last change, or a mark that changes with it.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created", "blob_id")


class FullError(OutputError):
    """A target has no room left, for this result and for all others."""


@dataclass(frozen=True)
class Entry:
    """A file of a place.

    Attributes:
        path: Below the place, with slashes.
        size: In bytes.
        mtime: The time of the last change as text, which is only compared.
    """

    path: str
    size: int
    mtime: str


def is_remote(name: str) -> bool:
    """Whether a name is a URL."""
    return "://" in name


class Place:
    """A folder by its path or its URL.

    Args:
        name: The path or the URL.

    Raises:
        InstallError: What reaches it is not installed.
        ArgumentError: Nothing reaches it.
    """

    def __init__(self, name: str) -> None:
        fsspec = extras.imported("fsspec", "places of files")
        self.name = name if is_remote(name) else os.path.abspath(name)
        protocol = name.partition("://")[0].rpartition("::")[2] if is_remote(name) else "file"
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.name)
        except ImportError as error:
            package = _PACKAGES.get(protocol)
            remedy = f"pip install {package}" if package else str(error)
            raise InstallError(f"{name} needs a package that is not installed: {remedy}") from error
        except (ValueError, OSError) as error:
            raise ArgumentError(
                f"{name} can't be reached: {error}; name a path or a URL"
            ) from error
        self._root = str(self._root).rstrip("/") or "/"
        self.local = protocol in ("file", "local")
        self._whole = protocol in _WHOLE

    def url(self, path: str) -> str:
        """Return the name of a file."""
        return f"{self.name.rstrip('/')}/{path}" if path else self.name

    def list(
        self, suffixes: Collection[str], recursive: bool, failed: Callable[[str, str], None]
    ) -> Iterator[Entry]:
        """Yield files that have one of some suffixes; names that start with a dot are left out.

        Args:
            suffixes: In lower case, with their dots; none for all.
            recursive: Whether folders of the folder count.
            failed: Called with the name of a folder that can't be listed, and the reason.

        Raises:
            MediaError: The place can't be listed.
        """
        with _as(MediaError, self.name, "listed"):
            if self._fs.isfile(self._root):
                raise MediaError(f"{self.name} is a file; name the folder that it is in")
            self._fs.ls(self._root, detail=False)  # raises what find() and walk() leave out
            for info in self._infos(recursive, failed):
                path = str(info["name"])[len(self._root) :].lstrip("/")
                hidden = any(part.startswith(".") for part in path.split("/"))
                if hidden or (suffixes and os.path.splitext(path)[1].lower() not in suffixes):
                    continue
                changed = next((info[key] for key in _TIMES if info.get(key) is not None), "")
                yield Entry(path, int(info.get("size") or 0), str(changed))

    def _infos(
        self, recursive: bool, failed: Callable[[str, str], None]
    ) -> Iterator[dict[str, Any]]:
        if not self.local:  # one listing of all, where walking asks for each folder
            depth = None if recursive else 1
            found = self._fs.find(self._root, maxdepth=depth, detail=True)
            yield from found.values()
            return

        def omitted(error: OSError) -> None:
            failed(str(error.filename or self.name), f"can't be listed: {error.strerror or error}")

        for here, folders, files in os.walk(self._root, onerror=omitted):
            folders[:] = sorted(each for each in folders if recursive and each[0] != ".")
            for name in sorted(files):
                path = os.path.join(here, name)
                if os.path.isfile(path):  # a pipe may wait for a writer for ever
                    about = os.stat(path)
                    yield {"name": path, "size": about.st_size, "mtime": about.st_mtime_ns}

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return a file's bytes from `start` to `end`; MediaError if it can't be read."""
        with _as(MediaError, self.url(path), "read"):
            data = self._fs.cat_file(self._at(path), start=start, end=end)
            return bytes(data)

    def open(self, path: str) -> Any:
        """Open a file for reading at any position."""
        with _as(MediaError, self.url(path), "read"):
            return self._fs.open(self._at(path), "rb")

    def exists(self, path: str = "") -> bool:
        """Whether a file or a folder is there."""
        with _as(MediaError, self.url(path), "read"):
            return bool(self._fs.exists(self._at(path)))

    def is_file(self) -> bool:
        """Whether the place is no folder but a file."""
        with _as(MediaError, self.name, "read"):
            return bool(self._fs.isfile(self._root))

    def write(self, path: str, data: bytes) -> None:
        """Write a file, which appears whole or not at all and replaces one that is there.

        Raises:
            FullError: No room is left.
            OutputError: It can't be written for another reason.
        """
        target = self._at(path)
        folder, _, name = target.rpartition("/")
        with _as(OutputError, self.url(path), "written"):
            if self._whole:
                self._fs.pipe_file(target, data)
                return
            self._fs.makedirs(folder, exist_ok=True)
            # 60 characters are at most 240 bytes; with the rest, a name has at most 255.
            temporary = f"{folder}/.{name[:60]}.{secrets.token_hex(4)}.part"
            try:
                self._fs.pipe_file(temporary, data)
                if self.local:
                    os.replace(temporary, target)
                else:
                    self._fs.mv(temporary, target)
            except BaseException:  # Ctrl-C too: no half file may stay
                with suppress(Exception):
                    self._fs.rm_file(temporary)
                raise

    def create(self, path: str, data: bytes) -> bool:
        """Write a small file unless it is there; return whether it was written.

        Two calls at once don't both succeed, where the file system can promise that.
        """
        with _as(OutputError, self.url(path), "written"):
            if not self._whole:
                self._fs.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)
            try:
                self._fs.pipe_file(self._at(path), data, mode="create")
            except FileExistsError:
                return False
            except OSError as error:  # S3 answers so where an object is there
                if "PreconditionFailed" not in str(error):
                    raise
                return False
            return True

    def remove(self, path: str) -> None:
        """Remove a file or a folder with all that is in it; nothing if it is not there."""
        with _as(OutputError, self.url(path), "removed"), suppress(FileNotFoundError):
            self._fs.rm(self._at(path), recursive=True)

    def forget(self) -> None:
        """Drop listings that were kept, so that the next one sees what others have written."""
        self._fs.invalidate_cache()

    def _at(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else self._root


@contextmanager
def _as(kind: type[QuantalError], name: str, done: str) -> Iterator[None]:
    """Convert errors of any file system to one of ours, which names the file."""
    try:
        yield
    except QuantalError:
        raise
    except FileNotFoundError as error:
        raise kind(f"{name} can't be {done}: it is not there") from error
    except PermissionError as error:
        raise kind(
            f"{name} can't be {done}: no permission; give this user access, or set credentials"
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FullError(f"{name} can't be {done}: the disk is full") from error
        raise kind(f"{name} can't be {done}: {error.strerror or error}") from error
    except Exception as error:  # of a client of its own, such as an endpoint that does not answer
        text = " ".join(str(error).split())
        raise kind(f"{name} can't be {done}: {type(error).__name__}: {text}") from error
