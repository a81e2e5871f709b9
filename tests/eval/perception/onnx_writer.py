"""Small ONNX files, written byte by byte: the package onnx is not needed for three nodes.

Field numbers are those of onnx.proto (ONNX 1.x, IR version 8, opset 13).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FLOAT, _INT, _INTS, _TENSOR = 1, 2, 7, 4  # AttributeProto.AttributeType, TensorProto.FLOAT


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def tensor(values: NDArray[np.float32]) -> bytes:
    """A TensorProto."""
    dims = b"".join(_field(1, size) for size in values.shape)
    data = struct.pack(f"<{values.size}f", *values.ravel().tolist())
    return dims + _field(2, _FLOAT) + _field(9, data)


def node(
    op: str, inputs: Sequence[str], output: str, **attributes: int | list[int] | bytes
) -> bytes:
    """A NodeProto; attributes are a number, a list of numbers, or a tensor's bytes."""
    coded = b""
    for name, value in attributes.items():
        if isinstance(value, int):
            body = _field(3, value) + _field(20, _INT)
        elif isinstance(value, bytes):
            body = _field(5, value) + _field(20, _TENSOR)
        else:
            body = b"".join(_field(8, item) for item in value) + _field(20, _INTS)
        coded += _field(5, _field(1, name) + body)
    head = b"".join(_field(1, name) for name in inputs)
    return head + _field(2, output) + _field(4, op) + coded


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(
        _field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape
    )
    kind = _field(1, _field(1, _FLOAT) + _field(2, dims))
    return _field(1, name) + _field(2, kind)


def write(
    path: Path,
    nodes: Sequence[bytes],
    shape: Sequence[int | str],
    output: Sequence[int | str],
    metadata: dict[str, str] | None = None,
) -> Path:
    """A model with the input "x" of a shape and the output "y"; a name stands for any size."""
    graph = b"".join(_field(1, one) for one in nodes) + _field(2, "tiny")
    graph += _field(11, _value("x", shape)) + _field(12, _value("y", output))
    model = _field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph)
    for key, value in (metadata or {}).items():
        model += _field(14, _field(1, key) + _field(2, value))
    path.write_bytes(model)
    return path
