"""A picture of a data set, a batch of them, and how the one becomes the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from quantal.arguments import choice
from quantal.errors import ArgumentError, CorruptError
from quantal.latents._failures import Failed
from quantal.names import shown

__all__ = ["Batch", "Sample", "collate"]

_SIZES = ("equal", "pad", "group")
_RATES = ("any", "equal", "group")


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of a data set.

    Attributes:
        name: name of its file.
        label: number of its class; a text where classes have no numbers.
        codec: name of its codec.
        model_hash: hash of the codec's model, 4 bytes.
        width: width of what `values` cover, in pixels.
        height: height of what `values` cover, in pixels.
        rate: 0..252.
        kind: what the data set was asked for: "symbols", "grid" or "latents".
        stride: pixels per latent along each axis; 0 if `kind` is "symbols".
        values: the symbols in coding order, or one tensor [M, h, w].
    """

    name: str
    label: int | str
    codec: str
    model_hash: bytes
    width: int
    height: int
    rate: int
    kind: str
    stride: int
    values: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures of one codec and model.

    Attributes:
        names: names of their files.
        labels: int64 [B]; a list where labels are texts.
        codec: name of their codec.
        model_hash: hash of the codec's model, 4 bytes.
        sizes: height and width in pixels, int64 [B, 2].
        rates: 0..252, int64 [B].
        values: the values of all pictures, [B, ...] each.
        masks: True where a value is a picture's own, bool [B, h, w] for each of `values` (for
            values without height and width, of their shape); None unless sizes were padded.
        failures: pictures that are left out because they can't be read.
    """

    names: list[str]
    labels: Tensor | list[int | str]
    codec: str
    model_hash: bytes
    sizes: Tensor
    rates: Tensor
    values: tuple[Tensor, ...]
    masks: tuple[Tensor, ...] | None = None
    failures: tuple[Failed, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch with its tensors on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Return the batch in memory from which a GPU copies; a DataLoader calls it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            labels=change(self.labels) if isinstance(self.labels, Tensor) else self.labels,
            sizes=change(self.sizes),
            rates=change(self.rates),
            values=tuple(map(change, self.values)),
            masks=None if self.masks is None else tuple(map(change, self.masks)),
        )


def collate(
    samples: Iterable[Sample | Failed], *, sizes: str = "equal", rates: str = "any"
) -> Batch | list[Batch]:
    """Return pictures as a batch; for `collate_fn` of a DataLoader.

    Args:
        samples: the pictures. Those that failed are named in `failures` of the first batch.
        sizes: "equal": other sizes are an error. "pad": smaller pictures get zeros on the right and
            below, and `masks` says where. "group": a list of batches, one for each codec and size.
        rates: "any": a batch may mix rates. "equal": that is an error. "group": a list of batches,
            one for each codec and rate.

    Raises:
        ArgumentError: Codecs, sizes or rates are mixed, and that was not allowed; or there are no
            pictures, or something else than pictures.
        CorruptError: None of the pictures can be read.
    """
    choice("sizes", sizes, _SIZES)
    choice("rates", rates, _RATES)
    samples = list(samples)
    good = [sample for sample in samples if isinstance(sample, Sample)]
    failures = tuple(sample for sample in samples if isinstance(sample, Failed))
    if len(good) + len(failures) != len(samples) or not samples:
        other = {type(each).__name__ for each in samples if not isinstance(each, (Sample, Failed))}
        raise ArgumentError(
            f"{', '.join(sorted(other)) or 'nothing'} found, expected a list of Sample: give what "
            "a LatentDataset returns, whose transform returns a Sample again"
        )
    if not good:
        names = ", ".join(shown(failed.name) for failed in failures[:3])
        raise CorruptError(
            f"none of the pictures of a batch can be read: {names}"
            f"{', ...' if len(failures) > 3 else ''}; replace the files, or make batches larger"
        )
    if "group" not in (sizes, rates):
        return _batch(good, sizes == "pad", rates, failures)
    groups: dict[object, list[Sample]] = {}
    for sample in good:
        shapes = tuple(value.shape for value in sample.values) if sizes == "group" else ()
        rate = sample.rate if rates == "group" else -1
        groups.setdefault((sample.codec, sample.model_hash, shapes, rate), []).append(sample)
    made = [_batch(group, sizes == "pad", rates, ()) for group in groups.values()]
    return [replace(made[0], failures=failures), *made[1:]]


def _batch(
    samples: Sequence[Sample], padded: bool, rates: str, failures: tuple[Failed, ...]
) -> Batch:
    first = samples[0]
    for sample in samples:
        _check_alike(first, sample, rates)
    columns = list(zip(*(sample.values for sample in samples), strict=True))
    masks = None
    if padded:
        pairs = [_padded(column, samples) for column in columns]
        values = tuple(value for value, _ in pairs)
        masks = tuple(mask for _, mask in pairs)
    else:
        values = tuple(_stacked(column, samples) for column in columns)
    labels = [sample.label for sample in samples]
    numbers = [label for label in labels if isinstance(label, int)]
    return Batch(
        [sample.name for sample in samples],
        torch.tensor(numbers) if len(numbers) == len(labels) else labels,
        first.codec,
        first.model_hash,
        torch.tensor([(sample.height, sample.width) for sample in samples]),
        torch.tensor([sample.rate for sample in samples]),
        values,
        masks,
        failures,
    )


def _check_alike(first: Sample, other: Sample, rates: str) -> None:
    """Raise ArgumentError unless two pictures may be in one batch, whatever their sizes."""
    if (other.codec, other.model_hash) != (first.codec, first.model_hash):
        raise ArgumentError(
            f"{first.name} is of codec {first.codec} ({first.model_hash.hex()}), {other.name} "
            f"of {other.codec} ({other.model_hash.hex()}): latents of several codecs or models "
            "can't be one batch; group them with sizes='group'"
        )
    if other.kind != first.kind or len(other.values) != len(first.values):
        raise ArgumentError(
            f"{first.name} has {len(first.values)} tensors of {first.kind}, {other.name} "
            f"{len(other.values)} of {other.kind}: expected the same of all pictures; make their "
            "data sets with the same `values`"
        )
    if rates == "equal" and other.rate != first.rate:
        raise ArgumentError(
            f"{first.name} has rate {first.rate}, {other.name} {other.rate}: expected one rate; "
            "use rates='any' or 'group'"
        )


def _common(tensors: Sequence[Tensor]) -> torch.dtype:
    """Return the type that holds all values: symbols come in the smallest that holds their own."""
    return max((tensor.dtype for tensor in tensors), key=lambda dtype: dtype.itemsize)


def _stacked(tensors: Sequence[Tensor], samples: Sequence[Sample]) -> Tensor:
    dtype = _common(tensors)
    for tensor, sample in zip(tensors, samples, strict=True):
        if tensor.shape != tensors[0].shape:
            raise ArgumentError(
                f"{samples[0].name} has values {list(tensors[0].shape)}, {sample.name} "
                f"{list(tensor.shape)}: expected one size; use sizes='pad' or 'group', or crop"
            )
    return torch.stack([t if t.dtype is dtype else t.to(dtype) for t in tensors])


def _padded(tensors: Sequence[Tensor], samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Return tensors with zeros on the right and below, and where they were."""
    if any(t.ndim < 2 or t.shape[:-2] != tensors[0].shape[:-2] for t in tensors):
        if len({tensor.shape for tensor in tensors}) == 1:
            whole = _stacked(tensors, samples)
            return whole, torch.ones(whole.shape, dtype=torch.bool)
        shapes = sorted({tuple(tensor.shape) for tensor in tensors})
        raise ArgumentError(
            f"values {list(map(list, shapes[:2]))} can't be padded: only height and width may "
            "differ; use sizes='group'"
        )
    dtype = _common(tensors)
    height, width = (max(tensor.shape[axis] for tensor in tensors) for axis in (-2, -1))
    values, masks = [], []
    for tensor in tensors:
        rest = (0, width - tensor.shape[-1], 0, height - tensor.shape[-2])
        values.append(pad(tensor.to(dtype), rest))
        masks.append(pad(torch.ones(tensor.shape[-2:], dtype=torch.bool), rest))
    return torch.stack(values), torch.stack(masks)
