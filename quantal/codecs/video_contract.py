"""The interface of video codecs: frames to payloads, and back.

A codec of video handles neither files, times nor rate control (quantal.files does). Frames come in
groups: the first frame of a group is an intra frame, which stands alone; every other one is a
predicted frame, which needs the reconstruction of the frame before it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from quantal.codecs.contract import CodecBase, Pixels

__all__ = ["CodedFrame", "Frame", "Group", "Reference", "VideoCodec"]


class Reference(Protocol):
    """A reconstructed frame, and what the next frame is predicted from."""

    def pixels(self) -> Pixels:
        """Return the frame, uint8 [H, W, 3]."""
        ...


@dataclass(frozen=True, eq=False)
class CodedFrame:
    """A frame after coding.

    Attributes:
        payload: its bytes.
        reference: what a decoder reconstructs from them.
    """

    payload: bytes
    reference: Reference


class Frame(Protocol):
    """One frame being coded; what is computed once serves every rate that is tried."""

    def intra(self, rate: int) -> CodedFrame:
        """Code the frame by itself at a rate 0..252."""
        ...

    def predicted(self, before: Any, rate: int) -> CodedFrame:
        """Code the frame given the reconstruction of the frame before it, at a rate 0..252.

        Not for the first frame of a group.
        """
        ...


class Group(Protocol):
    """A group of pictures being coded; follows the motion from frame to frame."""

    def frame(self, pixels: Pixels) -> Frame:
        """Begin to code the next frame, uint8 [H, W, 3]; each is given once, in display order."""
        ...


class VideoCodec(CodecBase):
    """A codec of video with its weights loaded; see CodecBase.

    Attributes:
        raises: whether frames keep what a predicted frame of a higher rate adds, so that raising
            some pays.
    """

    media = "video"
    raises = True

    @abstractmethod
    def group(self, width: int, height: int, rate: int) -> Group:
        """Begin to code a group of pictures.

        Args:
            width: width of the frames, in pixels.
            height: height of the frames, in pixels.
            rate: 0..252, about the rate of the predicted frames; steers the search for motion.
        """

    @abstractmethod
    def decode_intra(self, payload: bytes, width: int, height: int, rate: int) -> Reference:
        """Decode an intra frame.

        Args:
            payload: its bytes.
            width: width of the frame, in pixels.
            height: height of the frame, in pixels.
            rate: 0..252, at which it was coded.

        Raises:
            BitstreamError: If the bytes can't be those of such a frame; before memory is allocated
                that they don't justify.
        """

    @abstractmethod
    def decode_predicted(self, payload: bytes, before: Any, rate: int) -> Reference:
        """Decode a predicted frame.

        Args:
            payload: its bytes.
            before: the frame before it: a Reference of this codec.
            rate: 0..252, at which it was coded.

        Raises:
            BitstreamError: If the bytes can't be those of such a frame.
        """

    @abstractmethod
    def parse_intra(self, payload: bytes, width: int, height: int, rate: int) -> Any:
        """Read every symbol of an intra frame; no floating-point network runs.

        For the arguments see decode_intra().

        Returns:
            The symbols, for parse_predicted().
        """

    @abstractmethod
    def parse_predicted(self, payload: bytes, before: Any, rate: int) -> Any:
        """Read every symbol of a predicted frame; no floating-point network runs.

        Args:
            payload: its bytes.
            before: the symbols of the frame before it.
            rate: 0..252, at which it was coded.

        Returns:
            The symbols, for the next frame.
        """
