"""The .qtl file format: fields, parts, chunks, checksums and limits.

The specification is docs/reference/format.md.
Only the standard library is needed, so that files can be inspected and checked without models. The
content of the image part and of frames is defined by quantal.codecs.
"""

from __future__ import annotations

from quantal.container._clip_fields import (
    CHUNK_KINDS,
    CLIP_FIELDS,
    GROUP_LIMIT,
    TRACK_KINDS,
    describe,
)
from quantal.container._clip_model import (
    About,
    Chapter,
    ClipHeader,
    ClipInfo,
    CodedFrame,
    Group,
    Packet,
    Track,
    TrackInfo,
)
from quantal.container._clip_reader import ClipReader, probe_clip
from quantal.container._clip_writer import ClipWriter
from quantal.container._features import (
    FEATURE_FIELDS,
    TENSOR_TYPES,
    FeatureHeader,
    FeatureInfo,
    TensorInfo,
    probe_features,
    read_features,
    write_features,
)
from quantal.container._field import Field, FieldValue
from quantal.container._fields import FIELDS, MAGIC, PART_KINDS, media_of
from quantal.container._file import HEADER_LIMIT, probe, read, read_part, write
from quantal.container._group_table import GroupInfo, GroupTable
from quantal.container._model import File, Header, Info, Part, PartInfo
from quantal.container._rate import RATES, quality_to_rate, rate_to_quality

__all__ = [
    "CHUNK_KINDS",
    "CLIP_FIELDS",
    "FEATURE_FIELDS",
    "FIELDS",
    "GROUP_LIMIT",
    "HEADER_LIMIT",
    "MAGIC",
    "PART_KINDS",
    "RATES",
    "TENSOR_TYPES",
    "TRACK_KINDS",
    "About",
    "Chapter",
    "ClipHeader",
    "ClipInfo",
    "ClipReader",
    "ClipWriter",
    "CodedFrame",
    "FeatureHeader",
    "FeatureInfo",
    "Field",
    "FieldValue",
    "File",
    "Group",
    "GroupInfo",
    "GroupTable",
    "Header",
    "Info",
    "Packet",
    "Part",
    "PartInfo",
    "TensorInfo",
    "Track",
    "TrackInfo",
    "describe",
    "media_of",
    "probe",
    "probe_clip",
    "probe_features",
    "quality_to_rate",
    "rate_to_quality",
    "read",
    "read_features",
    "read_part",
    "write",
    "write_features",
]
