"""Tensors in and out: their types, their shapes, and where their channels are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from quantal.arguments import whole
from quantal.container import TENSOR_TYPES, TensorInfo
from quantal.errors import ArgumentError

__all__ = ["Array", "Tensors", "by_channel", "channel_axis", "given", "in_shape", "returned"]

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
    if isinstance(tensors, Tensor | np.ndarray):
        return True, [_given(tensors, 0)]
    raise ArgumentError(f"{type(tensors).__name__} found, expected a tensor or a list of them")


def _given(tensor: object, place: int) -> tuple[TensorInfo, Array]:
    if isinstance(tensor, np.ndarray):
        try:
            tensor = torch.from_numpy(np.ascontiguousarray(tensor))
        except TypeError:
            raise _type_error(place, str(tensor.dtype)) from None
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
    plain = tensor.detach().cpu()
    if tensor.is_floating_point():
        wide = plain.double() if tensor.dtype == torch.float64 else plain.float()
        found: Array = wide.numpy()
        if not np.isfinite(found).all():
            raise ArgumentError(
                f"tensor {place} has values that are NaN or infinite; replace them first"
            )
        return TensorInfo(name, tuple(tensor.shape)), found
    return TensorInfo(name, tuple(tensor.shape)), plain.long().numpy()


def _type_error(place: int, name: str) -> ArgumentError:
    return ArgumentError(f"tensor {place} is {name}, expected one of {', '.join(TENSOR_TYPES)}")


def returned(info: TensorInfo, values: Array) -> Tensor:
    """Return values, float64 or int64 in the tensor's shape, as a tensor of its type."""
    with np.errstate(over="ignore"):
        if info.dtype == "bfloat16":
            return torch.from_numpy(values.astype(np.float32)).bfloat16()
        return torch.from_numpy(values.astype(np.dtype(info.dtype)))


def channel_axis(shape: Sequence[int], wanted: int | None) -> int | None:
    """Return the axis of the channels, counted from 0; None if all values are one channel.

    Args:
        shape: of the tensor.
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


def in_shape(values: Array, shape: tuple[int, ...], axis: int | None) -> Array:
    """Reverse by_channel()."""
    if axis is None:
        return values.reshape(shape)
    others = [size for place, size in enumerate(shape) if place != axis]
    return np.moveaxis(values.reshape(shape[axis], *others), 0, axis)
