"""Codecs `video-*`: frames as latents of a picture codec, coded given the frame before.

Every frame goes through the same transforms, and all redundancy between frames is removed by the
entropy model. docs/reference/codecs/video.md specifies the payloads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from quantal.codecs.backends import Backend
from quantal.codecs.context.codec import Context
from quantal.codecs.contract import Pixels, UnroundedPixels
from quantal.codecs.drawing import plane_of
from quantal.codecs.transform import QUARTERS
from quantal.codecs.video import LAYOUT, NET
from quantal.codecs.video.picture import find_picture, synthesis_unit
from quantal.codecs.video.smoothing import luma, smoothed
from quantal.codecs.video_contract import CodedFrame, VideoCodec
from quantal.codecs.weights import digest, read_weights, sound_weights
from quantal.entropy.coder import IntArray
from quantal.entropy.frozen.base import Values
from quantal.entropy.frozen.predicted import (
    Condition,
    FrozenPredicted,
    moved,
    still_latents,
    uncoded_latents,
)
from quantal.entropy.orders import scatter
from quantal.entropy.rates import lambda_at
from quantal.entropy.vectors import FieldState, VectorPrior
from quantal.entropy.walk import Coding, FloatArray, Reading, Writing
from quantal.errors import ArgumentError
from quantal.fields import BLOCK, Field
from quantal.motion import compensated
from quantal.planes import ceil_div

if TYPE_CHECKING:
    from quantal.motion import Search

__all__ = ["Reconstruction", "Symbols", "Video"]

#: How much an error of prediction counts beside one of the result when vectors are chosen: what is
#: coded corrects a part of it. Measured: docs/reference/codecs/video.md.
_WORTH = 0.7


@dataclass(frozen=True, eq=False)
class Symbols:
    """Everything about a frame that the parsing of the next one depends on.

    Attributes:
        width: width of the frame, in pixels.
        height: height of the frame, in pixels.
        y: symbols of the latents, int32 [C, h, w]; None for an intra frame.
        vectors: what the coding of vectors has learned; None for an intra frame.
    """

    width: int
    height: int
    y: IntArray | None = None
    vectors: FieldState | None = None


class Reconstruction:
    """A reconstructed frame; a video_contract.Reference.

    Args:
        picture: draws it.
        symbols: of the frame.
        y_hat: its latents in units of the synthesis, float32 [C, h, w].
    """

    def __init__(self, picture: Context, symbols: Symbols, y_hat: FloatArray) -> None:
        self._picture, self.symbols, self.y_hat = picture, symbols, y_hat

    @cached_property
    def unrounded(self) -> UnroundedPixels:
        """The frame before it is rounded to 8 bits, float32 [H, W, 3] in 0..255."""
        return self._picture.draw_unrounded(self.y_hat, self.symbols.width, self.symbols.height)

    def pixels(self) -> Pixels:
        return np.rint(self.unrounded).astype(np.uint8)


class Video(VideoCodec):
    """A codec of video with its weights loaded.

    Args:
        name: is written to files.
        weights: the file of what codes predicted frames; the weights of the picture codec that it
            names lie beside it or ship with Quantal.
        backend: runs the floating-point networks.
    """

    def __init__(self, name: str, weights: Path, backend: Backend) -> None:
        file = read_weights(weights, [LAYOUT])
        networks = backend.networks(file, NET)
        with sound_weights(file):
            sizes = file.sizes()
            picture, motion = str(sizes["picture"]), bool(sizes["motion"])
            channels, wanted = int(sizes["channels"]), str(sizes["picture_hash"])
            self.entropy = FrozenPredicted.from_arrays(file.arrays, channels, networks)
        found = file.check(self.entropy.integers())
        backend.accelerate(self.entropy.exact_nets)
        #: The codec of intra frames, whose transforms serve all frames.
        self.picture = Context(picture, find_picture(picture, wanted, weights), backend)
        #: What a unit of each latent of the analysis is to the synthesis, float32 [C, 1, 1].
        self._unit = synthesis_unit(self.picture.entropy.networks)
        self._vectors = VectorPrior() if motion else None
        # Without motion, what had symbols counts as moving, and is predicted from in part only.
        self.raises = motion
        hashes = {"picture": self.picture.model_hash, "video": found}
        parts = {part: np.frombuffer(own, np.uint8) for part, own in hashes.items()}
        super().__init__(name, backend.device, digest(LAYOUT, parts))

    def group(self, width: int, height: int, rate: int) -> _Group:
        if self._vectors is None:
            return _Group(self, None)
        from quantal.motion import Search, crf_of  # needs PyAV, which decoding does without

        return _Group(self, Search(width, height, crf_of(rate)))

    # -- one frame -------------------------------------------------------------------------------

    def code_intra(self, y: FloatArray, width: int, height: int, rate: int) -> CodedFrame:
        """Code the latents of an intra frame.

        Args:
            y: float32 [C, h, w].
            width: width of the frame, in pixels.
            height: height of the frame, in pixels.
            rate: 0..252.
        """
        model, position = self.picture.entropy, rate / QUARTERS
        coding = Writing(model.latents(y, position))
        rows, columns = y.shape[1:]
        values = model.walk(coding, rows, columns, position)
        reference = Reconstruction(self.picture, Symbols(width, height), values.y_hat())
        return CodedFrame(coding.finish(model.progressive), reference)

    def code_predicted(
        self, y: FloatArray, field: Field | None, before: Reconstruction, rate: int
    ) -> CodedFrame:
        """Code the latents of a predicted frame.

        Args:
            y: what the analysis made of it, float32 [C, h, w].
            field: the motion from the frame before; None for codecs without motion.
            before: the frame before.
            rate: 0..252.
        """
        y = self._unit * y
        predicted = self.predict(before, field)
        still = self._still(field, before.symbols, *y.shape[1:])
        held = self._held(still, before.symbols)
        model = self.entropy.given(Condition(None, still, held, lambda: predicted))
        vectors = self._vectors
        parts = [] if vectors is None or field is None else vectors.latents(field)
        coding = Writing([*parts, *model.latents(y, rate / QUARTERS)])
        symbols, values = self._walk(coding, before.symbols, rate, lambda _: predicted)
        reference = Reconstruction(self.picture, symbols, values.y_hat())
        return CodedFrame(coding.finish(), reference)

    def decode_intra(self, payload: bytes, width: int, height: int, rate: int) -> Reconstruction:
        latents = self.picture.read(payload, width, height, rate)
        return Reconstruction(self.picture, Symbols(width, height), latents.y_hat)

    def decode_predicted(self, payload: bytes, before: Reconstruction, rate: int) -> Reconstruction:
        reading = self._reading(payload, before.symbols)
        symbols, values = self._walk(
            reading, before.symbols, rate, lambda field: self.predict(before, field)
        )
        reading.finish()
        return Reconstruction(self.picture, symbols, values.y_hat())

    def parse_intra(self, payload: bytes, width: int, height: int, rate: int) -> Symbols:
        self.picture.parse(payload, width, height, rate)
        return Symbols(width, height)

    def parse_predicted(self, payload: bytes, before: Symbols, rate: int) -> Symbols:
        reading = self._reading(payload, before)
        symbols, _ = self._walk(reading, before, rate, _unpredicted)
        reading.finish()
        return symbols

    def predict(self, before: Reconstruction, field: Field | None) -> FloatArray:
        """Return the prediction of a frame's latents in units of the synthesis, float32 [C, h, w].

        Where a picture stands still that is the latents before, which no second analysis blurs.

        Args:
            before: the frame before.
            field: the motion from it; None for codecs without motion.
        """
        if field is None or not field.any():
            return before.y_hat
        height, width = before.unrounded.shape[:2]
        moved_there = compensated(plane_of(before.unrounded, BLOCK), field)
        found = moved_there[:, :height, :width].transpose(1, 2, 0)
        moving = self._unit * self.picture.analyse(found)
        return np.where(still_latents(field, *moving.shape[1:]), before.y_hat, moving)

    @staticmethod
    def _still(
        field: Field | None, before: Symbols, rows: int, columns: int
    ) -> npt.NDArray[np.bool_]:
        """Return which latents stand still, by the motion; without it, by the frame before."""
        if field is not None:
            return still_latents(field, rows, columns)
        if before.y is None:
            return np.zeros((rows, columns), np.bool_)
        return uncoded_latents(before.y)

    def _held(self, still: npt.NDArray[np.bool_], before: Symbols) -> npt.NDArray[np.bool_]:
        """Return where the prediction is taken whole.

        Without motion, that is everywhere after an intra frame: nothing says what moves, and what
        stands still would lose a little, need symbols, and so count as moving ever after.
        """
        after_intra = self._vectors is None and before.y is None
        return np.ones_like(still) if after_intra else still

    @staticmethod
    def _reading(payload: bytes, before: Symbols) -> Reading:
        return Reading(payload, what=f"a frame of {before.width}x{before.height}")

    def _walk(
        self,
        coding: Coding,
        before: Symbols,
        rate: int,
        predicted: Callable[[Field | None], FloatArray],
    ) -> tuple[Symbols, Values]:
        """Go through all symbols of a predicted frame.

        Args:
            coding: what to do with them.
            before: the symbols of the frame before.
            rate: 0..252.
            predicted: returns the prediction of the latents by the motion from the frame before.
        """
        width, height = before.width, before.height
        stride, position = self.picture.stride, rate / QUARTERS
        rows, columns = ceil_div(height, stride), ceil_div(width, stride)
        # Before anything of the size that a header states is allocated.
        coding.require(self.entropy.least_bits(rows, columns, position))
        state = field = None
        if self._vectors is not None:
            shape = ceil_div(height, BLOCK), ceil_div(width, BLOCK)
            state = self._vectors.walk(coding, shape, before.vectors)
            field = state.field
        past = before.y if field is None or before.y is None else moved(before.y, field)
        still = self._still(field, before, rows, columns)
        held = self._held(still, before)
        model = self.entropy.given(Condition(past, still, held, lambda: predicted(field)))
        values = model.walk(coding, rows, columns, position)
        y = scatter(coding.symbols[-1], model.places)[:, :rows, :columns]
        return Symbols(width, height, np.ascontiguousarray(y), state), values


def _unpredicted(field: Field | None) -> FloatArray:
    raise ArgumentError("parsing asked for a prediction in floating point")


class _Group:
    """A group of pictures being coded; see video_contract.Group.

    Args:
        codec: the codec.
        search: for the motion; None for codecs without motion.
    """

    def __init__(self, codec: Video, search: Search | None) -> None:
        self._codec, self._search = codec, search

    def frame(self, pixels: Pixels) -> _Frame:
        field = None if self._search is None else self._search.next(pixels)
        return _Frame(self._codec, pixels, field)


class _Frame:
    """One frame being coded; see video_contract.Frame.

    Args:
        codec: the codec.
        pixels: of the frame.
        field: the motion from the frame before, as found; None for codecs without motion.
    """

    def __init__(self, codec: Video, pixels: Pixels, field: Field | None) -> None:
        self._codec, self._pixels, self._field = codec, pixels, field

    @cached_property
    def _y(self) -> FloatArray:
        return self._codec.picture.analyse(self._pixels)

    @cached_property
    def _luma(self) -> FloatArray:
        return luma(self._pixels)

    def intra(self, rate: int) -> CodedFrame:
        height, width = self._pixels.shape[:2]
        return self._codec.code_intra(self._y, width, height, rate)

    def predicted(self, before: Reconstruction, rate: int) -> CodedFrame:
        field = self._field
        if field is not None:
            worth = _WORTH * lambda_at(rate / QUARTERS)
            field = smoothed(field, luma(before.unrounded), self._luma, worth)
        return self._codec.code_predicted(self._y, field, before, rate)
