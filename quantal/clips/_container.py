"""Opening of files with PyAV, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import av.container
from av.error import FFmpegError

from quantal.clips._source import Source
from quantal.errors import MediaError
from quantal.limits import PIXEL_LIMIT
from quantal.memory import memory_errors

__all__ = ["FAILURES", "open_input", "reading_errors"]

#: What PyAV raises for a bad file. EOFError and other built-in ones are bases of its own.
FAILURES = (FFmpegError, OSError, ValueError)

#: Formats that are tried: containers of video and streams of one codec. Those that name other
#: files or addresses (playlists), devices, and those that take any text for a drawing are not.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,yuv4mpegpipe,gif,apng,mpegts,mpeg,mpegvideo,m4v,"
    "h261,h263,h264,hevc,vvc,obu,av1,ivf,vc1,cavsvideo,dirac,dnxhd,mjpeg,flv,live_flv,asf,asf_o,"
    "ogg,nut,mxf,gxf,rm,dv,wtv,nsv,nuv,roq,smk,bink,swf,amv,rpl,flic,fli,mpjpeg,moflex,lxf,avs2,"
    "avs3,evc,apv,3gp,filmstrip"
)
_OPTIONS = {
    "format_whitelist": _FORMATS,
    "protocol_whitelist": "file",
    "max_pixels": str(PIXEL_LIMIT),  # checked by decoders before they allocate
}


@contextmanager
def reading_errors(source: Source) -> Iterator[None]:
    """Convert what PyAV raises while a source is read to MediaError or OutOfMemoryError."""
    try:
        with memory_errors(f"reading {source.name}"):
            yield
    except FAILURES as error:
        if source.interrupt is not None:
            raise source.interrupt from None
        if isinstance(error, MediaError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{source.name} can't be read as a clip: {reason}") from error


def open_input(source: Source) -> av.container.InputContainer:
    """Open a file that may hold a clip.

    Raises:
        MediaError: It is in none of the formats that are read, or its beginning is damaged.
    """
    file: Any = source.open()
    try:
        with memory_errors(f"reading {source.name}"):
            return av.open(
                file, "r", options=dict(_OPTIONS), metadata_errors="replace", buffer_size=1 << 16
            )
    except FAILURES as error:
        if source.interrupt is not None:
            raise source.interrupt from None
        reason = getattr(error, "strerror", None) or error
        raise MediaError(
            f"{source.name} is not a clip, or its beginning or its index is missing ({reason}); "
            "expected MP4, MOV, Matroska, WebM, AVI, Y4M, GIF, MPEG or another format of video"
        ) from error
