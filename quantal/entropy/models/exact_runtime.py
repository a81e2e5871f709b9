"""torch as the runtime of integer networks: in float32 where that is proven exact, else in float64.

Whole numbers up to 2^24 are exact in float32, which is twice as fast. Before a layer runs, the
largest inputs of the moment bound every partial sum of products for every output. Where that is too
much, sums are built in runs of channels that are each exact, or in float64. No convolution of
torch's runs here: Winograd's and others add and subtract inputs first, which nothing here bounds.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from quantal.entropy.exact import Array, ExactLayer, ExactNet, Integers
from quantal.layers import undisturbed

__all__ = ["TorchLayers", "single_is_ieee"]

#: Whole numbers of at most this magnitude are exact in float32.
_SINGLE = 1 << 24
#: Bounds are computed in float32 too, whose rounding errors this covers many times.
_MARGIN = 1 + 2.0**-8
#: From this magnitude on, a bias is added after the shift as far as it is whole there.
_LARGE_BIAS = 1 << 20
#: Sums are built from this many parts of the input channels, as many at once as stay exact.
_PARTS = 8
#: Elements of a tensor that is kept for the next call.
_KEPT = 1 << 20
#: Sums that stay in the processor's cache.
_CACHED = 1 << 18
#: Output positions that are processed at a time.
_POSITIONS = 3072
#: Inputs of a depthwise layer that are processed at a time.
_TAPPED = 1 << 17


def single_is_ieee() -> bool:
    """Return whether torch's float32 products on the CPU are such: switches allow bfloat16."""
    try:
        if torch.get_float32_matmul_precision() != "highest":
            return False
    except RuntimeError:  # torch refuses to say where older and newer switches are mixed
        return False
    places = (torch.backends, getattr(torch.backends.mkldnn, "matmul", None))
    known = all(getattr(place, "fp32_precision", "none") in ("none", "ieee") for place in places)
    return known and _is_single_here()


