"""Tensors in and out: their types, their shapes, and where their channels are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantal.arguments import whole
from quantal.container import TENSOR_TYPES, TensorInfo
from quantal.errors import ArgumentError

__all__ = [
    "Array",
    "Tensors",
    "by_channel",
    "channel_axis",
    "given",
    "in_shape",
    "returned",
    "sampled",
    "single_precision",
]

Array = npt.NDArray[Any]
#: What can be encoded: a tensor or a list of them, of torch or of numpy.
Tensors: TypeAlias = Tensor | Array | Sequence[Tensor | Array]

#: Dimensions that a tensor may have.
_DIMENSIONS = 8


def given(tensors: Tensors) -> tuple[bool, list[tuple[TensorInfo, Array]]]:
    """Return whether it is one tensor, and all of them with their types and shapes.

    Arrays are float64 for float64, float32 for all other floats, int64 for integers.

    Raises:
        ArgumentError: If one is of another type, has too many dimensions, or is not finite.
    """
    if isinstance(tensors, list | tuple):
        return False, [_given(tensor, place) for place, tensor in enumerate(tensors)]
    if isinstance(tensors, Tensor | np.ndarray | np.generic):
        return True, [_given(tensors, 0)]
    raise ArgumentError(f"{type(tensors).__name__} found, expected a tensor or a list of them")


def sampled(
    samples: Tensors | Iterable[Tensors], channels: int | None
) -> list[tuple[TensorInfo, Array, int | None]]:
    """Return each tensor of samples with its values [C, n] in single precision, and their axis.

    Args:
        samples: tensors, or lists of them; a tensor by itself is one sample.
        channels: the axis of the channels; see encode().

    Raises:
        ArgumentError: If there are none, or their numbers of channels differ.
    """
    several = [samples] if isinstance(samples, Tensor | np.ndarray) else samples
    found = []
    for each in several:
        for info, values in given(each)[1]:
            axis = channel_axis(info.shape, channels)
            found.append((info, single_precision(by_channel(values, axis)), axis))
    counts = sorted({len(values) for _, values, _ in found})
    if len(counts) != 1:
        counted = ", ".join(map(str, counts)) or "no"
        raise ArgumentError(f"samples have {counted} channels, expected one number for all")
    return found


def _given(tensor: object, place: int) -> tuple[TensorInfo, Array]:
    if isinstance(tensor, np.ndarray | np.generic):
        tensor = _from_numpy(np.asanyarray(tensor), place)
    if not isinstance(tensor, Tensor):
        raise ArgumentError(
            f"tensor {place} is a {type(tensor).__name__}, expected one of torch or numpy"
        )
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in TENSOR_TYPES:
        raise _type_error(place, name)
    if tensor.ndim > _DIMENSIONS:
        raise ArgumentError(
            f"tensor {place} has {tensor.ndim} dimensions, expected at most {_DIMENSIONS}; reshape "
            "it"
        )
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise ArgumentError(f"tensor {place} is sparse or quantised, expected a dense one")
    if tensor.is_meta:
        raise ArgumentError(f"tensor {place} is on the meta device, expected one with values")
    # numpy takes no view that torch negates when it is read.
    plain = tensor.detach().cpu().resolve_neg()
    if tensor.is_floating_point():
        wide = plain.double() if tensor.dtype == torch.float64 else plain.float()
        found: Array = wide.numpy()
        if not np.isfinite(found).all():
            raise ArgumentError(
                f"tensor {place} has values that are NaN or infinite; replace them first"
            )
        return TensorInfo(name, tuple(tensor.shape)), found
    return TensorInfo(name, tuple(tensor.shape)), plain.long().numpy()


def _from_numpy(array: Array, place: int) -> Tensor:
    """Return an array as a tensor, copied where torch would refuse it or warn."""
    if isinstance(array, np.ma.MaskedArray):
        raise ArgumentError(f"tensor {place} is a masked array, expected a plain one; fill it")
    try:
        return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))
    except TypeError:
        raise _type_error(place, str(array.dtype)) from None


def _type_error(place: int, name: str) -> ArgumentError:
    return ArgumentError(f"tensor {place} is {name}, expected one of {', '.join(TENSOR_TYPES)}")


def returned(info: TensorInfo, values: Array) -> Tensor:
    """Return values as a contiguous tensor of a type.

    A float beyond the largest finite number of the type becomes that number: what was encoded was
    finite, so this brings it nearer.

    Args:
        info: the type.
        values: floats or int64 in the tensor's shape; floats may be overwritten.
    """
    if values.dtype.kind == "f":
        largest = torch.finfo(getattr(torch, info.dtype)).max
        np.clip(values, -largest, largest, out=values)
    kind = np.dtype("float32" if info.dtype == "bfloat16" else info.dtype)
    found = torch.from_numpy(values.astype(kind, order="C", copy=False))
    return found.bfloat16() if info.dtype == "bfloat16" else found


def channel_axis(shape: Sequence[int], wanted: int | None) -> int | None:
    """Return the axis of the channels, counted from 0; None if all values are one channel.

    Args:
        shape: the shape of the tensor.
        wanted: the axis, from 0 or from -1 backwards; None: the third from the end, as of feature
            maps, of a matrix the last, as of tokens.

    Raises:
        ArgumentError: If there is no such axis.
    """
    if wanted is None:
        return None if len(shape) < 2 else len(shape) - 3 if len(shape) > 2 else 1
    axis = whole("channels", wanted)
    if not -len(shape) <= axis < len(shape):
        raise ArgumentError(f"a tensor of {len(shape)} dimensions has no axis {axis}")
    return axis % len(shape)


def by_channel(values: Array, axis: int | None) -> Array:
    """Return a tensor's values as [C, n], the channels first."""
    if axis is None:
        return values.reshape(1, -1)
    moved = np.moveaxis(values, axis, 0)
    return moved.reshape(len(moved), -1) if moved.size else moved.reshape(len(moved), 0)


def single_precision(values: Array) -> npt.NDArray[np.float32]:
    """Return finite values as float32.

    Raises:
        ArgumentError: If one is too large.
    """
    with np.errstate(over="ignore"):
        found: npt.NDArray[np.float32] = values.astype(np.float32)
    if not np.isfinite(found).all():
        raise ArgumentError("features are too large for float32; scale them")
    return found


def in_shape(values: Array, shape: tuple[int, ...], axis: int | None) -> Array:
    """Reverse by_channel()."""
    if axis is None:
        return values.reshape(shape)
    others = [size for place, size in enumerate(shape) if place != axis]
    return np.moveaxis(values.reshape(shape[axis], *others), 0, axis)
