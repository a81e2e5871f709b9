"""The .qtl file format: fields, parts, checksums and limits; docs/format.md specifies it.

Only the standard library is needed, so that files can be inspected and checked without models. The
content of the image part is defined by quantal.codecs.
"""

from __future__ import annotations

from quantal.container._fields import FIELDS, MAGIC, PART_KINDS, Field, FieldValue, describe
from quantal.container._file import HEADER_LIMIT, probe, read, read_part, write
from quantal.container._model import File, Header, Info, Part, PartInfo
from quantal.container._rate import RATES, quality_to_rate, rate_to_quality

__all__ = [
    "FIELDS",
    "HEADER_LIMIT",
    "MAGIC",
    "PART_KINDS",
    "RATES",
    "Field",
    "FieldValue",
    "File",
    "Header",
    "Info",
    "Part",
    "PartInfo",
    "describe",
    "probe",
    "quality_to_rate",
    "rate_to_quality",
    "read",
    "read_part",
    "write",
]
