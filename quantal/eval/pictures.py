"""The pictures of a folder that is measured, and what else is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantal.errors import EvaluationError
from quantal.eval.clips import CLIP_SUFFIXES
from quantal.eval.texts import as_text
from quantal.media import PICTURE_SUFFIXES

__all__ = ["Found", "find_pictures", "is_picture", "look_over", "reason_unreadable", "some"]


@dataclass(frozen=True)
class Found:
    """The files of a folder.

    Attributes:
        pictures: Files with the suffix of a picture, or of a clip where clips are measured, sorted
            by name; some may be unreadable.
        others: All other files, except hidden ones.
        called: What the former are.
    """

    pictures: tuple[Path, ...]
    others: tuple[Path, ...]
    called: str = "pictures"

    def notes(self) -> Iterator[str]:
        """Yield a sentence about files that are no pictures, if there are any."""
        if self.others:
            kinds = Counter(as_text(path.suffix.lower() or path.name) for path in self.others)
            listed = some([f"{count} {kind}" for kind, count in kinds.most_common()])
            one = f" that is not a {self.called.removesuffix('s')}"
            many = f"s that are not {self.called}" if len(self.others) > 1 else one
            yield f"skipped {len(self.others)} file{many}: {listed}"


def find_pictures(data: Path) -> tuple[Path, ...]:
    """Return the pictures of a folder, sorted by name; EvaluationError if there are none."""
    return look_over(data).pictures


#: What files of each kind of media are called, what is expected, and which they are.
_KINDS: Mapping[str, tuple[str, str, Collection[str]]] = {
    "picture": ("pictures", ".png, .jpg, .webp", PICTURE_SUFFIXES),
    "video": ("clips", ".mp4, .mkv, .y4m", CLIP_SUFFIXES),
}


def look_over(data: Path, kind: str = "picture") -> Found:
    """Return what a folder holds, or one picture or clip alone.

    Args:
        data: The folder, or the file.
        kind: What is measured, "picture" or "video".

    Raises:
        EvaluationError: The folder is not there, can't be listed, or holds nothing of that kind.
    """
    name = as_text(data)
    called, expected, suffixes = _KINDS[kind]
    if not data.exists():
        raise EvaluationError(f"there is no {name}; expected a folder of {called}")
    try:
        entries = sorted(data.iterdir()) if data.is_dir() else [data]
    except OSError as error:
        raise EvaluationError(f"{name} can't be listed: {error.strerror}") from error
    files = [path for path in entries if not path.is_dir()]
    found = tuple(path for path in files if path.suffix.lower() in suffixes)
    if not found:
        kinds = sorted({path.suffix or path.name for path in files})
        what = f"only other files ({', '.join(kinds[:5])})" if files else "and no other files"
        folders = [path.name for path in entries if path.is_dir()]
        below = f"; its folders are {', '.join(folders[:5])}: name one of them" if folders else ""
        raise EvaluationError(
            as_text(f"{name} holds no {called}, {what}; expected {expected} or similar{below}")
        )
    others = (path for path in files if path not in found and not path.name.startswith("."))
    return Found(found, tuple(others), called)


def is_picture(path: Path) -> bool:
    """Whether a file has the suffix of a picture."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def reason_unreadable(path: Path) -> str | None:
    """Return why a file can't be read, such as a link to nothing; None if it can."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for a writer
            return "is not a file"
        with path.open("rb"):
            return None
    except OSError as error:
        target = " (a link to nothing)" if path.is_symlink() and not path.exists() else ""
        return f"can't be opened: {error.strerror or error}{target}"


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