@functools.cache
def _is_single_here() -> bool:
    """Return whether nothing outside torch lowers the precision of its float32 matrix products.

    oneDNN has a variable of the environment for that; samples find whatever else there is, such as
    products by fewer multiplications (Strassen's algorithm), which would need larger sums.
    """
    for name in ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"):
        if os.environ.get(name, "STRICT").upper() != "STRICT":
            return False
    generator = torch.Generator("cpu").manual_seed(0)

    def whole(largest: int, *shape: int) -> Tensor:
        return torch.randint(largest // 2, largest, shape, generator=generator, device="cpu")

    with undisturbed():
        for count, size, inputs, outputs in ((1, 384, 512, 512), (4, 96, 192, 80), (2, 4, 96, 96)):
            # Inputs of 13 digits; sums of their products are below 2^24, but not far.
            x = whole(1 << 13, count, size, inputs)
            weight = whole((1 << 11) // inputs + 1, outputs, inputs)
            found = []
            for kind in (torch.float32, torch.float64):
                left, right = x.to(kind), weight.to(kind).expand(count, -1, -1)
                made = torch.baddbmm(right.new_ones(outputs), left, right.transpose(1, 2))
                turned = torch.baddbmm(right.new_ones(outputs, 1), right, left.transpose(1, 2))
                found += [made.double(), turned.double()]
            if not all(map(torch.equal, found[:2], found[2:])):
                return False
    return True


class _Scratch(threading.local):
    """Memory that a thread's calls share: the first touch of fresh memory is slow."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, shape: Sequence[int], kind: torch.dtype) -> Tensor:
        """Return a contiguous tensor, which is valid until the name is taken again.

        Args:
            name: tensors of different names do not overlap.
            shape: of the tensor.
            kind: its type.
        """
        size = math.prod(shape)
        if size > _KEPT:
            return torch.empty(shape, dtype=kind, device="cpu")
        kept = self._kept.get((name, kind))
        if kept is None or len(kept) < size:
            # A tensor made in inference mode could not be written to outside of it.
            with torch.inference_mode(False):
                kept = self._kept[name, kind] = torch.empty(size, dtype=kind, device="cpu")
        return kept[:size].view(shape)


_scratch = _Scratch()


class _Layer:
    """One integer layer: activations [n, C, h, w] to activations, whole numbers in floats.

    Args:
        layer: the layer.
        signed: whether inputs may be negative.
        largest_input: their largest magnitude.
        place: its number in the network.
        last: whether results of dense layers are contiguous; all others are channels_last.
    """

    def __init__(
        self, layer: ExactLayer, signed: bool, largest_input: int, place: int, last: bool
    ) -> None:
        self.layer, self._signed, self._last = layer, signed, last
        # The results of one layer are the inputs of the next.
        self._slot = ("even", "odd")[place % 2]
        self._deep = layer.groups > 1
        #: Whether results are channels_last for sure.
        self._together = layer.weight.shape[-1] == 1 and not self._deep and not last
        unit = 1 << layer.shift
        order = self._order()
        weights, biases = layer.weight[order], layer.bias[:, order]
        rounded = biases + (unit >> 1)
        # floor((s + a * unit + b) / unit) is floor((s + b) / unit) + a.
        after = rounded >> layer.shift if np.abs(rounded).max() >= _LARGE_BIAS else 0 * rounded
        before = rounded - after * unit
        self._before = torch.from_numpy(before / unit)
        self._after = torch.from_numpy(after.astype(np.float64)) if after.any() else None
        # What goes on from one run of channels to the next is less than a unit.
        used = np.maximum(np.abs(before), unit).astype(np.float64)
        self._room = torch.from_numpy(_SINGLE - used).float()
        self._integers = torch.from_numpy(weights)
        self._weight = self._integers.double() / unit
        weight = int(np.abs(layer.weight.astype(np.int64)).max())
        small = max(layer.largest_output, int(np.abs(after).max()), unit) < _SINGLE // 2
        #: Whether float32 holds weights, inputs and outputs.
        self.single = small and max(largest_input, weight) < _SINGLE

    def _order(self) -> npt.NDArray[np.intp]:
        """Return the outputs in the order in which they are computed.

        What a pixel shuffle brings to one place is computed side by side, so that it moves in runs.
        """
        order = np.arange(len(self.layer.weight))
        if self._together:
            return order.reshape(-1, self.layer.shuffle**2).T.reshape(-1)
        return order

    @cached_property
    def _single_weight(self) -> Tensor:
        return self._weight.float()

    @cached_property
    def _sides(self) -> Tensor:
        """Positive weights, then the magnitudes of the negative ones, [2O, I / groups]."""
        weight = self._integers.float()
        return torch.cat((weight.clamp_min(0), weight.clamp_max(0).neg())).sum((2, 3))

    @cached_property
    def _members(self) -> Tensor:
        """Which part of the input channels a channel is in: 1 or 0, [I, parts]."""
        part = torch.arange(self.layer.inputs, device="cpu") * _PARTS // self.layer.inputs
        return F.one_hot(part, _PARTS).float()

    def apply(self, x: Tensor, rate_index: int, single: bool) -> Tensor:
        """Return the layer's outputs; see the class.

        Args:
            x: float32 or float64 [n, I, h, w].
            rate_index: 0..63.
            single: whether float32 may be used at all.
        """
        row = min(rate_index, len(self._before) - 1)
        found = self._in_single(x, row) if single and x.dtype == torch.float32 else None
        if found is None:
            found = self._outputs(x.double(), self._weight, row)
        if self.single:
            found = found.float()
        factor = self.layer.shuffle
        if factor == 1:
            return found
        return _shuffled(found, factor) if self._together else F.pixel_shuffle(found, factor)

    def _in_single(self, x: Tensor, row: int) -> Tensor | None:
        """Return outputs from float32; None where it is not proven exact.

        Args:
            x: float32 [n, I, h, w].
            row: of the biases.
        """
        if not self.single:
            return None
        high = x.amax((0, 2, 3)).clamp_min_(0)
        low = x.amin((0, 2, 3)).neg_().clamp_min_(0) if self._signed and x.min() < 0 else None
        reach, room = self._reach(high, low), self._room[row][:, None]
        weight = self._single_weight
        if not self._deep:
            cuts = _cut(reach.numpy(), room.numpy())
            if cuts is None or weight.shape[-1] > 1:
                return None
            if len(cuts) > 2 and 1 << self.layer.shift < 2 * _PARTS:
                return None  # what is whole of so many sums is itself beyond float32
            ends = [self.layer.inputs * cut // _PARTS for cut in cuts]
            spans = [slice(*pair) for pair in itertools.pairwise(ends)]
            return self._outputs(x, weight, row, spans=spans)
        beyond = (reach >= room).nonzero()[:, 0]
        if 2 * len(beyond) > len(reach):
            return None
        found = self._outputs(x, weight, row)
        if len(beyond):
            part = self._outputs(x[:, beyond].double(), self._weight[beyond], row, which=beyond)
            found[:, beyond] = part.float()
        return found

    def _reach(self, high: Tensor, low: Tensor | None) -> Tensor:
        """Return bounds on all partial sums of products, for parts of the channels [O, parts].

        Args:
            high: the largest inputs, from zero on [I].
            low: the magnitudes of the smallest ones below zero, if there are any.
        """
        over, under = self._of_sides(high)
        if low is not None:
            below, above = self._of_sides(low)
            over, under = over + above, under + below
        # A sum is at most that of its positive products, and at least that of its negative ones.
        return torch.maximum(over, under).mul_(_MARGIN)

    def _of_sides(self, largest: Tensor) -> Sequence[Tensor]:
        """Return the sums of products of positive and of negative weights, [O, parts] each."""
        if self._deep:
            return (self._sides.view(2, -1) * largest)[:, :, None].unbind()
        return (self._sides @ (self._members * largest[:, None])).chunk(2)

    def _outputs(
        self,
        x: Tensor,
        weight: Tensor,
        row: int,
        spans: Sequence[slice] = (slice(None),),
        which: Tensor | None = None,
    ) -> Tensor:
        """Return outputs before the shuffle, [n, O, h, w].

        Args:
            x: [n, I, h, w].
            weight: in the type of `x`.
            row: of the biases.
            spans: the runs of channels in which sums are built.
            which: the outputs that `weight` is of; default: all.
        """
        every = slice(None) if which is None else which
        bias = self._before[row, every].to(x.dtype)
        after = None if self._after is None else self._after[row, every].to(x.dtype)
        if self._deep:
            return self._depthwise(x, weight[:, 0], bias, after)
        if weight.shape[-1] > 1:
            x, weight = _unfolded(x, weight.shape[-1]), weight.permute(0, 2, 3, 1)
        return self._dense(x, weight.flatten(1), bias, after, spans)

    def _depthwise(self, x: Tensor, weight: Tensor, bias: Tensor, after: Tensor | None) -> Tensor:
        """Return the outputs of a depthwise layer: shifted inputs times weights, added up.

        Args:
            x: [n, C, h, w].
            weight: [C, k, k].
            bias: before rounding, [C].
            after: after rounding, [C].
        """
        count, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).contiguous()
        found = _scratch.take(self._slot, rows.shape, x.dtype)
        taps = weight.permute(1, 2, 0).contiguous()
        # All that is done to a sum is done while it is in the cache.
        band = max(_TAPPED // (width * channels), 1)
        step = max(band // height, 1)
        for start, top in itertools.product(range(0, count, step), range(0, height, band)):
            part = slice(start, start + step)
            bottom = min(top + band, height)
            _add_taps(found[part], rows[part], taps, bias, top, bottom)
            self._finish(found[part, top:bottom], after)
        return found.permute(0, 3, 1, 2)

    def _finish(self, sums: Tensor, after: Tensor | None) -> None:
        """Turn sums, in units of outputs, into outputs."""
        sums.floor_()
        if after is not None:
            sums += after
        sums.clamp_(self.layer.low, self.layer.high)

    def _dense(
        self, x: Tensor, weight: Tensor, bias: Tensor, after: Tensor | None, spans: Sequence[slice]
    ) -> Tensor:
        """Return the outputs of a 1x1 layer.

        Args:
            x: [n, I, h, w].
            weight: [O, I].
            bias: before rounding, [O].
            after: after rounding, [O].
            spans: the runs of channels.
        """
        count, _, height, width = x.shape
        size, outputs = height * width, len(weight)
        together = x.is_contiguous(memory_format=torch.channels_last)
        rows = x.permute(0, 2, 3, 1).reshape(count, size, -1) if together else None
        name = "sums" if self._last else self._slot
        shape = (count, outputs, size) if self._last else (count, size, outputs)
        found = _scratch.take(name, shape, x.dtype)
        # All that is done to a sum is done while it is in the cache.
        step = max(_CACHED // (size * outputs), 1)
        for start in range(0, count, step):
            part = slice(start, start + step)
            sums = found[part]
            own = rows[part] if rows is not None else x[part].flatten(2).transpose(1, 2)
            if self._last:
                # Transposed within the products, which costs nothing.
                left, right = weight.expand(len(sums), -1, -1), own.transpose(1, 2)
                _add_up(sums, left, right, bias[:, None], spans)
                self._finish(sums, None if after is None else after[:, None])
            else:
                _add_up(sums, own, weight.t().expand(len(sums), -1, -1), bias, spans)
                self._finish(sums, after)
        if self._last:
            return found.view(count, outputs, height, width)
        return found.view(count, height, width, outputs).permute(0, 3, 1, 2)


def _cut(reach: npt.NDArray[np.float32], room: npt.NDArray[np.float32]) -> list[int] | None:
    """Return where to cut the parts of the channels so that the sums of each run stay exact.

    Args:
        reach: bounds on the sums of each part [O, parts].
        room: what bounds have to stay below [O, 1].

    Returns:
        Numbers of parts, from 0 to all; None if a part by itself is too much.
    """
    if (reach >= room).any():
        return None
    cuts, so_far = [0], np.zeros_like(reach[:, 0])
    for part, own in enumerate(reach.T):
        so_far = so_far + own
        if (so_far >= room[:, 0]).any():
            cuts.append(part)
            so_far = own
    return [*cuts, _PARTS]


def _add_up(
    sums: Tensor, left: Tensor, right: Tensor, bias: Tensor, spans: Sequence[slice]
) -> None:
    """Compute left @ right + bias of [n, ., .], from one run of inner places after the other.

    A product is BLAS's (MKL, OpenBLAS, Accelerate, oneDNN and their like): products of elements,
    added up in some order, which does not matter. Algorithms that multiply sums of elements have
    names of their own there, such as ESSL's DGEMMS; _is_single_here() looks for one all the same.

    What is whole of the sums is put aside before the next run: only less than 1 goes on. It is
    added again at the end, to sums that are rounded down for it: only their floors are exact.
    """
    first, *others = spans
    torch.baddbmm(bias, left[:, :, first], right[:, first], out=sums)
    aside: Tensor | None = None
    for span in others:
        whole = _scratch.take("aside" if aside is None else "whole", sums.shape, sums.dtype)
        torch.floor(sums, out=whole)
        sums -= whole
        aside = whole if aside is None else aside.add_(whole)
        sums.baddbmm_(left[:, :, span], right[:, span])
    if aside is not None:
        sums.floor_()
        sums += aside


def _add_taps(sums: Tensor, x: Tensor, taps: Tensor, bias: Tensor, top: int, bottom: int) -> None:
    """Compute rows of a depthwise convolution: one multiplication and addition for each tap.

    Nothing is left to a library's choice: whatever the processor does, every result on the way is
    a sum of some of the products, which _Layer._reach() bounds.

    Args:
        sums: [n, h, w, C], of which rows are overwritten.
        x: [n, h, w, C].
        taps: [k, k, C].
        bias: [C].
        top: the first row.
        bottom: the row after the last one.
    """
    kernel, (height, width) = len(taps), x.shape[1:3]
    middle = kernel // 2
    torch.addcmul(bias, x[:, top:bottom], taps[middle, middle], out=sums[:, top:bottom])
    for place, across in itertools.product(range(kernel), range(kernel)):
        if place == across == middle:
            continue
        down, right = place - middle, across - middle
        # The outputs for which the tap is on an input; all others are zeros.
        first, end = max(top, -down), min(bottom, height - down)
        left, edge = max(0, -right), min(width, width - right)
        if first < end and left < edge:
            own = x[:, first + down : end + down, left + right : edge + right]
            sums[:, first:end, left:edge].addcmul_(own, taps[place, across])


def _unfolded(x: Tensor, kernel: int) -> Tensor:
    """Return what each tap of a kernel covers, [n, I, h, w] to [n, k k I, h, w], channels_last."""
    height, width = x.shape[-2:]
    wide = F.pad(x.permute(0, 2, 3, 1), (0, 0, *(kernel // 2,) * 4))
    taps = itertools.product(range(kernel), range(kernel))
    shifted = [wide[:, down : down + height, over : over + width] for down, over in taps]
    return torch.cat(shifted, 3).permute(0, 3, 1, 2)


def _shuffled(x: Tensor, factor: int) -> Tensor:
    """Move what _Layer._order() says to its places: [n, f^2 C, h, w] to [n, C, h f, w f]."""
    count, _, height, width = x.shape
    parts = x.permute(0, 2, 3, 1).view(count, height, width, factor, factor, -1)
    parts = parts.permute(0, 1, 3, 2, 4, 5)
    made = _scratch.take("shuffled", parts.shape, x.dtype).copy_(parts)
    return made.view(count, height * factor, width * factor, -1).permute(0, 3, 1, 2)


class TorchLayers:
    """The layers of an integer network, run by torch on the CPU; see ExactNet.run_by.

    Float64 is not touched by torch's switches for lower precision (TF32, bfloat16): where one is
    on, everything runs in it.

    Args:
        net: whose layers.
    """

    def __init__(self, net: ExactNet) -> None:
        self._net = net
        self._layers: list[_Layer] = []
        signed, largest = True, net.largest_input
        for place, layer in enumerate(net.layers):
            last = layer is net.layers[-1]
            self._layers.append(_Layer(layer, signed, largest, place, last))
            signed, largest = layer.low < 0, layer.largest_output
        self._scale = int(np.prod([layer.shuffle for layer in net.layers]))

    def __call__(self, values: Array, rate_index: int) -> Integers:
        """Map whole numbers [..., I, h, w] to int32 [..., O, H, W]."""
        *lead, channels, height, width = values.shape
        size = self._net.outputs, height * self._scale, width * self._scale
        with undisturbed():
            x = torch.from_numpy(values).reshape(-1, channels, height, width)
            # By numpy, whose large arrays are on large pages.
            found = torch.from_numpy(np.empty((len(x), *size), np.int32))
            single = single_is_ieee()
            count = max(_POSITIONS // max(size[1] * size[2], 1), 1)
            for start in range(0, len(x), count):
                part = slice(start, start + count)
                found[part] = self._run(x[part], rate_index, single)
            result: Integers = found.view(*lead, *size).numpy()
            return result

    def _run(self, x: Tensor, rate_index: int, single: bool) -> Tensor:
        """Run all layers on [n, I, h, w]."""
        x = x.to(torch.float32 if self._layers[0].single else torch.float64)
        for layer in self._layers:
            x = layer.apply(x, rate_index, single)
        return x
