"""Tables of text as programs and people write them: CSV with commas, semicolons, tabs or spaces.

The line of heads decides what separates columns. Heads are returned in lower case, without spaces.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quantal.errors import EvaluationError
from quantal.eval.texts import as_text

__all__ = ["read_delimited"]

#: Columns that are never numbers.
_TEXTS = frozenset({"codec", "version", "picture", "digest", "error", "run"})
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_SEPARATOR_LINE = re.compile(r"\s*sep=(.)[ \t]*\r?\n")  # Excel's own


def read_delimited(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a table, with numbers as float and empty fields as None.

    Numbers have a decimal point; where columns are not separated by commas, also a decimal comma.

    Raises:
        EvaluationError: The file can't be read, or is no such table.
    """
    text = _text_of(path)
    given = _SEPARATOR_LINE.match(text)
    text = (text[given.end() :] if given else text).lstrip("# \r\n")  # numpy writes a hash
    delimiter = given[1] if given else _delimiter_of(text)
    heads: list[str] = []
    rows = []
    for number, fields in _records(path, text, delimiter):
        while fields and not fields[-1] and len(fields) > len(heads):
            fields.pop()
        if not heads:
            heads = _heads(path, fields)
        elif len(fields) == len(heads):
            values = (_value(n, f, delimiter) for n, f in zip(heads, fields, strict=True))
            rows.append(dict(zip(heads, values, strict=True)))
        else:
            commas = "; decimal commas need semicolons between columns" if delimiter == "," else ""
            raise EvaluationError(
                f"{as_text(path)}: the row that ends at line {number} has {len(fields)} fields, "
                f"expected {len(heads)}: {', '.join(heads)}{commas}"
            )
    return rows


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"{as_text(path)} can't be opened: {error.strerror}") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    # Names in another encoding than UTF-8 do not matter beside numbers.
    text = data.decode("utf-16" if wide else "utf-8-sig", "backslashreplace")
    if "\0" in text:
        raise EvaluationError(f"{as_text(path)} is not a CSV table: it holds bytes that are 0")
    return text if "\n" in text else text.replace("\r", "\n")


def _delimiter_of(text: str) -> str:
    """Return what separates the heads of a table."""
    first = re.sub(r'"[^"]*"', "", text.partition("\n")[0]).strip(" \r")
    return next((d for d in (";", "\t", ",", " ") if d in first), ",")


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the fields of every row that has some, and the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if delimiter == " ":
                fields = [field for field in fields if field]
            if any(fields):
                yield reader.line_num, fields
    except csv.Error as error:
        raise EvaluationError(
            f"{as_text(path)} is not a CSV table: line {reader.line_num}: {error}"
        ) from error


def _heads(path: Path, fields: list[str]) -> list[str]:
    heads = [field.casefold() for field in fields]
    doubled = [head for head in heads if heads.count(head) > 1]
    if doubled:
        raise EvaluationError(f"{as_text(path)} has the column {doubled[0]!r} twice")
    return heads


def _value(name: str, text: str, delimiter: str) -> float | str | None:
    if not text:
        return None
    if name in _TEXTS:  # a picture may have the name 01, a file the digest 12e45678
        return text
    if delimiter != "," and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return text
